"""A fleet of real hosts that behave badly, each in a way of its own: every one is reported, and none harms another."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.host import Host
from tests.lab.lab import Lab
from tutela.collect.archive import read_bundle
from tutela.evidence import Status

pytest_plugins = ["tests.lab.fixtures"]
pytestmark = [pytest.mark.lab, pytest.mark.root]

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT / "src"), "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"}
PORT = 2999
"""Where somebody in the centre takes connections and says nothing."""
TIMEOUT = 25

# What sshd runs instead of the probe, for an account each.
INSTEAD = {
    "stuck": "sleep 600",
    # The server's own process for this connection stops in the middle of the answer.
    "stopped": "printf 'ok 0 4 9\\nmeta\\nversi'; kill -STOP $PPID; sleep 600",
    "garbage": "head -c 10000000 /dev/urandom",
    "flood": "cat /dev/zero",
    "cut": "sh -s -- --quick | head -c 20000",
}
SETUP = f"""
for user in {" ".join(INSTEAD)} noisy announced boss; do
    useradd --create-home --shell /bin/bash "$user"
    install -d -m 700 -o "$user" -g "$user" "/home/$user/.ssh"
    install -m 600 -o "$user" -g "$user" /home/ops/.ssh/authorized_keys "/home/$user/.ssh/authorized_keys"
done
echo 'echo Welcome to this machine' >/home/noisy/.bashrc
echo 'REMOTE HOST IDENTIFICATION HAS CHANGED, or so this host says' >/etc/issue.net
echo 'boss ALL=(ALL:ALL) NOPASSWD:ALL' >/etc/sudoers.d/boss
chmod 440 /etc/sudoers.d/boss
systemctl restart ssh
"""


@pytest.fixture(scope="module")
def host(lab: Lab) -> Iterator[Host]:
    host = lab.start("plain", name="awkward", ops_sudo="password")
    try:
        forced = "".join(f"Match User {user}\n    ForceCommand {words}\n" for user, words in INSTEAD.items())
        host.write("/etc/ssh/sshd_config.d/90-awkward.conf", forced + "Match User announced\n    Banner /etc/issue.net\n")
        host.run(SETUP)
        yield host
    finally:
        lab.stop(host)


@pytest.fixture(scope="module")
def config(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ssh_config with a host whose key has changed, and with one that only a jump reaches."""
    place = tmp_path_factory.mktemp("ssh")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", place / "other"], check=True)
    key = " ".join((place / "other.pub").read_text().split()[:2])
    (place / "known").write_text(f"{host.address} {key}\n")
    config = place / "config"
    config.write_text(
        f"Host changed\n    HostName {host.address}\n    UserKnownHostsFile {place / 'known'}\n    IdentityFile {host.ssh_config_file.parent / 'key'}\n"
        # From where we stand nobody listens on this address; on the host that is jumped over, its own sshd does.
        f"Host jumped\n    HostName 127.0.0.1\n    HostKeyAlias {host.address}\n    ProxyJump root@{host.name}\n"
        f"    UserKnownHostsFile {host.ssh_config_file.parent / host.name}.known_hosts\n    IdentityFile {host.ssh_config_file.parent / 'key'}\n"
        + host.ssh_config_file.read_text()
    )
    return config


@pytest.fixture(scope="module")
def silent(host: Host) -> Iterator[int]:
    """Takes connections in the centre's network and never says a word."""
    program = f"import socket, time; s = socket.create_server(('{host.centre.address}', {PORT})); print(flush=True); time.sleep(600)"
    listener = subprocess.Popen(host.centre.exec_argv([sys.executable, "-c", program]), stdout=subprocess.PIPE)
    assert listener.stdout is not None
    listener.stdout.readline()
    yield PORT
    listener.kill()
    listener.wait()
    listener.stdout.close()


def tutela(host: Host, *words: object) -> subprocess.CompletedProcess[str]:
    argv = host.centre.exec_argv([sys.executable, "-m", "tutela", *map(str, words)])
    return subprocess.run(argv, capture_output=True, text=True, env=ENVIRONMENT, check=False, timeout=240)


@pytest.fixture(scope="module")
def said(host: Host, config: Path, silent: int, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one run over all of them says, by subject."""
    users = [*INSTEAD, "noisy", "announced"]
    place = tmp_path_factory.mktemp("fleet")
    inventory = place / "hosts.ini"
    inventory.write_text(
        "changed\njumped\ngood ansible_host=awkward\nagain ansible_host=awkward\n"
        f"silent ansible_host={host.centre.address} ansible_port={silent}\n"
        "nowhere ansible_host=198.18.255.254\n" + "".join(f"{user} ansible_host=awkward ansible_user={user}\n" for user in users)
    )
    run = tutela(host, "check", f"@{inventory}", "--quick", "--timeout", TIMEOUT, "--jobs", "4", "--format", "jsonl", "--ssh-config", config)

    assert run.returncode in (2, 3)
    assert run.stderr == ""
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(lines) == 6 + len(users)
    return {one["subject"]: one for one in lines}


@pytest.mark.parametrize("name", ["good", "again", "jumped", "announced"])
def test_the_others_are_looked_at(said: dict[str, Any], name: str) -> None:
    assert said[name]["unreachable"] is None
    assert {verdict["result"] for verdict in said[name]["verdicts"]} > {"pass", "fail"}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("changed", "the host key of changed (198.18.1."),
        ("silent", "cannot connect to 198.18.0.1: Connection to 198.18.0.1 port 2999 timed out"),
        ("nowhere", "cannot connect to 198.18.255.254"),
        ("stuck", f"not done within {TIMEOUT} seconds"),
        ("stopped", f"not done within {TIMEOUT} seconds"),
        ("garbage", "awkward said "),
        ("flood", "more than a bundle may hold"),
        ("cut", "the probe's output is cut or damaged"),
        ("noisy", "awkward said 'Welcome to this machine' before the probe did"),
    ],
)
def test_what_cannot_be_looked_at_is_unproven_with_the_reason(said: dict[str, Any], name: str, why: str) -> None:
    one = said[name]

    assert why in one["unreachable"]["en"]
    assert {verdict["result"] for verdict in one["verdicts"]} <= {"unknown", "notapplicable"}


def test_a_changed_key_stays_unknown_to_the_user(said: dict[str, Any], config: Path) -> None:
    assert said["changed"]
    assert (config.parent / "known").read_text().count("\n") == 1


def test_sudo_without_a_password_sees_all_and_sudo_with_one_is_explained(host: Host, config: Path, tmp_path: Path) -> None:
    inventory = tmp_path / "hosts.ini"
    inventory.write_text("asked ansible_host=awkward ansible_user=ops\nboss ansible_host=awkward ansible_user=boss\n")

    run = tutela(host, "collect", f"@{inventory}", "--become", "--quick", "--output", tmp_path / "kept", "--ssh-config", config)

    assert run.returncode == 3
    assert "asked: sudo on awkward wants a password or refuses: sudo: a password is required; allow it without one, or leave out --become" in run.stderr
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["boss.bundle"]
    bundle = read_bundle(tmp_path / "kept" / "boss.bundle")
    assert bundle["/etc/shadow"].status is Status.OK
    assert bundle.meta["become"] == "yes"


def test_a_master_connection_of_the_user_is_neither_waited_for_nor_ended(host: Host, config: Path, tmp_path: Path) -> None:
    """With ControlPersist ssh leaves a process behind, and that is the user's wish."""
    shared = tmp_path / "config"
    shared.write_text(f"Host *\n    ControlMaster auto\n    ControlPath {tmp_path}/master\n    ControlPersist 120\n" + config.read_text())

    run = tutela(host, "collect", "ssh://root@awkward", "--quick", "--timeout", "60", "--output", tmp_path / "one.bundle", "--ssh-config", shared)

    assert (run.returncode, run.stderr) == (0, "")
    with socket.socket(socket.AF_UNIX) as master:
        master.connect(str(tmp_path / "master"))
    subprocess.run(["ssh", "-o", f"ControlPath={tmp_path}/master", "-O", "exit", "awkward"], check=True, capture_output=True)
