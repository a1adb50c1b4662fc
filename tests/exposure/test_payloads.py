"""Questions to UDP services and what their answers tell. The answers here come from the specifications; test_udp.py asks real daemons."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.exposure.answers import SERVED, dns_refusing
from tutela.exposure.payloads import PORTS, QUESTIONS, Answer, recognise
from tutela.exposure.ports import FRAGILE

TOKEN, OTHER = bytes(range(65, 81)), bytes(range(97, 113))
WITHOUT_TOKEN = {
    "ssdp",
    "ntp-private",
    "kerberos",
    "ms-sql-browser",
    "rip",
    "nat-pmp",
    "xdmcp",
    "tftp",
    "dtls",
    "source-engine",
    "daytime",
    "qotd",
    "chargen",
    "time",
}
"""Their protocols send nothing back that the client chose; a connected socket's port is all that binds answer to question."""

TOLD = {
    "dns": Answer("recursion available", True),
    "mdns": Answer("2 services"),
    "netbios-ns": Answer("FILES OFFICE"),
    "ssdp": Answer("Linux/5.4 UPnP/1.1 MiniUPnPd/2.3"),
    "ws-discovery": Answer("dn:NetworkVideoTransmitter"),
    "slp": Answer("service:VMwareInfrastructure,service:wbem:https"),
    "ntp": Answer("version 4, stratum 2"),
    "ntp-control": Answer("ntpd 4.2.6p5@1.2349-o", True),
    "ntp-private": Answer("monlist", True),
    "memcached": Answer("1.6.18", True),
    "ldap": Answer("dc1.example.net"),
    "kerberos": Answer("EXAMPLE.NET"),
    "rpcbind": Answer("programs 100000 100005 100003", True),
    "nfs": Answer(),
    "ms-sql-browser": Answer("ServerName;DB1;InstanceName;MSSQLSERVER;IsClustered;No;Version;15.0.2000.5;tcp;1433;;"),
    "coap": Answer("</sensors>;ct=40", True),
    "rip": Answer("version 2, 4 routes", True),
    "nat-pmp": Answer("203.0.113.9", True),
    "xdmcp": Answer("willing", True),
    "tftp": Answer("File not found"),
    "quic": Answer("v1 v2"),
    "dtls": Answer(),
    "ike": Answer("v2 NO_PROPOSAL_CHOSEN"),
    "openvpn": Answer(),
    "l2tp": Answer("router"),
    "rdp-udp": Answer(),
    "stun": Answer("coturn4"),
    "sip": Answer("Asterisk PBX 20.6.0"),
    "iax2": Answer(),
    "source-engine": Answer("My server"),
    "echo": Answer("", True),
    "daytime": Answer("Sunday, November 22, 2026 08:00:00-UTC", True),
    "qotd": Answer("", True),
    "chargen": Answer("", True),
    "time": Answer("", True),
}


def named(question):
    return f"{question.name}-{question.ports[0]}-{question.source.partition(',')[0]}"


def answers(question, token):
    """What the service sends back, datagram by datagram."""
    found = SERVED[question.name][0](question.ask(token))
    return found if isinstance(found, list) else [found]


@pytest.mark.parametrize("question", QUESTIONS, ids=named)
def test_the_answer_of_its_specification_is_understood(question):
    told = [one for one in (recognise(question, TOKEN, answer) for answer in answers(question, TOKEN)) if one is not None]
    wanted = TOLD.get(question.name)
    if question.name == "snmp":
        wanted = Answer("Switch 24 [2Jfirmware 1.02", True) if b"public" in question.ask(TOKEN) else Answer("v3, engine 80001f8801")
    assert told
    assert told[0] == wanted


@pytest.mark.parametrize("question", [question for question in QUESTIONS if question.name not in WITHOUT_TOKEN], ids=named)
def test_an_answer_to_another_question_is_not_taken(question):
    assert [recognise(question, OTHER, answer) for answer in answers(question, TOKEN)] == [None] * len(answers(question, TOKEN))


@pytest.mark.parametrize("question", [question for question in QUESTIONS if question.name not in ("echo", "qotd", "chargen", "ms-sql-browser")], ids=named)
def test_the_question_itself_sent_back_is_no_answer(question):
    assert recognise(question, TOKEN, question.ask(TOKEN)) is None


def test_a_name_server_that_refuses_strangers_is_not_open_to_anyone():
    question = QUESTIONS[0]
    assert recognise(question, TOKEN, dns_refusing(question.ask(TOKEN))) == Answer("REFUSED")


def test_no_port_of_a_fragile_device_is_asked():
    assert FRAGILE.isdisjoint(PORTS)
    assert {53, 69, 88, 111, 123, 137, 161, 389, 443, 500, 1194, 1900, 2049, 3389, 3478, 3702, 4500, 5060, 5353, 5683, 11211, 27015}.issubset(PORTS)


@pytest.mark.parametrize("question", QUESTIONS, ids=named)
def test_a_question_fits_into_any_packet_and_says_where_it_is_written_down(question):
    asked = question.ask(TOKEN)
    # IPv6 guarantees 1280 bytes on every path, 48 of them for headers (RFC 8200).
    assert 0 < len(asked) <= 1232
    assert question.source
    assert question.ask(TOKEN) == asked


def harmless(told):
    return told is None or (len(told.said) <= 120 and not any(unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp", "Cs", "Co", "Cn") for char in told.said))


@given(st.binary(max_size=600))
def test_no_bytes_make_it_stumble(raw):
    for question in QUESTIONS:
        assert harmless(recognise(question, TOKEN, raw))


@given(st.sampled_from(QUESTIONS), st.data())
def test_no_damaged_answer_makes_it_stumble(question, data):
    raw = bytearray(data.draw(st.sampled_from(answers(question, TOKEN))))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(raw[: data.draw(st.integers(0, len(raw)))])
    tail = data.draw(st.binary(max_size=40))
    assert harmless(recognise(question, TOKEN, cut + tail))


@pytest.mark.parametrize("question", QUESTIONS, ids=named)
def test_the_largest_datagram_is_read_at_once(question):
    import time

    began = time.process_time()
    for answer in answers(question, TOKEN):
        for filler in (b"\x00", b"A", b"<", b"\x80\x00\x00\x00\x00\x07", b"\r\nserver:", b"STAT version ", b"dnsHostName1\x00\x04\x00", b"0\x80"):
            assert harmless(recognise(question, TOKEN, (answer + filler * (65_000 // len(filler)))[:65_000]))
    assert time.process_time() - began < 2


def test_the_documentation_lists_every_question():
    text = (Path(__file__).parents[2] / "docs/spec/scan-output.md").read_text("utf-8")
    for question in QUESTIONS:
        assert f"| `{question.name}` | {', '.join(map(str, question.ports))} | {question.source} |\n" in text
