"""The events of a scan as text, JSON lines and CSV."""

import csv
import io
import json
import unicodedata
from importlib import resources

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutela.exposure.model import CONNECT, RAW, UDP, Asked, Change, Open, Progress, Service, Summary, Tally, Tls
from tutela.exposure.notes import EVERY_PORT
from tutela.exposure.udp import NOTE
from tutela.language import Lang
from tutela.report.columns import width
from tutela.report.open_ports import WRITERS, CsvWriter, TextWriter

SCHEMA = json.loads((resources.files("tutela") / "report/scan-1.schema.json").read_bytes())
HOST, HOST6 = "192.0.2.10", "2001:db8::10"
TLS = Tls(
    ("SSLv3", "TLSv1", "TLSv1.2", "TLSv1.3"),
    ("SSLv2", "TLSv1.1"),
    "www.example.net",
    "Example CA",
    ("www.example.net",),
    "2027-01-31T00:00:00Z",
    "RSA 2048",
    False,
    None,
)
EVENTS = (
    Open(HOST, "tcp", 22, 0.03),
    Open(HOST, "tcp", 443, 0.04),
    Open(HOST, "tcp", 6379, 0.05),
    Open(HOST, "tcp", 50000, 0.06),
    Progress(1200, 131070, 4, 99000.0, 1.3, 0.02),
    Tally(HOST, 65535, (22, 443, 6379, 50000), 65000, 31, 500, rtt_s=0.02),
    Open(HOST, "udp", 53, 0.01),
    Open(HOST, "udp", 123, 0.01),
    Open(HOST, "udp", 1194, 0.02),
    Service(HOST, "udp", 123, "ntp", "version 4, stratum 2", amplification=1.0, asked_bytes=48, answered_bytes=48),
    Service(HOST, "udp", 123, "ntp-private", "monlist", True, amplification=550.0, asked_bytes=8, answered_bytes=4400),
    Service(HOST, "udp", 53, "dns", "REFUSED", amplification=1.0, asked_bytes=17, answered_bytes=17),
    Tally(HOST, 40, (53, 123, 1194), 6, 0, 31, protocol="udp"),
    Service(HOST, "tcp", 22, "ssh", "OpenSSH_9.2p1 Debian-2+deb12u3"),
    Service(HOST, "tcp", 443, "https", "nginx", tls=TLS),
    Service(HOST, "tcp", 6379, "redis", "7.0.15", True),
    Service(HOST, "tcp", 50000, None),
    Summary(RAW, 1.234, 131070, 2, 0.02, 0.5),
    Summary(UDP, 2.6, 104, 3, None, None, (NOTE,)),
)
HOSTILE = "=cmd|'/C calc'!A0\x1b[2J\u202eevil\u2028\r\n\x00\u200b,\"x"


def said(form, lang=Lang.EN, events=EVENTS, **options):
    writer = WRITERS[form](lang, **options)
    return "".join(map(writer.take, events)) + writer.end()


def test_text_says_what_is_open_what_it_is_and_what_stands_open():
    assert (
        said("text").split("\n")
        == """\
   22/tcp  open
  443/tcp  open
 6379/tcp  open
50000/tcp  open
192.0.2.10: 4 open, 65000 closed, 31 refused on the way, 500 silent (of 65535)
  123/udp  ntp  version 4, stratum 2
  123/udp  ntp-private  monlist
           ! answers without authentication
           ! answers 550 times what it is asked (4400 bytes for 8): can be
           misused to flood others
   53/udp  dns  REFUSED
 1194/udp  open
192.0.2.10 UDP: 3 answered, 6 closed, 0 refused on the way, 31 without an answer
  (open or filtered), of 40
   22/tcp  ssh  OpenSSH_9.2p1 Debian-2+deb12u3
  443/tcp  https  nginx
           SSL 3.0 (outdated), TLS 1.0 (outdated), TLS 1.2, TLS 1.3; not tested:
           SSL 2.0, TLS 1.1; certificate www.example.net until 2027-01-31, RSA
           2048; chain not trusted; no HSTS
 6379/tcp  redis  7.0.15
           ! answers without authentication
50000/tcp  not recognised
by SYN packets; 1.2 s, 131070 packets, 2 rounds, round trips lost: 2.0%
loss may have hidden about 0.50 open ports
by UDP payloads; 2.6 s, 104 packets, 3 rounds, round trips lost: unknown
UDP: only an answer shows anything; WireGuard, syslog, RADIUS and others never
  answer strangers
WARNING: 2 services answer without authentication to whoever can reach the port;
close it or demand authentication at once:
  ! 123/udp  ntp-private
  ! 6379/tcp  redis
""".split("\n")
    )


def test_text_in_chinese():
    words = said("text", Lang.ZH)
    for part in (
        "   22/tcp  开放\n",
        "192.0.2.10：4 个开放，65000 个关闭，31 个被路径拒绝，500 个无应答（共 65535 个）\n",
        "           ！应答是询问的 550 倍（问 8 字节，答 4400 字节），可被利用来攻击他人\n",
        "31 个无应答（开放或被",
        "方式：SYN 探测包；1.2 秒，131070 个包，2 轮，往返丢包 2.0%\n因丢包可能漏掉约 0.50 个开放端口\n",
        "  ! 6379/tcp  redis\n",
    ):
        assert part in words


def test_one_round_is_one_round():
    assert said("text", events=(Summary(RAW, 0.1, 1, 1, 0.0, 0.0),)).startswith("by SYN packets; 0.1 s, 1 packet, 1 round, round trips lost: 0.0%\n")


def test_what_udp_would_say_is_never_left_open():
    tcp = [event for event in EVENTS if getattr(event, "protocol", "tcp") == "tcp" and getattr(event, "method", RAW) == RAW]
    assert "UDP: not tested" in said("text", events=tcp)
    assert "UDP：未测试" in said("text", Lang.ZH, events=tcp)
    assert "not tested (--udp" not in said("text")


@pytest.mark.parametrize("lang", list(Lang))
@pytest.mark.parametrize("many", [False, True])
def test_no_line_is_wider_than_a_terminal(lang, many):
    notes = (
        Tally("2001:db8:1111:2222:3333:4444:5555:6666", 65535, (22,), 65000, 500, 34, EVERY_PORT),
        Summary(CONNECT, 1234.5, 13107000, 8, 0.0975, 12.5, (NOTE,)),
    )
    words = said("text", lang, (*EVENTS, *notes), many=many)
    assert [line for line in words.split("\n") if width(line) > 80] == []


def test_among_many_hosts_those_without_an_open_port_take_no_line():
    words = said("text", events=(Open(HOST6, "tcp", 22, 0.1), Tally(HOST6, 70, (22,), 69, 0, 0), Tally(HOST, 70, (), 0, 0, 70)), many=True)
    assert words.split("\n")[:2] == ["2001:db8::10       22/tcp  open", "2001:db8::10: 1 open, 69 closed, 0 refused on the way, 0 silent (of 70)"]
    assert HOST not in words


def test_every_line_of_jsonl_is_valid_against_the_published_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    schema = jsonschema.Draft202012Validator(SCHEMA)
    changes = [Change(HOST, "tcp", 22, what, "ssh") for what in ("opened", "closed", "filtered", "silent", "service")]
    events = (*EVENTS, Asked(("192.0.2.1-192.0.2.254",), "22,80"), *changes, Tally(HOST, 9, (1,), 8, 0, 0, EVERY_PORT))
    lines = [json.loads(line) for line in said("jsonl", events=events).splitlines()]
    for line in lines:
        schema.validate(line)
    assert {line["event"] for line in lines} == {"open", "service", "tally", "summary", "asked", "change"}
    assert len(lines) == len(events) - 1


@pytest.mark.parametrize("key,value", [("port", 0), ("port", "22"), ("protocol", "sctp"), ("event", "opened"), ("address", "web\x1b1"), ("more", 1)])
def test_the_schema_refuses_what_is_no_event(key, value):
    line = json.loads(said("jsonl", events=EVENTS[:1])) | {key: value}
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(line)


def rows(words):
    return list(csv.DictReader(io.StringIO(words.removeprefix("\ufeff"), newline="")))


def test_csv_has_a_row_for_each_port_or_for_each_service_on_it():
    found = rows(said("csv", services=True))
    assert [(row["port"], row["protocol"], row["service"]) for row in found] == [
        ("123", "udp", "ntp"),
        ("123", "udp", "ntp-private"),
        ("53", "udp", "dns"),
        ("22", "tcp", "ssh"),
        ("443", "tcp", "https"),
        ("6379", "tcp", "redis"),
        ("50000", "tcp", ""),
        ("1194", "udp", ""),
    ]
    assert [row["without_authentication"] for row in found] == ["", "true", "", "", "", "true", "", ""]
    assert found[4]["tls"] == "SSLv3 TLSv1 TLSv1.2 TLSv1.3"
    assert found[1]["amplification"] == "550.0"


def test_csv_without_services_tells_each_port_at_once():
    writer = CsvWriter(Lang.EN)
    assert writer.take(EVENTS[0]) == ",".join(CsvWriter.COLUMNS) + "\r\n192.0.2.10,tcp,22,open,,,,,,\r\n"
    assert writer.take(EVENTS[1]) == "192.0.2.10,tcp,443,open,,,,,,\r\n"
    assert writer.end() == ""


def test_csv_keeps_what_was_found_when_nothing_told_what_it_is():
    assert [row["port"] for row in rows(said("csv", events=EVENTS[:4], services=True))] == ["22", "443", "6379", "50000"]


def test_csv_leaves_out_what_turned_out_to_answer_everywhere():
    events = (Open(HOST, "tcp", 22, 0.1), Open(HOST, "tcp", 81, 0.1), Tally(HOST, 65535, (22,), 0, 0, 0, EVERY_PORT))
    assert [row["port"] for row in rows(said("csv", events=events, services=True))] == ["22"]


def test_chinese_csv_begins_with_a_byte_order_mark_for_excel():
    assert said("csv", Lang.ZH).startswith("\ufeffaddress,")


@pytest.mark.parametrize("form", list(WRITERS))
def test_what_a_service_calls_itself_steers_no_terminal_and_no_spreadsheet(form):
    tls = Tls(("TLSv1.3",), (), HOSTILE, HOSTILE, (HOSTILE,), "2027-01-31T00:00:00Z", "EC P-256", True, HOSTILE)
    words = said(form, events=(Service(HOST, "udp", 161, "snmp", HOSTILE, True, tls, 9.0),), services=True)
    bad = {char for char in words if unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp", "Cs")}
    assert bad <= {"\n", "\r"}
    if form == "csv":
        assert rows(words)[0]["said"].startswith("'=cmd")
    elif form == "jsonl":
        assert json.loads(words)["said"] == HOSTILE


@given(st.sampled_from(list(WRITERS)), st.sampled_from(list(Lang)), st.text(max_size=200), st.text(min_size=1, max_size=20))
def test_no_words_of_a_service_break_the_report(form, lang, foreign, name):
    words = said(form, lang, (Service(HOST, "tcp", 80, name, foreign, None, TLS),), services=True)
    assert {char for char in words.removeprefix("\ufeff") if unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp", "Cs")} <= {"\n", "\r"}
    if form == "csv":
        assert len(rows(words)) == 1
    elif form == "jsonl":
        assert json.loads(words)["said"] == foreign


def test_progress_is_no_part_of_any_report():
    for form in WRITERS:
        assert WRITERS[form](Lang.EN).take(EVENTS[4]) in ("", ",".join(CsvWriter.COLUMNS) + "\r\n")
    assert isinstance(WRITERS["text"](Lang.EN), TextWriter)
