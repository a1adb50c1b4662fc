"""A log read over HTTP, and witnesses asked over it: real servers on loopback, good ones and hostile ones."""

from __future__ import annotations

import gzip
import http.client
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from hashlib import sha256
from pathlib import Path

import pytest

from tests.ledger import made, naive
from tutela.language import Text
from tutela.ledger import serving
from tutela.ledger.checkpoint import parse_signed
from tutela.ledger.log import Log, read_checkpoint
from tutela.ledger.note import MAX_NOTE_BYTES, Note
from tutela.ledger.refused import (
    ConflictError,
    DamagedError,
    MissingError,
    MisuseError,
    RollbackError,
    UnreachableError,
    UnsignedError,
    UnwitnessedError,
)
from tutela.ledger.serving import WitnessServer
from tutela.ledger.signing import Cosigner, verified_by
from tutela.ledger.store.seen import Seen, create
from tutela.ledger.web import Web, cosignature, submit
from tutela.ledger.witness import MAX_REQUEST_BYTES, Request

ROOT = Path(__file__).parents[2]


def entries(size: int, branch: str = "") -> list[bytes]:
    return [made.entry(f"{branch}{i}") for i in range(size)]


def log_of(size: int, branch: str = "") -> Log:
    source = made.Memory(made.files(entries(size, branch)))
    return Log(source, read_checkpoint(source))


@contextmanager
def answering(*answers: bytes | Callable[[socket.socket], None]) -> Iterator[tuple[str, list[bytes]]]:
    """A server that takes one connection an answer, and does what it is told to; its URL, and what it was asked."""
    asked: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for answer in answers:
            # Closed at the end of the test, whether or not everything was asked for.
            with suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(10)
                    content = b""
                    while b"\r\n\r\n" not in content:
                        content += connection.recv(65536) or b"\r\n\r\n"
                    header, _, body = content.partition(b"\r\n\r\n")
                    length = next((int(line.split(b":")[1]) for line in header.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
                    while len(body) < length:
                        body += connection.recv(65536)
                    asked.append(header + b"\r\n\r\n" + body)
                    if callable(answer):
                        answer(connection)
                    else:
                        connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def reply(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


# ---------------------------------------------------------------------- reading


@pytest.fixture
def static(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder behind Python's own static server, in a process of its own."""
    folder = tmp_path / "published"
    folder.mkdir()
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(folder), "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout is not None
    port = server.stdout.readline().split(" port ")[1].split()[0]
    yield folder, f"http://127.0.0.1:{port}"
    server.kill()
    server.communicate()


def publish(folder: Path, files: dict[str, bytes]) -> None:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def test_a_static_server_is_enough_to_read_prove_and_witness_a_log(static: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = static
    witness = create(tmp_path / "witness", "witness.example/w1")
    witness.pin(made.SIGNER.key)
    for size in (0, 5, 300):
        publish(folder, made.files(entries(size)))
        web = Web(f"{url}/")
        log = Log(web, read_checkpoint(web))
        assert log.size == size
        for index in range(0, size, 37):
            log.proof(index)
            assert log.entry(index) == entries(size)[index]
        head, signature = witness.look(web)
        verified_by(Note(head.note.text, (signature,)), (witness.cosigner.key,))


def test_a_partial_tile_that_is_gone_is_cut_from_the_full_one(static: tuple[Path, str]) -> None:
    folder, url = static
    files = made.files(entries(300))
    files["checkpoint"] = made.files(entries(200))["checkpoint"]
    publish(folder, files)
    web = Web(url)
    assert Log(web, read_checkpoint(web)).proof(7)


@pytest.mark.parametrize("status", ["403 Forbidden", "404 Not Found", "410 Gone"])
def test_what_is_not_there_is_missing(status: str) -> None:
    with answering(reply(status, b"<html>")) as (url, _), pytest.raises(MissingError, match=rf"{url}/checkpoint: there is no such file \(HTTP {status[:3]}\)"):
        Web(url).read("checkpoint", 100)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (reply("500 Internal Server Error"), "HTTP 500"),
        (reply("204 No Content"), "HTTP 204"),
        (reply("304 Not Modified"), "HTTP 304"),
        (b"", "closed connection"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH-2.0"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf", "cut off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhalf", "IncompleteRead"),
        (b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % i for i in range(200)) + b"\r\n", "100 headers"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", "65536"),
        (reply("200 OK", b"x", "Content-Encoding: br"), "Content-Encoding: br"),
        (reply("200 OK", b"no gzip", "Content-Encoding: gzip"), "gzip: "),
        (reply("302 Found", b"", "Location: file:///etc/passwd"), "HTTP 302"),
        (reply("302 Found", b"", "Location: ftp://127.0.0.1/x"), "which is not followed"),
        (reply("301 Moved", b"", "Location: data:,x"), "HTTP 301"),
    ],
)
def test_an_answer_that_is_none_says_what_came_back(answer: bytes, why: str) -> None:
    with answering(answer) as (url, _), pytest.raises(UnreachableError) as problem:
        Web(url).read("checkpoint", 100)
    assert str(problem.value).startswith(f"{url}/checkpoint: ")
    assert why in str(problem.value)


def test_nobody_there_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(UnreachableError, match="Connection refused") as problem:
        Web(f"http://127.0.0.1:{port}").read("checkpoint", 100)
    assert problem.value.message.zh.startswith(f"http://127.0.0.1:{port}/checkpoint：")
    with pytest.raises(UnreachableError):
        Web("http://no-such-host.invalid").read("checkpoint", 100)


def test_redirections_are_followed_some_times_and_not_for_ever() -> None:
    with answering(reply("200 OK", b"there")) as (there, asked):
        with answering(reply("301 Moved", b"", f"Location: {there}/elsewhere")) as (url, _):
            assert Web(url).read("checkpoint", 100) == b"there"
        assert asked[0].startswith(b"GET /elsewhere ")
    with answering(*(reply("302 Found", b"", f"Location: /{i}") for i in range(20))) as (url, asked):
        with pytest.raises(UnreachableError):
            Web(url).read("checkpoint", 100)
        assert len(asked) <= 7


@pytest.mark.parametrize("packed", [False, True])
def test_sizes_are_bounded_packed_or_not(packed: bool) -> None:
    def answer(content: bytes) -> bytes:
        return reply("200 OK", gzip.compress(content), "Content-Encoding: gzip") if packed else reply("200 OK", content)

    with answering(answer(b"x" * 100), answer(b"x" * 101), answer(bytes(50_000_000) if packed else bytes(500_000))) as (url, asked):
        assert Web(url).read("a", 100) == b"x" * 100
        for _ in range(2):
            with pytest.raises(DamagedError, match="more than 100 bytes"):
                Web(url).read("a", 100)
        assert b"Accept-Encoding: gzip, identity\r\n" in asked[0]
        assert b"User-Agent: tutela/" in asked[0]


@pytest.mark.parametrize("packed", [False, True])
def test_what_is_too_long_is_not_held_in_memory(packed: bool) -> None:
    def endless(connection: socket.socket) -> None:
        with suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                connection.sendall(bytes(1 << 16))

    answer = reply("200 OK", gzip.compress(bytes(100_000_000)), "Content-Encoding: gzip") if packed else endless
    with answering(answer) as (url, _):
        tracemalloc.start()
        try:
            with pytest.raises(DamagedError, match="more than 1000000 bytes"):
                Web(url, seconds=20).read("a", 1_000_000)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 10_000_000


def dripping(connection: socket.socket) -> None:
    """One byte at a time, for ever."""
    with suppress(OSError):
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while True:
            connection.sendall(b"y")
            time.sleep(0.02)


def silent(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.recv(1)


@pytest.mark.parametrize("server", [dripping, silent])
def test_a_server_that_never_ends_does_not_hold_up_for_ever(server: Callable[[socket.socket], None]) -> None:
    done = threading.Event()

    def stopping(connection: socket.socket) -> None:
        def end() -> None:
            done.wait()
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

        ender = threading.Thread(target=end)
        ender.start()
        server(connection)
        ender.join()

    with answering(stopping) as (url, _):
        with pytest.raises(UnreachableError, match="did not answer in time"):
            Web(url, seconds=0.3).read("checkpoint", 100)
        done.set()


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x/", "file:///etc/passwd", "/etc", "http://", "https:///x", "http://user@x/", "http://u:p@x/", "http://x/?q", "http://x/#f", "http://x:y/",
        "http://x:99999/", "http://[::1/", "x", "", "http://" + "a" * 300 + "/",
    ],
)  # fmt: skip
def test_what_is_no_url_of_http_is_refused_before_anything_is_asked(url: str) -> None:
    with pytest.raises(MisuseError, match="a URL is http:// or https://"):
        Web(url)


def test_urls_are_written_in_ascii() -> None:
    assert Web("https://münchen.example/日志 1/").place == "https://xn--mnchen-3ya.example/%E6%97%A5%E5%BF%97%201"
    assert Web("http://[::1]:8080/a%20b").place == "http://[::1]:8080/a%20b"
    assert Web("HTTP://Example.COM").place == "http://example.com"


def certificate(folder: Path) -> Path:
    """Of 127.0.0.1, signed by itself, with its key in the same file."""
    from datetime import UTC, datetime, timedelta
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = datetime.now(UTC)
    made_now = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = folder / "tls.pem"
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(made_now.public_bytes(serialization.Encoding.PEM) + pem)
    return path


@contextmanager
def over_tls(pem: Path, answer: bytes) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)

    def talk(connection: socket.socket) -> None:
        with suppress(OSError), context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(65536)
            secured.sendall(answer)

    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            talk(listener.accept()[0])

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"https://127.0.0.1:{listener.getsockname()[1]}"
    thread.join()
    listener.close()


def test_https_is_verified_and_never_left_for_http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pem = certificate(tmp_path)
    with over_tls(pem, reply("200 OK", b"there")) as url, pytest.raises(UnreachableError, match=r"(?i)certificate"):
        Web(url).read("checkpoint", 100)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with over_tls(pem, reply("200 OK", b"there")) as url:
        assert Web(url).read("checkpoint", 100) == b"there"
    with answering(reply("200 OK", b"in the clear")) as (plain, asked):
        with over_tls(pem, reply("302 Found", b"", f"Location: {plain}/x")) as url, pytest.raises(UnreachableError, match="which is not followed"):
            Web(url).read("checkpoint", 100)
        assert asked == []
    with over_tls(pem, reply("200 OK", b"there")) as url, answering(reply("302 Found", b"", f"Location: {url}/x")) as (plain, _):
        assert Web(plain).read("checkpoint", 100) == b"there"


# ---------------------------------------------------------------------- asking a witness

W = Cosigner("witness.example/w1", b"w" * 32)
OTHER = Cosigner("witness.example/w2", b"x" * 32)
SIZE = "Content-Type: text/x.tlog.size"


def lines(*signers: Cosigner, size: int = 5, time_: int = 1_700_000_000) -> bytes:
    text = log_of(size).head.note.text
    return "".join(one.cosign(text, time_).line for one in signers).encode()


def test_a_cosignature_is_asked_for_from_the_size_that_the_witness_knows() -> None:
    with answering(reply("409 Conflict", b"3\n", SIZE), reply("200 OK", lines(OTHER, W))) as (url, asked):
        found = cosignature(f"{url}/prefix/", W.key, log_of(5))
    verified_by(Note(log_of(5).head.note.text, (found,)), (W.key,))
    first, second = (one.partition(b"\r\n\r\n")[2] for one in asked)
    assert first == b"old 0\n\n" + log_of(5).head.content
    assert second == Request(3, tuple(naive.consistency(3, [naive.leaf(one) for one in entries(5)])), log_of(5).head).content
    assert asked[0].startswith(b"POST /prefix/add-checkpoint HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("answer", "error", "why"),
    [
        (reply("403 Forbidden", b"not yours\x1b[2J\n"), UnwitnessedError, r"refuses to cosign: HTTP 403 not yours \[2J$"),
        (reply("404 Not Found"), UnwitnessedError, "HTTP 404"),
        (reply("422 Unprocessable Entity", b"x" * 5000), UnwitnessedError, "HTTP 422 x{200}$"),
        (reply("409 Conflict", b"3\n"), UnwitnessedError, "HTTP 409"),
        (reply("409 Conflict", b"03\n", SIZE), UnreachableError, "canonical"),
        (reply("409 Conflict", b"\n", SIZE), UnreachableError, "canonical"),
        (reply("409 Conflict", b"6\n", SIZE), RollbackError, "has cosigned 6 entries, and there are 5 here"),
        (reply("409 Conflict", b"9999999999999999999\n", SIZE), RollbackError, "has cosigned 9999999999999999999"),
        (reply("200 OK"), UnreachableError, "does not end"),
        (reply("200 OK", b"<html>hello</html>\n"), UnreachableError, "not well formed"),
        (reply("200 OK", lines(OTHER)), UnwitnessedError, "without a cosignature of witness.example/w1"),
        (reply("200 OK", lines(W, time_=0)), UnwitnessedError, "without a cosignature"),
        (reply("200 OK", lines(W, size=4)), UnsignedError, "does not verify"),
        (reply("302 Found", b"", "Location: /elsewhere"), UnreachableError, "which is not followed"),
        (reply("200 OK", b"x" * (MAX_NOTE_BYTES + 10)), UnreachableError, "does not end"),
    ],
)
def test_an_answer_that_is_no_cosignature_is_named(answer: bytes, error: type[Exception], why: str) -> None:
    with answering(answer) as (url, _), pytest.raises(error, match=why):
        cosignature(url, W.key, log_of(5))


def test_a_witness_that_changes_its_mind_each_time_is_left() -> None:
    with answering(*(reply("409 Conflict", b"%d\n" % size, SIZE) for size in (1, 2, 3, 4))) as (url, asked):
        with pytest.raises(UnwitnessedError, match="try again later"):
            cosignature(url, W.key, log_of(5))
        assert len(asked) == 3


# ---------------------------------------------------------------------- being a witness


@contextmanager
def serving_(seen: Seen, connection_s: float = 60.0) -> Iterator[tuple[str, list[str]]]:
    told: list[str] = []
    with serving_to(lambda line: told.append(line.en), seen, connection_s) as where:
        yield where, told


@contextmanager
def serving_to(tell: Callable[[Text], None], seen: Seen, connection_s: float = 60.0) -> Iterator[str]:
    server = WitnessServer(("127.0.0.1", 0), seen, tell, connection_s)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def seen(tmp_path: Path) -> Seen:
    witness = create(tmp_path / "witness", "witness.example/w1")
    witness.pin(made.SIGNER.key)
    return witness


def ask(where: str, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, str | None, bytes]:
    with closing(http.client.HTTPConnection(where, timeout=20)) as connection:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read()


def request(size: int, old: int, branch: str = "", wrong: bytes | None = None) -> bytes:
    log = log_of(size, branch)
    proof = tuple(log.consistency(old)) if old <= size else ()
    return Request(old, (wrong, *proof[1:]) if wrong else proof, log.head).content


PLAIN = "text/plain; charset=utf-8"
HASH = sha256(made.ORIGIN.encode()).hexdigest()


def test_the_protocol_from_the_first_checkpoint_to_a_second_history(seen: Seen) -> None:
    with serving_(seen) as (where, told):
        assert ask(where, "GET", f"/{HASH}/checkpoint")[0] == 404

        status, kind, body = ask(where, "POST", "/add-checkpoint", request(5, 0))
        assert (status, kind) == (200, PLAIN)
        text = log_of(5).head.note.text
        verified_by(parse_signed(log_of(5).head.content + body).note, (seen.cosigner.key,))

        status, kind, published = ask(where, "GET", f"/{HASH}/checkpoint")
        assert (status, kind) == (200, PLAIN)
        assert parse_signed(published).note.text == text
        assert published == log_of(5).head.content + body

        assert ask(where, "POST", "/add-checkpoint", request(9, 4)) == (409, "text/x.tlog.size", b"5\n")
        assert ask(where, "POST", "/add-checkpoint", request(9, 5))[0] == 200
        assert ask(where, "POST", "/add-checkpoint", request(5, 5)) == (409, "text/x.tlog.size", b"9\n")
        assert ask(where, "POST", "/add-checkpoint", request(5, 9))[0] == 400
        assert ask(where, "POST", "/add-checkpoint", request(20, 9, wrong=bytes(32)))[0] == 422
        unknown = Note(text.replace("ledger", "nobodys"), (made.SIGNER.sign(text),)).content
        assert ask(where, "POST", "/add-checkpoint", b"old 0\n\n" + unknown)[0] == 404
        forged = log_of(9).head.content.replace(b"\n9\n", b"\n8\n")
        assert ask(where, "POST", "/add-checkpoint", b"old 9\n\n" + forged)[0] == 403
        status, _, body = ask(where, "POST", "/add-checkpoint", request(20, 9, "b"))
        assert (status, body.startswith(b"ledger.example/centre has signed two histories")) == (422, True)
    assert len(list((seen.folder / "misbehaviour").iterdir())) == 1
    assert [line.split(" ")[3] for line in told if " ledger.example/centre " in line] == "200 409 200 409 400 422 403 422".split()
    assert told[0] == "127.0.0.1 ledger.example/centre 0..5 200 cosigned"
    assert told[-1].startswith("the proof is kept: ")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/", None, 404),
        ("GET", "/add-checkpoint", None, 405),
        ("GET", f"/{HASH.upper()}/checkpoint", None, 404),
        ("GET", f"/{HASH}", None, 404),
        ("GET", "/../../etc/passwd", None, 404),
        ("GET", "/../key/checkpoint", None, 404),
        ("POST", "/", b"x", 404),
        ("POST", f"/{HASH}/checkpoint", b"x", 404),
        ("POST", "/sign-subtree", b"x", 404),
        ("PUT", "/add-checkpoint", b"x", 501),
        ("DELETE", "/add-checkpoint", None, 501),
        ("POST", "/add-checkpoint", b"", 400),
        ("POST", "/add-checkpoint", b"\0\xff", 400),
        ("POST", "/add-checkpoint", b"old 0\n\n", 400),
        ("POST", "/add-checkpoint", b"x" * MAX_REQUEST_BYTES, 400),
    ],
)
def test_what_is_not_of_the_protocol_has_its_status_too(method: str, path: str, body: bytes | None, status: int, seen: Seen) -> None:
    with serving_(seen) as (where, _):
        assert ask(where, method, path, body)[0] == status
        assert ask(where, "POST", "/add-checkpoint", request(5, 0))[0] == 200


def raw(where: str, content: bytes) -> bytes:
    host, port = where.split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(content)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        with suppress(ConnectionResetError):
            while more := connection.recv(65536):
                answer += more
        return answer


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"POST /add-checkpoint HTTP/1.1\r\nHost: x\r\n\r\n", b"411"),
        (b"POST /add-checkpoint HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"411"),
        (b"POST /add-checkpoint HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nGET /x HTTP/1.1\r\n\r\n", b"411"),
        (b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: 99999999\r\n\r\nGET /x HTTP/1.1\r\n\r\n", b"413"),
        (b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"411"),
        (b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: -5\r\n\r\nhello", b"411"),
        (b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\nhello", b"411"),
        (b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: 99999999\r\n\r\nhello", b"413"),
        (b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: 50\r\n\r\nhello", b""),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", b"431"),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", b"414"),
        (b"\x16\x03\x01\x02\x00\x01", b""),
        (b"", b""),
    ],
)
def test_hostile_bytes_end_the_connection_and_nothing_else(content: bytes, status: bytes, seen: Seen) -> None:
    with serving_(seen) as (where, _):
        answer = raw(where, content)
        assert answer[9:12] == status if status else answer == b"" or b" 400 " in answer
        # One answer, and then the end: what is left of a body is not the next request.
        assert answer.count(b"HTTP/1.1 ") <= 1
        assert ask(where, "POST", "/add-checkpoint", request(5, 0))[0] == 200


def test_a_connection_carries_many_requests(seen: Seen) -> None:
    with serving_(seen) as (where, _), closing(http.client.HTTPConnection(where, timeout=20)) as connection:
        connection.connect()
        kept = connection.sock
        for size in range(1, 10):
            connection.request("POST", "/add-checkpoint", request(size, size - 1))
            answer = connection.getresponse()
            assert (answer.status, answer.read()[:3]) == (200, "\N{EM DASH}".encode())
        assert connection.sock is kept


@pytest.mark.parametrize("word", [b"", b"x"])
def test_a_connection_that_says_nothing_or_too_little_is_ended(word: bytes, seen: Seen) -> None:
    with serving_(seen, connection_s=0.3) as (where, _):
        host, port = where.split(":")
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(b"POST /add-checkpoint HTTP/1.1\r\nX-Slow: ")
            # A byte now and then keeps no connection alive.
            connection.settimeout(0.05)
            for _ in range(1000):
                # Ended between two bytes, it is a reset.
                with suppress(TimeoutError, ConnectionResetError):
                    assert connection.recv(1000)[:12] in (b"", b"HTTP/1.1 400")
                    break
                with suppress(OSError):
                    connection.sendall(word)
            else:
                pytest.fail("still there")


def test_there_is_room_for_so_many_connections_and_then_for_others_again(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "MAX_CONNECTIONS", 3)
    monkeypatch.setattr(serving._Handler, "timeout", 600)
    with serving_(seen) as (where, _):
        host, port = where.split(":")
        held = [socket.create_connection((host, int(port)), timeout=20) for _ in range(3)]
        # At once, and not only when it has been silent for long.
        with socket.create_connection((host, int(port)), timeout=60) as one_more:
            assert one_more.recv(100) == b""
        for one in held:
            one.close()
        for _ in range(2000):
            with suppress(OSError, http.client.HTTPException):
                if ask(where, "POST", "/add-checkpoint", request(5, 0))[0] == 200:
                    break
            time.sleep(0.02)
        else:
            pytest.fail("no room again")


def test_a_witness_whose_own_record_is_damaged_tells_its_keeper_and_not_the_world(seen: Seen) -> None:
    seen.add(Request(0, (), log_of(5).head))
    (seen.folder / "seen" / HASH).write_bytes(b"x")
    with serving_(seen) as (where, told):
        assert ask(where, "POST", "/add-checkpoint", request(9, 5)) == (500, PLAIN, b"")
        (seen.folder / "seen" / HASH).write_bytes(b"x" * (MAX_NOTE_BYTES + 1))
        assert ask(where, "GET", f"/{HASH}/checkpoint")[0] == 500
    assert "is damaged, and it cannot be witnessed any more" in told[0]


def test_a_witness_that_nobody_hears_cosigns_all_the_same(seen: Seen) -> None:
    """Its standard error is closed, or the disk behind it is full."""

    def full(_: Text) -> None:
        raise OSError(28, os.strerror(28))

    with serving_to(full, seen) as where:
        assert ask(where, "POST", "/add-checkpoint", request(5, 0))[0] == 200
        assert ask(where, "POST", "/add-checkpoint", request(9, 4))[0] == 409
        assert ask(where, "POST", "/add-checkpoint", request(9, 5, "b"))[0] == 422


def test_one_witness_asked_by_many_at_once_cosigns_one_history(seen: Seen) -> None:
    """Both histories grow, from many clients at a time; only one of them is ever cosigned."""
    cosigned: list[tuple[str, int]] = []
    with serving_(seen) as (where, _):
        url = f"http://{where}"

        def grow(branch: str, sizes: range) -> None:
            for size in sizes:
                with suppress(UnwitnessedError, RollbackError):
                    cosignature(url, seen.cosigner.key, log_of(size, branch))
                    cosigned.append((branch, size))

        threads = [threading.Thread(target=grow, args=(branch, range(start, 40, 4))) for branch in ("a", "b") for start in range(1, 5)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    assert len({branch for branch, _ in cosigned}) == 1
    last = seen.last(made.ORIGIN)
    assert last is not None
    assert last.checkpoint.size == max(size for _, size in cosigned)
    assert list((seen.folder / "misbehaviour").iterdir())


def test_a_witness_killed_at_any_moment_goes_on_from_what_it_recorded(seen: Seen) -> None:
    """kill -9 of the real process, again and again; what was cosigned before stays cosigned, and nothing older is."""
    known = 0
    for round_ in range(5):
        server = subprocess.Popen(
            [sys.executable, "-m", "tutela", "ledger", "witness", str(seen.folder), "--serve", "127.0.0.1:0"],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "TUTELA_LANG": "en"},
        )
        assert server.stderr is not None
        url = server.stderr.readline().split(" serves at ")[1].strip()
        # It is killed by the side, at another moment each time.
        killer = threading.Timer(0.02 + 0.03 * round_, server.send_signal, [signal.SIGKILL])
        killer.start()
        with suppress(UnreachableError):
            for size in range(known + 1, known + 500):
                cosignature(url, seen.cosigner.key, log_of(size), known)
                known = size
        killer.join()
        server.communicate()
        last = seen.last(made.ORIGIN)
        recorded = last.checkpoint.size if last else 0
        assert recorded in (known, known + 1)
        if recorded:
            with pytest.raises(ConflictError) as conflict:
                seen.add(Request(recorded + 1, (), log_of(recorded + 1).head))
            assert conflict.value.size == recorded
        known = recorded
    assert known > 0


def test_submitting_is_one_call_and_no_more() -> None:
    with answering(reply("409 Conflict", b"7\n", SIZE)) as (url, asked):
        with pytest.raises(ConflictError) as conflict:
            submit(url, Request(0, (), log_of(5).head))
        assert (conflict.value.size, len(asked)) == (7, 1)
