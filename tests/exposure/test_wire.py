"""What the resident scanner and its clients say to each other, and what it admits: no socket, no clock."""

import json
import random
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from tutela.errors import ScanError
from tutela.exposure.addresses import Addresses, Ranges
from tutela.exposure.admission import Allowed, Limits, Lists, Peer, RefusedError, admitted
from tutela.exposure.model import Open, Progress, Request, Service, Summary, Tally, Tls
from tutela.exposure.recent import AN_HOST, Recent
from tutela.exposure.wire import MOST_LINE, Asking, event_line, read_event, request_line
from tutela.language import Text

GOOD = {"schema": "tutela/scanner/1", "addresses": ["198.18.0.2"], "ports": "22,80-90"}


def test_events_arrive_as_they_were_sent():
    tls = Tls(("TLSv1.2",), (), "a.example", "b", ("a.example", "b.example"), "2027-01-31T00:00:00Z", "RSA 2048", None, None)
    for event in (
        Open("192.0.2.1", "tcp", 22, 0.25),
        Service("192.0.2.1", "tcp", 443, "https", "nginx \x1b[2J", None, tls),
        Progress(1, 2, 3, 4.0, 5.0, None),
        Tally("192.0.2.1", 9, (22, 80), 1, 2, 3, Text("说明", "note")),
        Summary("raw", 1.0, 9, 2, None, 0.1, (Text("一", "one"), Text("二", "two"))),
    ):
        assert read_event(json.loads(event_line(event))) == event


def test_requests_arrive_as_they_were_sent():
    addresses = Addresses.of([ip_address("198.18.0.9"), ip_address("198.18.0.2"), ip_address("198.18.0.3"), ip_address("fd98::2")])
    request = Request(addresses, (22, 80, 81, 82), 5e4, 10.0, None, 2, 0.02, (3, 500), True)
    line = request_line(request, seconds=9).encode()
    asking = Asking(line)
    assert (asking.count, asking.seconds) == (4, 9)
    assert asking.request(asking.ranges, 1e6) == request
    assert asking.request(asking.ranges, 100.0).rate == 100.0


def test_a_sixteen_is_a_short_line():
    request = Request(Addresses.of_ranges([(4, int(ip_address("198.18.0.0")), int(ip_address("198.18.255.255")))]), (22,))
    assert len(request_line(request)) < 200
    assert Asking(request_line(request).encode()).count == 65536


@pytest.mark.parametrize(
    "wrong",
    [
        {"addresses": []}, {"addresses": "198.18.0.2"}, {"addresses": [7]}, {"addresses": ["198.18.0.9-198.18.0.2"]}, {"addresses": ["fe80::1%eth0"]},
        {"addresses": ["198.18.0.2-fd98::1"]}, {"addresses": ["host.example"]}, {"ports": ""}, {"ports": "0"}, {"ports": "65536"}, {"ports": "9-8"},
        {"ports": "22,22"}, {"ports": "1-65535,1-65535"}, {"ports": "２２"}, {"ports": ["22"]}, {"rate": 0}, {"rate": -1}, {"rate": "9"}, {"rate": True},
        {"rate": 10**400}, {"rounds": 17}, {"known": [1]}, {"known": [-1, 2]}, {"known": [True, 2]}, {"seconds": 0}, {"extra": 1}, {"schema": "tutela/scan/1"},
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused(wrong):
    with pytest.raises(ScanError):
        Asking(json.dumps(GOOD | wrong).encode())


@pytest.mark.parametrize(
    "line",
    [b"", b"\xff\xfe", b"null", b"[]", b"[" * (MOST_LINE - 1), b'{"a":' * 200_000, b'{"schema": NaN}', b"9" * MOST_LINE, b'{"schema": "tutela/scanner/1"}'],
    ids=["empty", "no UTF-8", "null", "list", "deep", "deeper", "NaN", "long number", "nothing else"],
)
def test_hostile_lines_are_refused(line):
    with pytest.raises(ScanError):
        Asking(line)


def test_random_changes_of_a_request_never_do_worse_than_refuse():
    chance = random.Random(3)
    line = json.dumps(GOOD | {"rate": 100, "known": [0, 9]}).encode()
    for _ in range(3000):
        raw = bytearray(line)
        for _ in range(chance.randint(1, 4)):
            raw[chance.randrange(len(raw))] = chance.choice(b'0198{}[]",:.-e\x00\xff')
        try:
            Asking(bytes(raw))
        except ScanError:
            continue


@pytest.mark.parametrize("said", [{}, {"event": "open"}, {"event": "tally", "address": 1}, {"event": "no"}, {"event": ["open"]}])
def test_strange_answers_are_errors(said):
    with pytest.raises(ScanError):
        read_event(said)


ALLOWED, AWAY = Ranges([ip_network("198.18.0.0/24"), ip_network("fd98::/64")]), Ranges([ip_network("198.18.0.64/26")])


def ask(*addresses: str, ports: str = "22") -> list:
    return admitted(Asking(json.dumps(GOOD | {"addresses": addresses, "ports": ports}).encode()), Limits(), ALLOWED, AWAY)


def test_an_address_named_twice_is_asked_once_and_who_opted_out_never():
    wanted = ask("198.18.0.2", "198.18.0.60-198.18.0.130", "198.18.0.2-198.18.0.61")
    addresses = list(Addresses.of_ranges(wanted))
    assert len(addresses) == len(set(addresses)) == 62 + 3
    assert ip_address("198.18.0.64") not in addresses


@pytest.mark.parametrize(
    "addresses,ports,code",
    [
        (["198.18.1.1"], "22", "foreign"),
        (["198.18.0.2", "198.18.0.250-198.18.1.3"], "22", "foreign"),
        (["fd99::1"], "22", "foreign"),
        (["224.0.0.1"], "22", "special"),
        (["255.255.255.255"], "22", "special"),
        (["::ffff:198.18.0.2"], "22", "special"),
        (["fe80::1"], "22", "special"),
        (["0.0.0.0-255.255.255.255"], "22", "too-large"),
        (["198.18.0.0-198.18.0.255"], "1-65535", "too-large"),
        (["198.18.0.70-198.18.0.80"], "22", "opted-out"),
    ],
)
def test_what_may_not_be_scanned_is_refused(addresses, ports, code):
    with pytest.raises(RefusedError) as refused:
        ask(*addresses, ports=ports)
    assert refused.value.code == code
    assert refused.value.message.zh != refused.value.message.en


@pytest.mark.parametrize("text", ["", "# nothing\n", "0.0.0.0/0\n", "::/0\n", "198.18.0.0/7\n", "224.0.0.0/24\n", "198.18.0.1/24\n"])
def test_prefixes_that_nobody_owns_are_no_permission(tmp_path, text):
    path = tmp_path / "allow"
    path.write_text(text)
    with pytest.raises(ScanError):
        Lists([path], [])


def test_a_list_without_a_prefix_is_named(tmp_path):
    (tmp_path / "allow").write_text("# nothing yet\n")
    with pytest.raises(ScanError, match=f"{tmp_path}/allow: no prefix may be scanned"):
        Lists([tmp_path / "allow"], [])
    with pytest.raises(ScanError, match=r"^no prefix may be scanned"):
        Lists([], [])


def test_a_list_that_became_wrong_changes_nothing(tmp_path):
    path = tmp_path / "allow"
    path.write_text("198.18.0.0/24\n")
    lists = Lists([path], [])
    path.write_text("198.18.0.0/24\nno prefix\n")
    with pytest.raises(ScanError):
        lists.read()
    Path(path).unlink()
    with pytest.raises(ScanError):
        lists.read()
    assert lists.allowed == (ip_network("198.18.0.0/24"),)


def test_who_may_ask():
    allowed = Allowed(frozenset({0, 33}), frozenset({980}))
    assert allowed.admits(Peer(1, 33, (33,)))
    assert allowed.admits(Peer(1, 1000, (1000, 980)))
    assert not allowed.admits(Peer(1, 1000, (1000, 33)))


def test_answers_are_told_again_for_a_time_and_hosts_are_not_asked_without_end():
    recent = Recent(60.0)
    recent.keep("question", ["line\n"], 100.0)
    assert recent.answer("question", 130.0) == (30.0, ["line\n"])
    assert recent.answer("other", 130.0) is None
    assert recent.answer("question", 160.0) is None
    assert recent.wait_s(["host"], AN_HOST, 0.0) == 0.0
    recent.asked(["host"], AN_HOST // 2, 0.0)
    recent.asked(["host"], AN_HOST // 2, 10.0)
    assert recent.wait_s(["host", "other"], 1, 20.0) == 40.0
    assert recent.wait_s(["host"], AN_HOST, 20.0) == 50.0
    assert recent.wait_s(["host"], 1, 61.0) == 0.0
    assert recent.wait_s(["other"], AN_HOST, 20.0) == 0.0
