"""The resident scanner as its page says to install it: a real systemd starts it, a real kernel holds it to its prefixes."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Iterator

import pytest

from tests.hosts import look
from tests.lab.host import Host
from tests.lab.lab import Lab

pytest_plugins = ["tests.lab.fixtures"]
pytestmark = [pytest.mark.lab, pytest.mark.root]

PAGE = look.ROOT / "docs" / "spec" / "scanner.md"
TUTELA = '#!/bin/sh\nPYTHONPATH=/usr/local/lib/tutela exec python3 -m tutela "$@"\n'
NET_RAW = f"{1 << 13:016x}"
EXPOSURE = 1.8
"""What `systemd-analyze security` may call it at most, of 10; up to 2 is called OK. It has the network, and sockets of its own making: that is its work."""
OUTSIDE = "198.19.7.7"


@pytest.fixture(scope="module")
def scanner(lab: Lab) -> Iterator[Host]:
    """A host on which the lines of the page were run, and nothing else."""
    host = lab.start("scanner", name="installed")
    host.run("mkdir -p /usr/local/lib/tutela && tar -xf - -C /usr/local/lib/tutela", stdin=source())
    host.write("/usr/local/bin/tutela", TUTELA, mode="755")
    lines = PAGE.read_text("utf-8").split("```sh\n")[1].split("```")[0]
    host.run(lines.replace("192.0.2.0/24", "198.18.1.0/24").replace("SOMEBODY", "ops"))
    yield host
    lab.stop(host)


@pytest.fixture(scope="module")
def target(lab: Lab) -> Iterator[Host]:
    host = lab.start("plain", name="asked")
    host.run("systemd-run -q --unit=far systemd-socket-activate -l 61234 --accept cat; until ss -lnt | grep -q :61234; do sleep 0.1; done")
    yield host
    lab.stop(host)


def source() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(look.ROOT / "src" / "tutela", "tutela", filter=lambda one: None if "__pycache__" in one.name else one)
    return packed.getvalue()


def scan(scanner: Host, *words: str, user: str = "ops") -> tuple[list[dict], str]:
    done = scanner.ssh(f"tutela scan {' '.join(words)} --no-identify -f jsonl --lang en", user=user, check=False)
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def dropped(scanner: Host) -> int:
    return int(re.findall(r"counter packets (\d+)", scanner.run(["nft", "list", "table", "inet", "tutela_scanner"]).stdout)[0])


def test_systemd_understands_the_unit_and_calls_it_little_exposed(scanner: Host) -> None:
    verified = scanner.run(["systemd-analyze", "verify", "tutela-scanner.service"], check=False)
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")

    said = scanner.run(["systemd-analyze", "security", "--no-pager", "tutela-scanner.service"]).stdout
    level = float(re.findall(r"Overall exposure level for tutela-scanner.service: ([0-9.]+)", said)[0])
    print(f"exposure level of the scanner's unit: {level}")
    assert level <= EXPOSURE, "\n".join(line for line in said.splitlines() if line.startswith("✗"))


def test_it_runs_as_its_own_user_with_one_capability(scanner: Host) -> None:
    assert scanner.run(["systemctl", "is-active", "tutela-scanner"]).stdout == "active\n"
    pid = scanner.run(["systemctl", "show", "-p", "MainPID", "--value", "tutela-scanner"]).stdout.strip()
    status = dict(line.split(":\t", 1) for line in scanner.read(f"/proc/{pid}/status").splitlines() if ":\t" in line)

    assert {name: status[name] for name in ("CapPrm", "CapEff", "CapBnd")} == dict.fromkeys(("CapPrm", "CapEff", "CapBnd"), NET_RAW)
    assert (status["CapInh"], status["CapAmb"]) == ("0" * 16, "0" * 16)
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    uid = scanner.run(["id", "-u", "tutela-scanner"]).stdout.strip()
    assert uid != "0"
    assert status["Uid"].split() == [uid] * 4


def test_a_user_of_its_group_finds_the_ports_of_another_host_through_it(scanner: Host, target: Host) -> None:
    for address in (target.address, target.address6):
        if address == target.address6:
            allowed(scanner, "2001:db8:0:1::/64")
        told, complaint = scan(scanner, address)
        assert complaint == ""
        tally = next(one for one in told if one["event"] == "tally")
        assert (tally["open"], tally["closed"]) == ([22, 61234], 65533)
        assert [(one["method"], one["resident"]) for one in told if one["event"] == "summary"] == [("raw", True)]


def test_whoever_is_not_of_its_group_does_without(scanner: Host, target: Host) -> None:
    stranger = "setpriv --reuid nobody --regid nogroup --clear-groups tutela scan"
    told = [json.loads(line) for line in scanner.run(f"{stranger} {target.address} -p 22 -f jsonl --no-identify").stdout.splitlines()]

    assert [(one["method"], one["resident"]) for one in told if one["event"] == "summary"] == [("connect", False)]


def test_the_kernel_refuses_a_foreign_prefix_whatever_the_process_was_told(scanner: Host, target: Host) -> None:
    """Its list says yes by mistake, and the rules were not printed again."""
    scanner.run(f"cp /etc/tutela/allow /root/allow; echo {OUTSIDE}/32 >>/etc/tutela/allow; systemctl reload tutela-scanner")
    before = dropped(scanner)
    told, complaint = scan(scanner, OUTSIDE, "-p", "22,80")
    scanner.run("mv /root/allow /etc/tutela/allow; systemctl reload tutela-scanner")

    assert told == []
    assert "refused to send" in complaint
    assert "Operation not permitted" in complaint
    assert before == 0
    assert dropped(scanner) == 0, "a reload loads the rules again"
    assert [one["port"] for one in scan(scanner, target.address, "-p", "22,23")[0] if one["event"] == "open"] == [22]


def test_rules_that_cannot_be_loaded_keep_it_from_starting(scanner: Host) -> None:
    scanner.run("cp /etc/tutela/scanner.nft /root/; echo nonsense >>/etc/tutela/scanner.nft")
    started = scanner.run(["systemctl", "restart", "tutela-scanner"], check=False)
    state = scanner.run(["systemctl", "is-active", "tutela-scanner"], check=False).stdout
    scanner.run("mv /root/scanner.nft /etc/tutela/; systemctl restart tutela-scanner")

    assert started.returncode != 0
    assert state != "active\n"


def test_it_stops_and_comes_back(scanner: Host, target: Host) -> None:
    scanner.run(["systemctl", "stop", "tutela-scanner"])
    assert scanner.run(["systemctl", "show", "-p", "Result", "--value", "tutela-scanner"]).stdout == "success\n"
    assert scanner.run("ls /run/tutela", check=False).returncode != 0

    scanner.run(["systemctl", "start", "tutela-scanner"])
    assert [one["port"] for one in scan(scanner, target.address, "-p", "22,23")[0] if one["event"] == "open"] == [22]


def allowed(scanner: Host, prefix: str) -> None:
    """Add a prefix as the page says."""
    show = "tutela scanner --show nft --allow /etc/tutela/allow > /etc/tutela/scanner.nft"
    scanner.run(f"echo {prefix} >>/etc/tutela/allow; {show}; systemctl reload tutela-scanner")
