"""A fleet over SSH: 50 hosts in namespaces; `tutela collect`, `tutela check`, bare `ssh host sh -s < probe`, `ssh host true` and `ansible -m setup` on the same hosts.

Client and hosts share the machine, so two things are counted apart, both by the kernel's own accounts of control groups:
the CPU of the client (with every process that it started, Ansible's detached ssh masters too) and that of the hosts (sshd and what it runs).
Every run is looked at: a tool that did not get an answer from each host stops the benchmark.

The key exchange that OpenSSH prefers before version 10 (sntrup761x25519) costs more than all else that a client does.
So some are also run as by a user whose ssh_config, which all tools read alike, asks for a cheaper one; the goals are those of the default.
"""

from __future__ import annotations

import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.lab import Host, Lab
from tests.lab.role import load_role

from bench.measure import ROOT, TUTELA, goal, install, once

HOSTS = 50
JOBS = 16
RUNS = 3
PROBE = ROOT / "src" / "tutela" / "collect" / "probe.sh"
LOGIN, BARE, COLLECT, CHECK, ANSIBLE, PIPELINED = (
    "ssh host true",
    "ssh host sh -s < probe",
    "tutela collect",
    "tutela check",
    "ansible -m setup",
    "ansible -m setup, pipelining",
)

CHEAPER = "KexAlgorithms curve25519-sha256"
"""What a user may choose; it gives up that who records the connection today cannot read it with a quantum computer one day."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one tool over the whole fleet."""

    wall_s: float
    client_s: float
    """CPU seconds of the client and all its children, ssh included."""
    hosts_s: float
    """CPU seconds of all hosts together."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A command over the whole fleet, and how to see what it brought back."""

    argv: Sequence[str]
    answers: Callable[[], int]
    """Hosts that really answered in the last run."""
    after: Callable[[], object] = lambda: None
    """Makes the next run begin like the first."""


def main() -> None:
    install("ansible-core")
    # Ansible of Debian 12 cannot work with Python 3.13, and without Python not at all; so the hosts are Debian 12 with Python.
    role = load_role("no-systemd-no-python")
    role = replace(role, suite="bookworm", packages=(*role.packages, "python3"))
    with tempfile.TemporaryDirectory() as folder, Lab() as lab:
        print(f"starting {HOSTS} hosts", file=sys.stderr)
        hosts = lab.start_all([replace(role, name=f"fleet-{number}") for number in range(HOSTS)])
        # A group of its own beside those of the hosts; the lab removes it with them.
        client = hosts[0].group.parent / "client"
        client.mkdir()
        tools = _tools(Path(folder) / "default", hosts)
        chosen = _tools(Path(folder) / "cheaper", hosts, CHEAPER)
        tools |= {_cheaper(name): chosen[name] for name in (LOGIN, CHECK, ANSIBLE)}
        runs: dict[str, list[Run]] = {name: [] for name in tools}
        for turn in range(RUNS + 1):
            for name, tool in tools.items():
                print(f"\r\x1b[K  {name} {turn}/{RUNS}", end="", file=sys.stderr, flush=True)
                one = _run(tool, lab, client, hosts)
                if tool.answers() != HOSTS:
                    raise SystemExit(f"{name}: {tool.answers()} of {HOSTS} hosts answered")
                tool.after()
                if turn:  # the first warms every cache
                    runs[name].append(one)
        print("\r\x1b[K", end="", file=sys.stderr)
    _report(runs)


def _cheaper(name: str) -> str:
    return f"{name}, curve25519"


def _tools(place: Path, hosts: list[Host], settings: str = "") -> dict[str, Tool]:
    place.mkdir()
    config = _ssh_config(place, hosts, settings)
    inventory = place / "hosts.ini"
    inventory.write_text("".join(f"{host.name} ansible_user=root\n" for host in hosts))
    answers, bundles, report, said, sockets = (place / name for name in ("answers", "bundles", "report.jsonl", "ansible.out", "sockets"))
    for made in (answers, sockets):
        made.mkdir()

    def each(command: str, done: str) -> list[str]:
        # A session for each connection, as Tutela has it: the kernel shares the CPU out by session.
        one = f'setsid -w ssh -F {config} -T -o BatchMode=yes -l root -- "$1" {command} >{answers}/"$1" && {done}'
        names = " ".join(host.name for host in hosts)
        return ["sh", "-c", f"rm -f {answers}/*; printf '%s\\n' {names} | xargs -P {JOBS} -I '{{}}' sh -c {shlex.quote(one)} sh '{{}}'"]

    def ended() -> int:
        return sum(path.read_bytes().endswith(b"\nend\n") for path in answers.iterdir())

    ours = [f"@{inventory}", "--quick", "--jobs", str(JOBS), "--ssh-config", str(config)]
    # The ways that Ansible has by default, with our ssh_config and as many hosts side by side as we take.
    ansible = ["ansible", "-i", str(inventory), "-f", str(JOBS), "all", "-m", "setup"]
    environment = [f"ANSIBLE_SSH_ARGS=-F {config} -C -o ControlMaster=auto -o ControlPersist=60s", f"ANSIBLE_SSH_CONTROL_PATH_DIR={sockets}"]
    environment += [f"ANSIBLE_LOCAL_TEMP={place}/ansible", "ANSIBLE_NOCOLOR=1"]

    def succeeded() -> int:
        return said.read_text().count(" | SUCCESS => ")

    def hang_up() -> None:
        for socket in sockets.iterdir():
            subprocess.run(["ssh", "-o", f"ControlPath={socket}", "-O", "exit", "any"], check=False, capture_output=True)

    return {
        LOGIN: Tool(each("true </dev/null", f'{{ echo; echo end; }} >{answers}/"$1"'), ended),
        BARE: Tool(each(f"sh -s -- --quick <{shlex.quote(str(PROBE))}", "true"), ended),
        COLLECT: Tool(
            [*TUTELA, "collect", *ours, "--output", str(bundles)],
            lambda: len(list(bundles.iterdir())),
            lambda: shutil.rmtree(bundles),
        ),
        CHECK: Tool(
            [*TUTELA, "check", *ours, "--format", "jsonl", "--output", str(report)],
            lambda: report.read_text().count('"unreachable":null'),
        ),
        ANSIBLE: Tool(["env", *environment, "sh", "-c", f"{shlex.join(ansible)} >{said}"], succeeded, hang_up),
        PIPELINED: Tool(["env", *environment, "ANSIBLE_PIPELINING=True", "sh", "-c", f"{shlex.join(ansible)} >{said}"], succeeded, hang_up),
    }


def _ssh_config(place: Path, hosts: list[Host], settings: str) -> Path:
    """One configuration for the whole fleet; algorithms are those of OpenSSH, unless the settings say otherwise."""
    access = hosts[0].ssh_config_file.parent
    known, config = place / "known_hosts", place / "ssh_config"
    known.write_text("".join((access / f"{host.name}.known_hosts").read_text() for host in hosts))
    config.write_text(
        "".join(f"Host {host.name}\n    HostName {host.address}\n" for host in hosts)
        + f"Host *\n    IdentityFile {access}/key\n    IdentitiesOnly yes\n    UserKnownHostsFile {known}\n    StrictHostKeyChecking yes\n    {settings}\n"
    )
    return config


def _run(tool: Tool, lab: Lab, client: Path, hosts: list[Host]) -> Run:
    groups = [host.group for host in hosts]
    before = _cpu_s([client]), _cpu_s(groups)
    join = ["sh", "-c", 'echo $$ >"$0" && exec "$@"', str(client / "cgroup.procs")]
    wall_s, _, _ = once([*join, *lab.centre.exec_argv(tool.argv)])
    return Run(wall_s, _cpu_s([client]) - before[0], _cpu_s(groups) - before[1])


def _cpu_s(groups: Sequence[Path]) -> float:
    """CPU seconds of all that ever ran in control groups."""
    return sum(int((group / "cpu.stat").read_text().split()[1]) for group in groups) / 1e6


def _report(runs: dict[str, list[Run]]) -> None:
    print(f"\nFleet of {HOSTS} hosts, {JOBS} side by side, client and hosts on the same cores; medians of {RUNS} runs")
    print(f"{'':<30}{'wall':>8}{'hosts/s':>9}   CPU a host: client      hosts")
    middle = {name: Run(*(statistics.median(getattr(one, field) for one in many) for field in Run.__slots__)) for name, many in runs.items()}
    for name, one in middle.items():
        print(f"{name:<30}{one.wall_s:>7.1f}s{HOSTS / one.wall_s:>9.1f}{1000 * one.client_s / HOSTS:>20.0f} ms{1000 * one.hosts_s / HOSTS:>8.0f} ms")

    # Ratios within a turn: what else the machine did then hit all alike.
    def ratio(one: str, other: str, field: str) -> float:
        return float(statistics.median(getattr(a, field) / getattr(b, field) for a, b in zip(runs[one], runs[other], strict=True)))

    faster, dearer = ratio(ANSIBLE, CHECK, "wall_s"), {name: ratio(name, BARE, "client_s") for name in (COLLECT, CHECK, ANSIBLE)}
    goal(f"tutela check: at least 5 times Ansible's hosts/s: {faster:.1f} (with pipelining {ratio(PIPELINED, CHECK, 'wall_s'):.1f})", met=faster >= 5)
    print(
        f"          nothing that logs in by ssh can be faster than the login: {LOGIN} reaches {ratio(ANSIBLE, LOGIN, 'wall_s'):.1f} times Ansible's, with the probe {ratio(ANSIBLE, BARE, 'wall_s'):.1f}"
    )
    print(
        f"          with {CHEAPER} in the user's ssh_config, all alike: {ratio(_cheaper(ANSIBLE), _cheaper(CHECK), 'wall_s'):.1f}, the login alone {ratio(_cheaper(ANSIBLE), _cheaper(LOGIN), 'wall_s'):.1f}"
    )
    print(
        f"          where hosts have cores of their own the client's CPU decides: {ratio(ANSIBLE, CHECK, 'client_s'):.1f}, of the login alone {ratio(ANSIBLE, LOGIN, 'client_s'):.1f}"
    )
    goal(f"tutela collect: client CPU at most 1.3 times that of bare ssh: {dearer[COLLECT]:.2f}", met=dearer[COLLECT] <= 1.3)
    goal(f"tutela check, judging included: {dearer[CHECK]:.2f} (Ansible {dearer[ANSIBLE]:.2f})", met=dearer[CHECK] <= 1.3)
