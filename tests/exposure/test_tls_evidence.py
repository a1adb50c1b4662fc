"""From a real TLS server to the verdict: identified, recorded, read back, judged."""

from __future__ import annotations

import asyncio
import http.server
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests import scenes
from tutela.evidence import Unobserved
from tutela.exposure.evidence import Recorder
from tutela.exposure.identify import identify
from tutela.exposure.identify.door import Door
from tutela.exposure.identify.tls import Agreed, inspect
from tutela.exposure.model import Tally, Tls
from tutela.facts import tls
from tutela.facts.tls import Weak

HERE = "127.0.0.1"
BASE = scenes.load(scenes.TESTS / "checks" / "_base" / "web-nginx.yaml")["sources"]


class Web(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Strict-Transport-Security", "max-age=60")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *words: object) -> None:  # noqa: A002 - the name of the base class
        pass


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """A web server with a self-signed certificate of RSA 1024 that ends tomorrow."""
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:1024", "-nodes", "-days", "1", "-subj", "/CN=www.example.net", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*argv, "-keyout", tmp_path / "key", "-out", tmp_path / "cert"], check=True, capture_output=True, timeout=60)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    with http.server.ThreadingHTTPServer((HERE, 0), Web) as server:
        server.daemon_threads = True
        server.handle_error = lambda *_words: None  # type: ignore[method-assign]
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_a_weak_endpoint_is_found_weak(port: int) -> None:
    recorder = Recorder((port,))
    recorder.take(Tally(HERE, 1, (port,), 0, 0, 0))
    for service in identify([(HERE, "tcp", port)]):
        recorder.take(service)
    now = datetime.now(UTC)
    scan = recorder.evidence(HERE, HERE, now, whole=True)

    fact = scenes.look({"sources": BASE | {scan.name: scan.content.decode()}, "now": now}).fact(tls.parse)

    assert not isinstance(fact, Unobserved)
    assert not isinstance(fact.weak, Unobserved)
    problems = {(one.port, one.problem, one.seen) for one in fact.weak if isinstance(one, Weak)}
    assert {(port, "weak key", "RSA 1024"), (port, "unknown issuer", "www.example.net"), (port, "short HSTS", "max-age=60")} <= problems
    assert [one.days_left for one in fact.presented] == [0]


def test_a_version_for_which_no_connection_was_to_be_had_is_untested() -> None:
    """A server that takes no more connections has refused no version."""
    with socket.create_server((HERE, 0)) as gone:
        port = gone.getsockname()[1]

    async def inspected() -> Tls:
        return await inspect(Door(HERE, port), Agreed("TLSv1.3"))

    seen = asyncio.run(inspected())
    assert (seen.versions, seen.untested) == (("TLSv1.3",), ("SSLv2", "SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2"))
