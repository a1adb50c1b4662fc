"""SSL 3.0 and 2.0: taken, refused, or not to be seen. A real server of SSL 3.0 is in test_identify.py; of SSL 2.0 there is none, so that its answers here are by the specification."""

import asyncio
import contextlib
import socket
import socketserver
import ssl
import struct
import threading

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.exposure.daemons import certificate
from tutela.exposure.identify import door, identify
from tutela.exposure.identify.door import Door
from tutela.exposure.identify.obsolete import VERSIONS, read_ssl2, read_ssl3, ssl2_hello, ssl3_hello, takes
from tutela.exposure.identify.tls import Agreed, inspect
from tutela.exposure.model import Tls
from tutela.facts import tls as facts
from tutela.report import services

HERE = "127.0.0.1"


def record(kind: int, body: bytes, version: bytes = b"\3\0") -> bytes:
    return bytes((kind,)) + version + struct.pack(">H", len(body)) + body


def server_hello(version: bytes) -> bytes:
    body = version + bytes(32) + b"\0" + b"\0\x0a" + b"\0"
    return b"\2" + struct.pack(">I", len(body))[1:] + body


def ssl2_server_hello(version: int = 2, cert: bytes = bytes(821), kinds: bytes = b"\1\0\x80\7\0\xc0", name: bytes = bytes(16)) -> bytes:
    """draft-hickman-netscape-ssl-00, section 2.6."""
    body = b"\4\0\1" + struct.pack(">HHHH", version, len(cert), len(kinds), len(name)) + cert + kinds + name
    return struct.pack(">H", 0x8000 | len(body)) + body


TAKES3, OTHER = record(22, server_hello(b"\3\0") + b"\x0b\0\3\xe8" + bytes(1000)), record(22, server_hello(b"\3\1"))
REFUSES, WARNS, SAYS_GOODBYE = record(21, b"\2\x28"), record(21, b"\1\x70"), record(21, b"\1\0")
NO_CIPHER = b"\x80\3\0\0\1"
OPENSSL = bytes.fromhex("83680400010002033500180010308203313082")
"""How OpenSSL 1.0.2 began its SERVER-HELLO of 874 bytes."""
WEB = b"HTTP/1.1 400 Bad Request\r\n\r\n"


@pytest.mark.parametrize(
    "answer,told",
    [
        (TAKES3, True),
        (b"".join(record(22, bytes((byte,))) for byte in server_hello(b"\3\0")), True),
        (WARNS + TAKES3, True),
        (OTHER, False),
        (REFUSES, False),
        (record(21, b"\2\x46", b"\3\3"), False),
        (SAYS_GOODBYE, False),
        (b"", None),
        (WARNS, None),
        (record(21, b"\2\x28\0"), None),
        (record(22, b"\2\0") + REFUSES, None),
        (record(22, b"\x0b\0\0\2\3\0"), None),
        (record(23, b"\2\0\0\x26\3\0"), None),
        (b"\x16\4\0\0\x2a" + server_hello(b"\3\0"), None),
        (ssl2_server_hello(), None),
        (WEB, None),
    ],
)
def test_an_answer_to_ssl_3(answer, told):
    assert read_ssl3(answer) is told


@pytest.mark.parametrize(
    "answer,told",
    [
        (OPENSSL, True),
        (ssl2_server_hello(), True),
        (ssl2_server_hello(kinds=b""), True),
        (NO_CIPHER, False),
        (REFUSES, False),
        (OTHER, False),
        (TAKES3, False),
        (b"", None),
        (NO_CIPHER[:-1], None),
        (b"\x80\4\0\0\1\0", None),
        (ssl2_server_hello(version=0x0301), None),
        (b"\x80\x0b" + ssl2_server_hello()[2:], None),
        (b"\xff" * 40, None),
        (WEB, None),
    ],
)
def test_an_answer_to_ssl_2_by_the_specification(answer, told):
    assert read_ssl2(answer) is told


@pytest.mark.parametrize("read", [read_ssl2, read_ssl3])
@pytest.mark.parametrize("answer", [TAKES3, WARNS + TAKES3, OTHER, REFUSES, SAYS_GOODBYE, NO_CIPHER, ssl2_server_hello()])
def test_an_answer_that_is_cut_says_the_same_or_nothing(read, answer):
    assert {read(answer[:end]) for end in range(len(answer))} <= {None, read(answer)}


pieces = st.sampled_from([TAKES3, OTHER, REFUSES, WARNS, NO_CIPHER, ssl2_server_hello(), OPENSSL, WEB, b"\x16\3\0\0\0", b"\x16\3\0\xff\xff", b"\x80\0"])


@settings(max_examples=500, deadline=None)
@given(parts=st.lists(st.one_of(pieces, st.binary(max_size=40)), max_size=5), at=st.integers(0, 60), byte=st.integers(0, 255))
@example(parts=[b"\x16\3\0\0\0"] * 6_500, at=0, byte=0x16)
def test_no_answer_breaks_the_reading_nor_opens_what_it_does_not_name(parts, at, byte):
    answer = b"".join(parts)
    answer = answer[:at] + bytes((byte,)) + answer[at + 1 :]
    assert read_ssl3(answer) in (True, False, None)
    assert read_ssl2(answer) in (True, False, None)
    if read_ssl3(answer):
        assert answer[0] in (21, 22)
        assert b"\3\0" in answer
    if read_ssl2(answer):
        assert (answer[2], answer[5:7]) == (4, b"\0\2")


def test_what_is_sent_is_whole_and_offers_nothing_else():
    two = ssl2_hello()
    kind, version, kinds, session, challenge = struct.unpack(">BHHHH", two[2:11])
    assert (kind, version, session, challenge) == (1, 2, 0, 16)
    assert struct.unpack(">H", two[:2])[0] == 0x8000 | len(two) - 2
    assert (kinds % 3, 11 + kinds + challenge) == (0, len(two))
    # A cipher of SSL 3 or TLS would begin with zero here (RFC 5246, appendix E.2).
    assert 0 not in two[11 : 11 + kinds : 3]

    three = ssl3_hello()
    assert (three[:3], int.from_bytes(three[3:5], "big"), three[5]) == (b"\x16\3\0", len(three) - 5, 1)
    assert (int.from_bytes(three[6:9], "big"), three[9:11], three[43]) == (len(three) - 9, b"\3\0", 0)
    assert 46 + int.from_bytes(three[44:46], "big") + 2 == len(three) < 256


def test_who_judges_and_who_reports_call_them_old():
    assert set(VERSIONS) <= set(facts.OLD)
    assert set(VERSIONS) <= services._OLD


class Server(socketserver.ThreadingTCPServer):
    """Speaks TLS; what it does when SSL 2.0 or 3.0 is offered is in `acts`, by the first bytes."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 50

    def __init__(self, folder, acts):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*certificate(folder))
        self.acts, self.asked, self.over = acts, [], threading.Event()
        super().__init__((HERE, 0), Handler)


class Handler(socketserver.BaseRequestHandler):
    server: Server

    def handle(self):
        first = self.request.recv(3, socket.MSG_PEEK)
        name = next((name for name, version in VERSIONS.items() if version.hello()[:3] == first), None)
        with contextlib.suppress(OSError):
            if name is None:
                with self.server.context.wrap_socket(self.request, server_side=True) as line:
                    line.recv(100)
            else:
                self.server.asked.append(name)
                self.server.acts[name](self)

    def refuse(self):
        self.request.recv(4096)
        self.request.sendall(REFUSES)

    def hang_up(self):
        self.request.recv(4096)

    def reset(self):
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def babble(self):
        self.request.recv(4096)
        self.request.sendall(WEB)

    def stay_silent(self):
        # Until the look is over: it waits no longer than a port has time.
        self.server.over.wait()

    def take(self):
        self.request.sendall(ssl2_server_hello() if self.request.recv(4096)[0] & 0x80 else TAKES3)
        self.server.over.wait()

    def drip(self):
        for byte in TAKES3[:20]:
            self.request.sendall(bytes((byte,)))

    def flood(self):
        while True:
            self.request.sendall(b"\x16\3\0\0\0" * 10_000)


def looked_at(folder, two, three):
    """What a look finds, and which versions it asked for."""
    with Server(folder, {"SSLv2": two, "SSLv3": three}) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            (service,) = identify([(HERE, "tcp", server.server_address[1])])
        finally:
            server.over.set()
            server.shutdown()
            thread.join()
    assert service.tls is not None
    return service.tls, server.asked


@pytest.mark.parametrize("act,asked", [(Handler.refuse, 1), (Handler.hang_up, 2), (Handler.reset, 2)])
def test_who_refuses_or_hangs_up_does_not_take_them(tmp_path, act, asked):
    tls, questions = looked_at(tmp_path, act, act)
    assert (tls.versions, tls.untested) == (("TLSv1.2", "TLSv1.3"), ())
    assert sorted(questions) == ["SSLv2"] * asked + ["SSLv3"] * asked


@pytest.mark.parametrize("act", [Handler.stay_silent, Handler.babble, Handler.flood])
def test_whose_answer_does_not_come_or_is_no_answer_was_not_seen_refusing(tmp_path, act):
    tls, questions = looked_at(tmp_path, act, act)
    assert (tls.versions, tls.untested) == (("TLSv1.2", "TLSv1.3"), ("SSLv2", "SSLv3"))
    assert sorted(questions) == ["SSLv2", "SSLv3"]


def test_ssl_2_taken_by_the_specification_and_ssl_3_refused(tmp_path):
    tls, questions = looked_at(tmp_path, Handler.take, Handler.refuse)
    assert (tls.versions, tls.untested) == (("SSLv2", "TLSv1.2", "TLSv1.3"), ())
    assert sorted(questions) == ["SSLv2", "SSLv3"]


@pytest.mark.parametrize("act", [Handler.take, Handler.drip])
def test_ssl_3_taken_and_ssl_2_silent(tmp_path, act):
    tls, _ = looked_at(tmp_path, Handler.stay_silent, act)
    assert (tls.versions, tls.untested) == (("SSLv3", "TLSv1.2", "TLSv1.3"), ("SSLv2",))


def test_a_server_that_took_no_version_of_tls_and_hangs_up_told_nothing(tmp_path):
    with socketserver.TCPServer((HERE, 0), lambda line, *_: line.recv(4096)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()

        async def inspected() -> Tls:
            return await inspect(Door(HERE, server.server_address[1]), Agreed())

        try:
            tls = asyncio.run(inspected())
        finally:
            server.shutdown()
            thread.join()
    assert tls.untested[:2] == ("SSLv2", "SSLv3")


@pytest.mark.parametrize("version", VERSIONS)
def test_silence_takes_no_time_from_what_else_is_asked(monkeypatch, version):
    """Of the three connections that a port gets at once it would hold two, until time is up."""
    monkeypatch.setattr(door, "PORT_S", 60.0)
    monkeypatch.setattr(door, "MOST_S", 60.0)

    async def asked(port):
        there = Door(HERE, port)
        return await takes(there, VERSIONS[version], speaks=True), there.left_s()

    with socket.create_server((HERE, 0)) as silent:
        taken, left_s = asyncio.run(asked(silent.getsockname()[1]))
    assert taken is None
    assert left_s > 30
