"""Who decides what is scanned: whoever asks, never the host."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Self

import pytest

from tests import scenes
from tutela.cli import elsewhere, main
from tutela.cli.elsewhere import Elsewhere, read_places, refuse_bundles
from tutela.collect.elsewhere import Seen
from tutela.collect.run import Look, Running
from tutela.collect.target import BundleTarget, LocalTarget, SshTarget
from tutela.errors import CollectError, ScanError, UsageError
from tutela.evidence import Bundle
from tutela.exposure.model import Event, Open, Request, Service, Summary, Tally
from tutela.language import Text

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
HOST = SshTarget("web1", "web1.example")
DESK = SshTarget("desk", "desk.example")
RESIDENT = (Path("/run/tutela/scanner.sock"), False)
LOST = 0.02
OWN = ["192.0.2.10", "203.0.113.80"]
"""What the host calls its own; the second is somebody else's."""


@pytest.fixture
def scanned(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Addresses that are scanned from here; none ever is."""
    asked: list[str] = []

    def scan(request: Request, *, stop: Callable[[], bool], resident: tuple[Path, bool] | None) -> Iterator[Event]:
        assert not stop()
        assert request.fresh
        assert resident == RESIDENT
        asked.extend(map(str, request.addresses))
        yield Tally(str(request.addresses[0]), 65535, (22,), 65534, 0, 0)
        yield Summary("raw", 1.0, 2, 2, LOST, 0.0)

    monkeypatch.setattr(elsewhere, "scan", scan)
    monkeypatch.setattr(elsewhere, "identify", lambda _opened, **_options: iter(()))
    monkeypatch.setattr(elsewhere, "answers_echo", lambda _address: None)
    monkeypatch.setattr(elsewhere, "own_address", lambda _towards: "198.51.100.1")
    yield asked


def resolving(monkeypatch: pytest.MonkeyPatch, name: str | None, *addresses: str) -> None:
    monkeypatch.setattr(elsewhere, "connected_to", lambda *_words, **_options: name)
    monkeypatch.setattr(elsewhere, "read_targets", lambda _words: tuple(map(ip_address, addresses)))


def bundle(own: list[str]) -> Bundle:
    lines = ["1: lo    inet 127.0.0.1/8 scope host lo", *(f"2: eth0    inet {one}/24 scope global eth0" for one in own)]
    routes = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT"
    made = scenes.bundle({"sources": {"ip -o addr": "\n".join(lines), "/proc/net/route": routes}}, "web1")
    return replace(made, meta={"transport": "ssh"})


def looking(places: list[SshTarget], networks: dict[str, Any], *, udp: bool = False) -> Elsewhere:
    return Elsewhere(places, Look(), scenes.site({"site": {"networks": networks}}), (), lambda: NOW, Running(), resident=RESIDENT, udp=udp)


def added(target: Any, *, own: list[str] = OWN, places: list[SshTarget] | None = None, networks: dict[str, Any] | None = None, udp: bool = False) -> Bundle:
    one = looking(places or [], networks or {}, udp=udp)
    one.begin(target)
    try:
        return one.added(bundle(own), target)
    finally:
        one.end()


def scans(found: Bundle) -> list[str]:
    return [name for name in found.sources if name.startswith("scan of ")]


def test_the_address_that_ssh_connects_to_is_scanned_and_no_other_that_the_host_claims(monkeypatch: pytest.MonkeyPatch, scanned: list[str]) -> None:
    resolving(monkeypatch, "web1.example", "192.0.2.10")

    found = added(HOST)

    assert scanned == ["192.0.2.10"]
    assert scans(found) == ["scan of 192.0.2.10 from 198.51.100.1"]


def test_own_addresses_inside_the_site_are_scanned_too(monkeypatch: pytest.MonkeyPatch, scanned: list[str]) -> None:
    resolving(monkeypatch, "web1.example", "192.0.2.10")

    added(HOST, own=[*OWN, "192.0.2.11"], networks={"assigned": ["192.0.2.0/24"]})

    assert scanned == ["192.0.2.10", "192.0.2.11"]


def test_behind_another_host_the_name_leads_nowhere_from_here(monkeypatch: pytest.MonkeyPatch, scanned: list[str]) -> None:
    resolving(monkeypatch, None, "192.0.2.10")

    found = added(HOST)

    assert scanned == []
    assert b"another host" in found[scans(found)[0]].content


def test_a_forwarded_port_on_this_machine_is_not_the_host(monkeypatch: pytest.MonkeyPatch, scanned: list[str]) -> None:
    resolving(monkeypatch, "localhost", "127.0.0.1")

    added(HOST)

    assert scanned == []


def test_of_a_name_for_several_machines_the_hosts_own_address_is_scanned(monkeypatch: pytest.MonkeyPatch, scanned: list[str]) -> None:
    resolving(monkeypatch, "pool.example", "192.0.2.99", "192.0.2.10")

    added(HOST)

    assert scanned == ["192.0.2.10"]


def test_this_host_needs_somebody_else_to_look(scanned: list[str]) -> None:
    found = added(LocalTarget())

    assert scanned == OWN
    said = json.loads(found["scan of this host from here"].content)
    assert "--scan-from" in said["en"]
    assert "--scan-from" in said["zh"]


def test_what_another_place_saw_stands_beside(monkeypatch: pytest.MonkeyPatch, scanned: list[str]) -> None:
    resolving(monkeypatch, "web1.example", "192.0.2.10")
    asked = asked_by_way_of_desk(monkeypatch, (22, 80))

    found = added(HOST, places=[DESK])

    assert scanned == ["192.0.2.10"]
    assert asked == [22, 80]
    content = found["scan of 192.0.2.10 from 198.51.100.9"].content
    assert b'open tcp 80 {"name":"http"' in content
    assert b"services not asked" not in content
    assert Bundle.from_bytes(found.to_bytes()) == found


@pytest.mark.parametrize("way", ["breaks", "is not there", "never runs"])
def test_where_nobody_could_ask_from_there_what_answers_this_is_said(monkeypatch: pytest.MonkeyPatch, scanned: list[str], way: str) -> None:
    resolving(monkeypatch, "web1.example", "192.0.2.10")
    asked_by_way_of_desk(monkeypatch, (22, 80), way=way)

    content = added(HOST, places=[DESK])["scan of 192.0.2.10 from 198.51.100.9"].content

    assert content.endswith(b"services not asked\nopen tcp 22\nopen tcp 80\nend")


def test_where_something_answers_on_every_port_only_ports_that_matter_are_asked(monkeypatch: pytest.MonkeyPatch, scanned: list[str]) -> None:
    resolving(monkeypatch, "web1.example", "192.0.2.10")
    asked = asked_by_way_of_desk(monkeypatch, tuple(range(1, 2001)))

    content = added(HOST, places=[DESK])["scan of 192.0.2.10 from 198.51.100.9"].content

    assert b"everything answers\n" in content
    assert 10 < len(asked) < 100
    assert 22 in asked


def asked_by_way_of_desk(monkeypatch: pytest.MonkeyPatch, opened: tuple[int, ...], *, way: str = "stands") -> list[int]:
    """Ports that are asked what they are, from a place that found these open; nothing is sent."""
    asked: list[int] = []

    class Relay:
        ended = way == "breaks"
        connect = None

        def __init__(self, argv: list[str], running: Running) -> None:
            if way == "is not there":
                raise CollectError(Text("无法运行 ssh", "cannot run ssh"))

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *problem: object) -> None:
            pass

        def runs(self, seconds: float) -> bool:
            return way != "never runs"

    def identify(places: list[tuple[str, str, int]], **options: object) -> Iterator[Service]:
        if "way" in options:
            asked.extend(port for _, _, port in places)
            yield from (Service(address, "tcp", port, "http") for address, _, port in places)

    monkeypatch.setattr(elsewhere, "look_from", lambda *_words, **_options: [Seen("192.0.2.10", "198.51.100.9", opened, 65535 - len(opened), 0, 0, 2)])
    monkeypatch.setattr(elsewhere, "Relay", Relay)
    monkeypatch.setattr(elsewhere, "identify", identify)
    return asked


def test_a_place_that_cannot_look_says_why(monkeypatch: pytest.MonkeyPatch, scanned: list[str]) -> None:
    resolving(monkeypatch, "web1.example", "192.0.2.10")

    def refused(*_words: object, **_options: object) -> list[Seen]:
        raise CollectError(Text("没有 python3", "there is no python3"))

    monkeypatch.setattr(elsewhere, "look_from", refused)

    found = added(HOST, places=[SshTarget("desk", "desk.example")])

    assert scanned == ["192.0.2.10"]
    assert found["scan of 192.0.2.10 from desk"].status == "failed"


def test_a_host_that_was_not_reached_gets_no_scan(monkeypatch: pytest.MonkeyPatch, scanned: list[str]) -> None:
    resolving(monkeypatch, "web1.example", "192.0.2.10", "192.0.2.11")
    lost = replace(bundle(OWN), meta={"unreachable": "no answer"})

    assert looking([], {}).added(lost, HOST) is lost
    assert scanned == []


def asked_over_udp(monkeypatch: pytest.MonkeyPatch, *, refused: bool = False) -> list[float | None]:
    """What UDP is asked with; nothing is sent."""
    asked: list[float | None] = []

    def scan_udp(request: Request, *, lost: float | None, stop: Callable[[], bool]) -> Iterator[Event]:
        assert not stop()
        asked.append(lost)
        yield Open(str(request.addresses[0]), "udp", 161, 0.1)
        if refused:
            raise ScanError(Text("本机拒绝发送", "this machine refused to send"))
        yield Service(str(request.addresses[0]), "udp", 161, "snmp", "Linux", True)
        yield Tally(str(request.addresses[0]), len(request.ports), (161,), 0, 0, len(request.ports) - 1, protocol="udp")
        yield Summary("udp", 3.0, 9, 3, None, None)

    monkeypatch.setattr(elsewhere, "scan_udp", scan_udp)
    return asked


def test_udp_is_asked_when_told_with_the_loss_that_tcp_measured(monkeypatch: pytest.MonkeyPatch, scanned: list[str]) -> None:
    resolving(monkeypatch, "web1.example", "192.0.2.10")
    asked = asked_over_udp(monkeypatch)

    assert b"\nudp -\n" in added(HOST)["scan of 192.0.2.10 from 198.51.100.1"].content
    assert asked == []

    said = added(HOST, udp=True)["scan of 192.0.2.10 from 198.51.100.1"].content
    assert asked == [LOST]
    assert b",161," in said.split(b"\nudp ")[1].split(b"\n")[0]
    assert b'open udp 161 {"name":"snmp"' in said
    assert said.endswith(b"end")
    assert b"method raw\n" in said


def test_where_this_machine_lets_no_udp_out_tcp_still_counts(monkeypatch: pytest.MonkeyPatch, scanned: list[str]) -> None:
    resolving(monkeypatch, "web1.example", "192.0.2.10")
    asked_over_udp(monkeypatch, refused=True)

    said = added(HOST, udp=True)["scan of 192.0.2.10 from 198.51.100.1"].content

    assert b"\nudp -\n" in said
    assert b"open tcp 22\n" in said
    assert said.endswith(b"end")


def test_udp_and_scanner_without_a_scan_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--udp"], ["--scanner", "/run/x"]):
        assert main(["check", *words, "--lang", "en"]) == 1
        assert "need --scan" in capsys.readouterr().err


def test_recorded_bundles_and_other_words_are_refused(tmp_path: Any) -> None:
    with pytest.raises(UsageError):
        refuse_bundles([BundleTarget(tmp_path)])
    for words in ("desk.example", "ssh://desk/x", "http://desk", ""):
        with pytest.raises(UsageError):
            read_places([words])
    assert read_places(["ssh://me@desk:2222", "ssh://me@desk:2222"]) == [SshTarget("desk", "desk", "me", 2222)]
