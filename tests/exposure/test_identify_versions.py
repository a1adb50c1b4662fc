"""Which versions of TLS a real server takes, also from who cannot finish the handshake."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.exposure.daemons import certificate
from tutela.exposure.identify import identify
from tutela.exposure.model import Tls

HERE = "127.0.0.1"


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[int]:
    """A server of OpenSSL's with these options; its port."""
    certificate(folder)
    with socket.create_server((HERE, 0)) as free:
        port = int(free.getsockname()[1])
    argv = ["openssl", "s_server", "-accept", str(port), "-cert", "cert.pem", "-key", "key.pem", "-quiet", "-www", *options]
    with subprocess.Popen(argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            for _ in range(100):
                try:
                    socket.create_connection((HERE, port)).close()
                    break
                except ConnectionRefusedError:
                    time.sleep(0.05)
            yield port
        finally:
            server.kill()


def seen(port: int) -> Tls:
    (service,) = identify([(HERE, "tcp", port)])
    assert service.tls is not None
    return service.tls


@pytest.mark.parametrize("wants", [(), ("-Verify", "1", "-verify_return_error")], ids=["anybody", "who has a certificate"])
def test_old_versions_are_seen_of_a_server_that_takes(tmp_path, wants):
    with serving(tmp_path, "-cipher", "ALL:@SECLEVEL=0", *wants) as port:
        tls = seen(port)
    assert (tls.versions, tls.untested) == (("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"), ())


def test_versions_that_a_server_refuses_are_not_seen_when_it_wants_a_certificate(tmp_path):
    with serving(tmp_path, "-no_tls1", "-no_tls1_1", "-Verify", "1", "-verify_return_error") as port:
        tls = seen(port)
    assert (tls.versions, tls.untested) == (("TLSv1.2", "TLSv1.3"), ())


def test_old_versions_are_seen_with_ciphers_that_no_library_offers_any_more(tmp_path):
    # Without encryption: the one kind of cipher that OpenSSL still serves and a client's list of all leaves out.
    with serving(tmp_path, "-cipher", "ECDHE-ECDSA-NULL-SHA:@SECLEVEL=0", "-tls1_1") as port:
        tls = seen(port)
    assert (tls.versions, tls.untested) == (("TLSv1.1",), ())
