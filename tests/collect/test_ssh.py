"""Looking over SSH, with the system's client, at real hosts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.host import Host
from tests.lab.lab import Lab
from tutela.collect.archive import read_bundle
from tutela.evidence import Status

pytest_plugins = ["tests.lab.fixtures"]
pytestmark = [pytest.mark.lab, pytest.mark.root]

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT / "src"), "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"}


@pytest.fixture
def host(lab_host: Callable[[str], Host]) -> Host:
    return lab_host("no-systemd-no-python")


def argv_in_centre(host: Host, *words: object) -> list[str]:
    return host.centre.exec_argv([sys.executable, "-m", "tutela", *map(str, words)])


def tutela(host: Host, *words: object, config: Path | None = None) -> subprocess.CompletedProcess[str]:
    argv = argv_in_centre(host, *words, "--ssh-config", config or host.ssh_config_file)
    return subprocess.run(argv, capture_output=True, text=True, env=ENVIRONMENT, check=False, timeout=120)


def test_root_collects_a_bundle_and_nothing_stays_on_the_host(host: Host, tmp_path: Path) -> None:
    before = host.run("find / -xdev -newer /proc/self -not -path '/proc/*' 2>/dev/null; ls -la /tmp /root /var/tmp").stdout

    run = tutela(host, "collect", f"ssh://root@{host.name}", "-o", tmp_path / "x.bundle", "--quick")

    assert (run.returncode, run.stderr) == (0, "")
    bundle = read_bundle(tmp_path / "x.bundle")
    assert bundle.subject == host.name
    assert bundle["/etc/os-release"].status is Status.OK
    assert bundle["/etc/shadow"].status is Status.OK
    assert bundle.digest in run.stdout
    assert host.run("find / -xdev -newer /proc/self -not -path '/proc/*' 2>/dev/null; ls -la /tmp /root /var/tmp").stdout == before


def test_a_host_that_is_judged_while_it_is_looked_at_is_judged_as_its_bundle_is(host: Host, tmp_path: Path) -> None:
    run = tutela(host, "check", f"ssh://root@{host.name}", "--format", "json", "--keep", tmp_path / "kept")
    (kept,) = (tmp_path / "kept").iterdir()

    again = tutela(host, "check", kept, "--format", "json")

    assert {verdict["result"] for verdict in json.loads(run.stdout)["verdicts"]} > {"pass", "fail"}
    assert run.stdout == again.stdout
    assert run.returncode == again.returncode in (2, 3)


def test_an_ordinary_user_is_told_what_it_may_not_read(host: Host, tmp_path: Path) -> None:
    run = tutela(host, "collect", f"ssh://ops@{host.name}", "-o", tmp_path / "x.bundle", "--quick")

    assert run.returncode == 0, run.stderr
    assert read_bundle(tmp_path / "x.bundle")["/etc/shadow"].status is Status.DENIED


def test_a_changed_host_key_is_an_error_and_never_accepted(host: Host, tmp_path: Path) -> None:
    config = tmp_path / "config"
    known = tmp_path / "known_hosts"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
    key = (tmp_path / "other.pub").read_text().split()[:2]
    known.write_text(f"{host.name},[{host.address}]:{host.ssh_port},{host.address} {' '.join(key)}\n")
    lines = host.ssh_config_file.read_text().splitlines()
    config.write_text(
        "\n".join(line for line in lines if "KnownHosts" not in line and "StrictHostKey" not in line) + f"\nHost *\n  UserKnownHostsFile {known}\n"
    )

    run = tutela(host, "collect", f"ssh://root@{host.name}", "-o", tmp_path / "x.bundle", config=config)

    assert run.returncode == 1
    assert "has changed" in run.stderr
    assert run.stdout == ""
    assert known.read_text().count("\n") == 1


def test_an_unknown_host_key_is_not_accepted_silently(host: Host, tmp_path: Path) -> None:
    config = tmp_path / "config"
    lines = host.ssh_config_file.read_text().splitlines()
    config.write_text(
        "\n".join(line for line in lines if "KnownHosts" not in line and "StrictHostKey" not in line) + f"\nHost *\n  UserKnownHostsFile {tmp_path}/none\n"
    )

    run = tutela(host, "collect", f"ssh://root@{host.name}", "-o", tmp_path / "x.bundle", config=config)

    assert run.returncode == 1
    assert "not known yet" in run.stderr


def test_a_refused_login_and_an_unreachable_host_are_unproven_in_a_fleet(host: Host, tmp_path: Path) -> None:
    inventory = tmp_path / "hosts.ini"
    inventory.write_text(
        f"{host.name} ansible_user=root\nstranger ansible_host={host.name} ansible_user=nobody\nnowhere ansible_host=198.18.255.254 ansible_port=22\n"
    )

    run = tutela(host, "check", f"@{inventory}", "--quick", "--format", "jsonl", "--timeout", "60")

    said = {one["subject"]: one for one in map(json.loads, run.stdout.strip().split("\n"))}
    assert set(said) == {host.name, "stranger", "nowhere"}
    for lost in ("stranger", "nowhere"):
        assert {verdict["result"] for verdict in said[lost]["verdicts"]} <= {"unknown", "notapplicable"}, lost
    assert {verdict["result"] for verdict in said[host.name]["verdicts"]} > {"unknown"}
    assert run.returncode in (2, 3)


def test_an_interrupt_keeps_and_reports_what_is_done(host: Host, lab: Lab, tmp_path: Path) -> None:
    inventory = tmp_path / "hosts.ini"
    inventory.write_text(f"{host.name} ansible_user=root\n" + "".join(f"slow{number} ansible_host=198.18.255.{number}\n" for number in range(1, 30)))
    argv = argv_in_centre(host, "check", f"@{inventory}", "--quick", "--format", "jsonl", "--jobs", "4", "--ssh-config", host.ssh_config_file)
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    assert process.stdout is not None
    assert process.stderr is not None
    lines = []
    while not lines or json.loads(lines[-1])["subject"] != host.name:
        lines.append(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    # Not communicate(), which passes over what was read together with those lines.
    with process:
        lines += process.stdout
        err = process.stderr.read()

    said = {one["subject"]: one for one in map(json.loads, lines)}
    assert process.returncode == 130, err
    assert len(said) == 30
    assert {verdict["result"] for verdict in said[host.name]["verdicts"]} > {"unknown"}
    assert "interrupted" in json.dumps(said["slow29"])


def test_a_host_that_cannot_be_reached_alone_is_an_error(host: Host) -> None:
    run = tutela(host, "collect", "ssh://root@198.18.255.254", "--timeout", "30")

    assert run.returncode == 1
    assert "cannot connect" in run.stderr


def test_the_client_is_the_systems_and_its_absence_is_said(host: Host, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "tutela", "collect", "ssh://root@host"]

    run = subprocess.run(argv, capture_output=True, text=True, env=ENVIRONMENT | {"PATH": str(tmp_path)}, check=False)

    assert run.returncode == 1
    assert "cannot run ssh" in run.stderr
    assert shutil.which("ssh")
