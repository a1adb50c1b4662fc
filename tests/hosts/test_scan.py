"""`check --scan` against real hosts: from the centre, and from another host over SSH; what the host hides is seen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hosts import look
from tests.lab.host import Host
from tests.lab.lab import Lab
from tutela.collect.archive import read_bundle

pytest_plugins = ["tests.lab.fixtures"]
pytestmark = [pytest.mark.lab, pytest.mark.root]

SITE = """\
schema: tutela/site/1
networks:
  admin: [198.18.0.0/24, "2001:db8:0:ad::/64"]
  assigned: [198.18.1.0/24, "2001:db8:0:1::/64"]
approved_ports:
- {port: 22, application: SSH, reason: "Only for this test"}
"""
HIDE = """\
systemd-run -q --unit=hidden systemd-socket-activate -l 4444 --accept cat
mv /usr/bin/ss /usr/bin/ss.real
printf '#!/bin/sh\\n/usr/bin/ss.real "$@" | grep -v ":4444 "\\n' >/usr/bin/ss
chmod 755 /usr/bin/ss
until /usr/bin/ss.real -lnt | grep -q :4444; do sleep 0.1; done
"""
SHOW = "mv /usr/bin/ss.real /usr/bin/ss; systemctl stop hidden"


@pytest.fixture(scope="module")
def target(lab: Lab) -> Iterator[Host]:
    host = lab.start("plain", name="scanned")
    yield host
    lab.stop(host)


@pytest.fixture
def folder(tmp_path: Path, target: Host, lab_host: Callable[[str], Host]) -> Path:
    (tmp_path / "site.yaml").write_text(SITE, "utf-8")
    # The last words of each file hold for every host, so all of them are asked before.
    texts = [host.ssh_config_file.read_text("utf-8") for host in (target, lab_host("keeps-all"), lab_host("no-systemd-no-python"), lab_host("firewalld-host"))]
    parts = [text.partition("Host *\n") for text in texts]
    (tmp_path / "ssh").write_text("".join(part[0] for part in parts) + "Host *\n" + parts[0][2], "utf-8")
    return tmp_path


ENVIRONMENT = os.environ | {"PYTHONPATH": str(look.ROOT / "src"), "LC_ALL": "C.UTF-8"}


def argv(host: Host, *words: object) -> list[str]:
    return host.centre.exec_argv([sys.executable, "-m", "tutela", *map(str, words)])


def tutela(host: Host, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv(host, *words), capture_output=True, text=True, env=ENVIRONMENT, check=False, timeout=400)


def checked(host: Host, folder: Path, *more: str, name: str = "") -> dict[str, Any]:
    words = ["check", f"ssh://root@{name or host.name}", "--quick", "--format", "json", "--site", folder / "site.yaml", "--ssh-config", folder / "ssh"]
    run = tutela(host, *words, "--keep", folder / "kept", *more)
    assert run.returncode in (2, 3), run.stderr
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def results(report: dict[str, Any], *checks: str) -> dict[str, str]:
    said = {one["catalogue"]: one["result"] for one in report["verdicts"]}
    return {check: said[check] for check in checks}


def observed(report: dict[str, Any], check: str) -> list[str]:
    verdict = next(one for one in report["verdicts"] if one["catalogue"] == check)
    return [word for seen in verdict["observations"] if seen["met"] is not True for word in seen["observed"]]


def reason(report: dict[str, Any], check: str) -> str:
    verdict = next(one for one in report["verdicts"] if one["catalogue"] == check)
    return str(verdict["reason"]["en"])


def test_a_scan_from_two_places_decides_and_is_replayed_to_the_same_bytes(target: Host, folder: Path, lab_host: Callable[[str], Host]) -> None:
    report = checked(target, folder, "--scan", "--scan-from", "ssh://root@keeps-all")

    assert results(report, "H-023", "H-025", "H-026", "H-068") == {"H-023": "pass", "H-025": "pass", "H-026": "fail", "H-068": "pass"}
    scans = sorted(name for name in report["sources"] if name.startswith("scan of "))
    assert len(scans) == 4, scans
    assert {report["sources"][name]["status"] for name in scans} == {"ok"}
    assert any("external" in one for one in observed(report, "H-026"))

    assert report["exposure"]["services_not_asked_from"] == []
    there = read_bundle(folder / "kept" / "scanned.bundle")[f"scan of {target.address} from {lab_host('keeps-all').address}"].content
    assert b'open tcp 22 {"name":"ssh","said":"OpenSSH_' in there

    replayed = tutela(target, "check", folder / "kept" / "scanned.bundle", "--format", "json", "--site", folder / "site.yaml")
    assert json.loads(replayed.stdout) == report


def test_from_the_centre_alone_nothing_is_shown_about_strangers(target: Host, folder: Path) -> None:
    report = checked(target, folder, "--scan")

    assert results(report, "H-025", "H-068") == {"H-025": "pass", "H-068": "unknown"}
    assert "from outside" in reason(report, "H-068")


@pytest.fixture
def resident(target: Host, folder: Path) -> Iterator[Path]:
    """A resident scanner in the centre."""
    (folder / "allow").write_text("198.18.0.0/15\n2001:db8::/32\n", "utf-8")
    path = folder / "scanner.sock"
    words = ["scanner", "--user", "nobody", "--allow", folder / "allow", "--socket", path]
    with subprocess.Popen(argv(target, *words), env=ENVIRONMENT, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert b'"ready"' in process.stderr.readline()
        yield path
        process.terminate()


def test_a_check_through_the_resident_scanner_asks_udp_too(target: Host, folder: Path, resident: Path) -> None:
    """And what listens on a UDP port that has no question, or says nothing, is not called closed."""
    target.run("systemd-run -q --unit=quiet systemd-socket-activate -d -l 9999 cat; until ss -lnu | grep -q :9999; do sleep 0.1; done")
    report = checked(target, folder, "--scan", "--udp", "--scanner", str(resident))
    target.run("systemctl stop quiet")

    said = read_bundle(folder / "kept" / "scanned.bundle")[f"scan of {target.address} from {target.centre.address}"].content.decode().splitlines()
    assert said[4:6] == ["method raw", "by the resident scanner"]
    assert any(line.startswith("open tcp 22 ") for line in said)
    assert ",161," in next(line for line in said if line.startswith("udp "))
    assert report["exposure"]["udp_looked_from"] == ["admin"]
    quiet = next(one for one in report["exposure"]["ports"] if one["port"] == 9999)
    assert (quiet["protocol"], quiet["open_from"], quiet["closed_from"], quiet["unclear_from"]) == ("udp", [], [], [])


def test_a_port_that_the_host_hides_is_a_finding(target: Host, folder: Path) -> None:
    target.run(HIDE)
    try:
        report = checked(target, folder, "--scan")
    finally:
        target.run(SHOW)

    assert results(report, "H-025") == {"H-025": "fail"}
    assert all("4444" in one and "nothing listens" in one for one in observed(report, "H-025"))


def test_a_place_without_python_says_so_and_the_rest_is_judged(target: Host, folder: Path) -> None:
    report = checked(target, folder, "--scan", "--scan-from", "ssh://root@no-systemd-no-python")

    assert results(report, "H-025", "H-068") == {"H-025": "pass", "H-068": "unknown"}
    assert reason(report, "H-068").endswith("there is no python3 on no-systemd-no-python, so nobody can look from there")


def test_the_report_joins_what_is_declared_listens_and_is_reached(target: Host, folder: Path) -> None:
    run = tutela(
        target, "check", f"ssh://root@{target.name}", "--quick", "--site", folder / "site.yaml", "--ssh-config", folder / "ssh", "--scan",
        "--scan-from", "ssh://root@keeps-all", "--lang", "en",
    )  # fmt: skip

    assert "Declared, listening, reachable" in run.stdout, run.stdout + run.stderr
    assert any(line.split()[:3] == ["22/tcp", "SSH", "sshd"] for line in run.stdout.splitlines()), run.stdout


def test_a_fleet_is_scanned_host_by_host(target: Host, folder: Path) -> None:
    run = tutela(
        target, "check", f"ssh://root@{target.name}", "ssh://root@keeps-all", "--quick", "--format", "jsonl", "--site", folder / "site.yaml",
        "--ssh-config", folder / "ssh", "--scan",
    )  # fmt: skip

    reports = {report["subject"]: report for report in map(json.loads, run.stdout.splitlines())}
    assert {name: results(report, "H-025") for name, report in reports.items()} == {"scanned": {"H-025": "pass"}, "keeps-all": {"H-025": "pass"}}


def test_a_host_that_shows_strangers_nothing_is_shown_to_be_closed(target: Host, folder: Path) -> None:
    """Every port is silent from there; that it answers an echo request tells this from a way that does not exist."""
    report = checked(target, folder, "--scan", "--scan-from", "ssh://root@firewalld-host", name="keeps-all")

    assert results(report, "H-025", "H-026", "H-068") == {"H-025": "pass", "H-026": "pass", "H-068": "pass"}
    assert next(one for one in report["clauses"] if one["id"] == "LB-6.2")["standing"] == "kept"
    assert next(one for one in report["exposure"]["ports"] if one["port"] == 22)["closed_from"] == ["external"]


def test_an_owner_without_a_centre_is_seen_by_another_host(target: Host, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lab's centre, a network of its own, checks itself; by itself it cannot look from outside."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    words = ["check", "--quick", "--format", "json", "--site", folder / "site.yaml", "--ssh-config", folder / "ssh"]

    alone = json.loads(tutela(target, *words, "--scan").stdout)
    assert "--scan-from" in reason(alone, "H-068")

    seen = json.loads(tutela(target, *words, "--scan-from", "ssh://root@keeps-all").stdout)
    from_there = [name for name in seen["sources"] if name.startswith("scan of 198.18.0.1 from 198.18.1.")]
    assert [seen["sources"][name]["status"] for name in from_there] == ["ok"]
    assert seen["exposure"]["looked_from"] == ["external"]
