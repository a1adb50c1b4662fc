"""Answers that are made up: whatever comes back, a talk ends, raises nothing, and tells nothing that could steer a terminal."""

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.exposure import made_up
from tutela.exposure.identify import certificate, greeting, hints, mail, postgresql, rsync, stapling, vnc, web
from tutela.exposure.identify.talk import Finding, words

STARTS = sorted({*hints.BY_PORT.values(), *hints.FALLBACK, mail.talk, rsync.talk, vnc.talk}, key=lambda start: (start.__module__, start.__name__))
MOST_ASKS = 12
PORTS = (21, 25, 80, 2375, 2379, 5984, 9200, 10250, 8888)

pieces = st.sampled_from(
    [piece for conversation in made_up.CONVERSATIONS.values() for piece in conversation.values()]
    + [b"HTTP/1.1 200 OK\r\n", b"\r\n\r\n", b"\xff" * 40, b"\0" * 40, b"220 a\r\n", b"RFB 003.008\n", b"@RSYNCD: 31.0\n", b"\x1b[2J\xe2\x80\xae", b"[" * 5000]
)


@st.composite
def answers(draw):
    """Bytes by chance; true answers, cut, joined and with bytes changed."""
    answer = draw(st.one_of(st.binary(max_size=200), pieces, st.builds(bytes.__add__, pieces, st.binary(max_size=20))))
    answer = answer[: draw(st.integers(0, len(answer)))] if draw(st.booleans()) else answer
    for _ in range(draw(st.integers(0, 3))):
        if answer:
            at = draw(st.integers(0, len(answer) - 1))
            answer = answer[:at] + bytes((draw(st.integers(0, 255)),)) + answer[at + 1 :]
    return answer


def hold(start, port, replies):
    """The talk with these replies, and nothing after them; returns what it found."""
    talk = start("192.0.2.1", port)
    asks = 0
    answer = None
    try:
        ask = next(talk)
        while True:
            asks += 1
            assert asks <= MOST_ASKS
            answer = replies.pop(0) if replies else b""
            assert ask.until(answer) in (True, False)
            ask = talk.send(answer)
    except StopIteration as end:
        return end.value


def harmless(found):
    assert found is None or isinstance(found, Finding)
    if found is not None:
        assert found.name is None or (found.name.isprintable() and len(found.name) < 40)
        assert found.said.isprintable()
        assert len(found.said) <= 80
        assert found.without_authentication in (True, False, None)
        assert found.hsts is None or (found.hsts.isprintable() and len(found.hsts) <= 80)


@pytest.mark.parametrize("start", STARTS, ids=lambda start: f"{start.__module__.rpartition('.')[2]}.{start.__name__}")
def test_an_echo_of_our_own_words_is_no_service(start):
    talk = start("192.0.2.1", 8080)
    found = None
    try:
        ask = next(talk)
        for _ in range(MOST_ASKS):
            ask = talk.send(ask.send)
    except StopIteration as end:
        found = end.value
    assert found is None or found.name is None


@pytest.mark.parametrize("start", STARTS, ids=lambda start: f"{start.__module__.rpartition('.')[2]}.{start.__name__}")
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(port=st.sampled_from(PORTS), replies=st.lists(answers(), max_size=6))
def test_no_answer_breaks_a_talk(start, port, replies):
    harmless(hold(start, port, replies))


MORE = {
    "nats guarded": (4222, {b"": b'INFO {"server_id":"N","version":"2.9.10","auth_required":true}\r\n'}),
    "vnc of three types": (5900, {b"": b"RFB 003.008\n", b"RFB 003.008\n": b"\3\2\5\1"}),
    "amqp anonymous": (5672, {needle: answer.replace(b"PLAIN AMQPLAIN", b"PLAINANONYMOUS") for needle, answer in made_up.CONVERSATIONS["amqp"].items()}),
    "redis": (6379, {b"PING": b"+PONG\r\n", b"INFO": b"$24\r\nredis_version:7.0.15\r\n..\r\n"}),
    "redis with few rights": (6379, {b"PING": b"+PONG\r\n", b"INFO": b"-NOPERM this user has no permissions\r\n"}),
    "memcached guarded": (11211, {b"version": b"CLIENT_ERROR unauthenticated\r\n"}),
    "mqtt guarded": (1883, {b"MQTT": b"\x20\2\0\5"}),
    "couchdb open": (5984, made_up.CONVERSATIONS["couchdb"] | {b"GET /_all_dbs": made_up.http("200 OK", b"[]")}),
}
TOLD = MORE | {
    name: (port, made_up.CONVERSATIONS[name]) for port, name in made_up.SERVERS.items() if port in hints.BY_PORT or b"" in made_up.CONVERSATIONS[name]
}


def converse(port, conversation, cut_turn=-1, cut_at=0):
    """What is found where one answer, by its number, ends too early."""
    turn = 0

    def answer(sent):
        nonlocal turn
        said = next((said for needle, said in conversation.items() if needle and needle in sent), b"") if sent else conversation.get(b"", b"")
        turn += 1
        return said[:cut_at] if turn - 1 == cut_turn else said

    start = greeting.read(answer(b"")) if b"" in conversation else hints.BY_PORT[port]
    if not callable(start):
        return start
    talk = start("192.0.2.1", port)
    try:
        ask = next(talk)
        while True:
            ask = talk.send(answer(ask.send))
    except StopIteration as end:
        return end.value


@pytest.mark.parametrize("name", TOLD)
def test_an_answer_that_is_cut_accuses_nobody_and_acquits_nobody(name):
    port, conversation = TOLD[name]
    whole = converse(port, conversation)
    verdicts = {None, whole and whole.without_authentication}
    for turn in range(6):
        for at in range(max(map(len, conversation.values()))):
            found = converse(port, conversation, turn, at)
            assert found is None or found.without_authentication in verdicts, (turn, at)


@pytest.mark.parametrize("start", STARTS, ids=lambda start: f"{start.__module__.rpartition('.')[2]}.{start.__name__}")
def test_who_answers_nothing_is_nothing(start):
    assert hold(start, 1, []) is None


@settings(max_examples=500, deadline=None)
@given(answers())
@example(b"\x4a\0\0\0\x0a" + b"9.9.9" * 30)
def test_no_greeting_breaks_the_reader(raw):
    found = greeting.read(raw)
    if not callable(found):
        harmless(found)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=500) | st.text(max_size=500))
def test_words_are_printable_and_short(raw):
    said = words(raw)
    assert said.isprintable()
    assert len(said) <= 80


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_certificate_breaks_the_reader(der, data):
    raw = bytearray(der)
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    seen = certificate.read(bytes(raw[: data.draw(st.integers(0, len(raw)))] if data.draw(st.booleans()) else raw))
    assert all(word.isprintable() and len(word) <= 80 for word in (seen.subject, seen.issuer, seen.ends, seen.key, *seen.names))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 300))
def test_no_handshake_breaks_the_search_for_a_stapled_answer(raw, length):
    assert stapling.read(raw) in (True, False, None)
    assert stapling.read(b"\x16\3\3" + length.to_bytes(2, "big") + b"\x0b\0\0\1a" + raw) in (True, False, None)


@pytest.fixture(scope="module")
def der(tmp_path_factory):
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    from tests.exposure.daemons import certificate as make

    return x509.load_pem_x509_certificate(make(tmp_path_factory.mktemp("certificate"))[0].read_bytes()).public_bytes(Encoding.DER)


def test_a_certificate_is_read_whole(der):
    seen = certificate.read(der)
    assert (seen.subject, seen.ends, seen.key) == ("www.example.net", "2031-05-06T07:08:09Z", "EC P-256")


_NO_ENTRY = b"E\0\0\0\x4fSFATAL\0C28000\0Mno pg_hba.conf entry for host, no encryption\0\0"


@pytest.mark.parametrize("offered,answer,free", [(b"N", _NO_ENTRY, False), (b"S", _NO_ENTRY, None), (b"S", b"R\0\0\0\x08\0\0\0\0", True), (b"S", b"", None)])
def test_what_only_tls_would_tell_is_not_known_without_it(offered, answer, free):
    assert hold(postgresql.talk, 5432, [offered, answer]).without_authentication is free


@pytest.mark.parametrize(
    "raw,name,said,free",
    [
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", "ssh", "OpenSSH_9.2p1", None),
        (b"Welcome\r\nSSH-1.99-old\r\n", "ssh", "old (SSH 1)", None),
        (b"SSH-\x1b]0;x\x07-\x1b[2J\n", "ssh", "[2J (SSH ]0;x )", None),
        (b"* OK [CAPABILITY IMAP4rev1] Dovecot ready.\r\n", "imap", "[CAPABILITY IMAP4rev1] Dovecot ready.", None),
        (b"+OK Dovecot ready.\r\n", "pop3", "Dovecot ready.", None),
        (b'INFO {"server_id":"A","version":"2.9.10","auth_required":true}\r\n', "nats", "2.9.10", False),
        (b'INFO {"server_id":"A","version":"2.9.10"}\r\n', "nats", "2.9.10", True),
        (
            b"\x45\0\0\0\xff\x6a\x04Host '192.0.2.9' is not allowed to connect to this MariaDB server",
            "mariadb",
            "Host '192.0.2.9' is not allowed to connect to this MariaDB server",
            False,
        ),
        (b"\x4a\0\0\0\x0a8.0.36\0" + bytes(66), "mysql", "8.0.36", None),
        (b"\xff\xfd\x18\xff\xfd\x20", "telnet", "", None),
        (b"-DENIED Redis is running in protected mode\r\n", "redis", "", False),
        (b"-ERR max number of clients reached\r\n", "redis", "ERR max number of clients reached", None),
        (b"hello \x1b[31mworld\n", None, "hello [31mworld", None),
    ],
)
def test_greetings(raw, name, said, free):
    found = greeting.read(raw)
    assert (found.name, found.said, found.without_authentication) == (name, said, free)


@pytest.mark.parametrize("answer,whole", [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", True),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", False),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", True),
    (b"HTTP/1.1 200 OK\r\n\r\nwho knows how long", False),
    (b"HTTP/1.1 200 OK\r\nServer:", False),
    (b"SSH-2.0-x\r\n", True),
])  # fmt: skip
def test_an_http_answer_is_whole_when_what_it_announces_is_there(answer, whole):
    assert web.complete(answer) is whole
