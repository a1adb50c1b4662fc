"""What a scan leaves is read back as it was, whatever services say about themselves."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import scenes
from tutela.evidence import Status
from tutela.exposure.echo import answers_echo
from tutela.exposure.evidence import Recorder, not_looked
from tutela.exposure.model import Open, Service, Summary, Tally, Tls
from tutela.facts import scans
from tutela.facts.scans import Scan
from tutela.language import Text

AT = datetime(2026, 11, 22, 7, 59, tzinfo=UTC)
ADDRESS, PLACE = "192.0.2.10", "203.0.113.7"
WORDS = st.text(max_size=300)


def read(recorder: Recorder, *, whole: bool = True) -> Scan:
    found = recorder.evidence(ADDRESS, PLACE, AT, whole=whole)
    assert found.status is Status.OK
    seen = scenes.look({"sources": {found.name: found.content.decode("ascii")}}).fact(scans.parse)
    assert seen.unseen == ()
    return seen.seen[0]


@given(WORDS, WORDS, WORDS, st.lists(WORDS, max_size=60), st.one_of(st.none(), WORDS), st.one_of(st.none(), st.booleans()))
def test_whatever_a_service_says_stands_in_its_own_line(name: str, said: str, key: str, names: list[str], hsts: str | None, auth: bool | None) -> None:
    recorder = Recorder(range(1, 65536))
    recorder.take(Open(ADDRESS, "tcp", 443, 0.1))
    recorder.take(Open(ADDRESS, "tcp", 22, 0.1))
    recorder.take(Tally(ADDRESS, 65535, (22, 443), 65533, 0, 0))
    tls = Tls(("TLSv1.2",), (), said, said, tuple(names), "2027-01-31T00:00:00Z", key, None, hsts)
    recorder.take(Service(ADDRESS, "tcp", 443, name, said, auth, tls))
    recorder.take(Summary("raw", 1.0, 2, 2, 0.0, 0.0))

    scan = read(recorder)

    assert [(one.port, one.service is None) for one in scan.open] == [(22, True), (443, False)]
    assert (scan.open[1].service, scan.open[1].said, scan.open[1].without_authentication) == (name[:200], said[:200], auth)
    assert scan.open[1].tls is not None
    assert scan.open[1].tls.names == tuple(one[:200] for one in names[:50])
    assert (scan.whole, scan.answered, scan.everything) == (True, True, False)


def test_a_certificate_full_of_odd_names_hides_no_port() -> None:
    odd = "\U0001f600" * 400
    recorder = Recorder((443,))
    recorder.take(Tally(ADDRESS, 1, (443,), 0, 0, 0))
    recorder.take(Service(ADDRESS, "tcp", 443, odd, odd, None, Tls((odd,) * 90, (odd,) * 90, odd, odd, (odd,) * 90, odd, odd, None, odd)))

    assert [one.port for one in read(recorder).open] == [443]


def test_ports_that_a_helper_answered_are_not_kept() -> None:
    recorder = Recorder((22, 80))
    recorder.take(Open(ADDRESS, "tcp", 80, 0.1))
    recorder.take(Tally(ADDRESS, 2, (22,), 0, 0, 0, Text("有设备应答", "something answers")))

    scan = read(recorder)

    assert [one.port for one in scan.open] == [22]
    assert scan.everything


def test_where_all_is_silent_an_echo_shows_that_there_is_a_way() -> None:
    recorder = Recorder((22,))
    recorder.take(Tally(ADDRESS, 1, (), 0, 0, 1))

    assert not recorder.answered(ADDRESS)
    assert not read(recorder).answered
    found = recorder.evidence(ADDRESS, PLACE, AT, whole=True, echo=True)
    assert scenes.look({"sources": {found.name: found.content.decode()}}).fact(scans.parse).seen[0].answered


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_an_echo_is_answered_where_it_may_be_asked(address: str) -> None:
    assert answers_echo(ip_address(address)) in ((True,) if os.geteuid() == 0 else (True, None))


@pytest.mark.root
def test_nobody_answers_for_an_address_without_a_host() -> None:
    script = "from ipaddress import ip_address; from tutela.exposure.echo import answers_echo; print(answers_echo(ip_address('198.18.0.9')))"
    argv = ["unshare", "--net", sys.executable, "-c", script]
    run = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30, env=os.environ | {"PYTHONPATH": "src"})

    assert run.stdout.strip() == "False"


def test_udp_counts_as_asked_only_where_it_came_to_its_end_and_the_sender_is_named() -> None:
    recorder = Recorder((22,), (53, 161))
    recorder.take(Tally(ADDRESS, 1, (22,), 0, 0, 0))
    recorder.take(Summary("raw", 1.0, 2, 2, 0.0, 0.0, resident=True))
    recorder.take(Open(ADDRESS, "udp", 53, 0.1))
    assert (read(recorder).udp, read(recorder).tcp) == ((), ((22, 22),))

    recorder.take(Tally(ADDRESS, 2, (53,), 0, 0, 1, protocol="udp"))
    recorder.take(Summary("udp", 3.0, 6, 3, None, None))

    scan = read(recorder)
    assert scan.udp == ((53, 53), (161, 161))
    assert [(one.protocol, one.port) for one in scan.open] == [("tcp", 22), ("udp", 53)]
    assert scan.method == "raw"
    assert b"\nby the resident scanner\n" in recorder.evidence(ADDRESS, PLACE, AT, whole=True).content


def test_of_several_protocols_on_a_port_the_one_that_matters_most_is_kept_with_its_bytes() -> None:
    recorder = Recorder((), (123,))
    recorder.take(Tally(ADDRESS, 0, (), 0, 0, 0))
    recorder.take(Open(ADDRESS, "udp", 123, 0.1))
    for service in (
        Service(ADDRESS, "udp", 123, "ntp-private", "monlist", True, amplification=550.0, asked_bytes=8, answered_bytes=4400),
        Service(ADDRESS, "udp", 123, "ntp", "version 4", None, amplification=1.0, asked_bytes=48, answered_bytes=48),
        Service(ADDRESS, "udp", 123, "ntp-control", "4.2", True, amplification=30.0, asked_bytes=12, answered_bytes=360),
    ):
        recorder.take(service)

    found = read(recorder).open[0]
    assert (found.service, found.without_authentication, found.asked_bytes, found.answered_bytes) == ("ntp-private", True, 8, 4400)


def test_a_scan_without_its_tally_is_cut_and_proves_nothing() -> None:
    assert not read(Recorder((22,))).whole


def test_why_nobody_looked_is_said_in_both_languages() -> None:
    found = not_looked(ADDRESS, "desk", Text("没有路由", "no route"))
    seen = scenes.look({"sources": {found.name: {"status": found.status.value, "content": found.content.decode(), "rc": found.rc}}}).fact(scans.parse)

    assert [one.why for one in seen.unseen] == [Text("没有路由", "no route")]


@given(st.sets(st.integers(1, 65535), min_size=1, max_size=50))
def test_ports_are_listed_and_read_back(ports: set[int]) -> None:
    recorder = Recorder(ports)
    recorder.take(Tally(ADDRESS, len(ports), (), len(ports), 0, 0))

    scan = read(recorder)

    assert scan.asked(frozenset(ports))
    assert not scan.asked(frozenset(ports) | {next(port for port in range(1, 65536) if port not in ports)})
