"""A fleet over SSH: 50 hosts in namespaces; `tutela collect`, `tutela check`, bare `ssh host sh -s < probe`, `ssh host true` and `ansible -m setup` on the same hosts.

Hosts and client are one Debian, by default the newest (`fleet`), or the one before (`fleet/bookworm`): a login costs much more there,
since OpenSSH before version 10 prefers a key exchange (sntrup761x25519) that takes more than all else that a client does.
Client and hosts share the machine, so two things are counted apart, both by the kernel's own accounts of control groups:
the CPU of the client (with every process that it started, Ansible's detached ssh masters too) and that of the hosts (sshd and what it runs).
Every run is looked at: a tool that did not get an answer from each host stops the benchmark.
"""

from __future__ import annotations

import shlex
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.lab import Host, Lab
from tests.lab.role import load_role

from bench.hosts import PLACE, furnish, inside
from bench.measure import goal, once

HOSTS = 50
JOBS = 16
RUNS = 3
LOGIN, BARE, COLLECT, CHECK, ANSIBLE, PIPELINED = (
    "ssh host true",
    "ssh host sh -s < probe",
    "tutela collect",
    "tutela check",
    "ansible -m setup",
    "ansible -m setup, pipelining",
)


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
    answers: str
    """A command of sh that counts the hosts that really answered in the last run."""
    after: str = ":"
    """Makes the next run begin like the first."""


def main(suite: str = "trixie") -> None:
    bare = replace(load_role("no-systemd-no-python"), suite=suite)
    # Ansible needs Python there; iproute2 is on every server.
    role = replace(bare, packages=(*bare.packages, "python3", "iproute2"))
    with Lab() as lab:
        print(f"starting {HOSTS} hosts", file=sys.stderr)
        hosts = lab.start_all([replace(role, name=f"fleet-{number}") for number in range(HOSTS)])
        client = lab.start(replace(bare, name="fleet-client", packages=("ansible-core", "openssh-client", "python3-yaml")))
        furnish(client)
        _let_in(client, hosts)
        tools = _tools(hosts)
        runs: dict[str, list[Run]] = {name: [] for name in tools}
        for turn in range(RUNS + 1):
            for name, tool in tools.items():
                print(f"\r\x1b[K  {name} {turn}/{RUNS}", end="", file=sys.stderr, flush=True)
                one = _run(tool, client, hosts)
                if (answers := client.run(tool.answers, check=False).stdout.strip()) != str(HOSTS):
                    raise SystemExit(f"{name}: {answers} of {HOSTS} hosts answered")
                client.run(tool.after)
                if turn:  # the first warms every cache
                    runs[name].append(one)
        print("\r\x1b[K", end="", file=sys.stderr)
    print(f"\nFleet of {HOSTS} hosts of Debian {suite}, {JOBS} side by side, client and hosts on the same cores; medians of {RUNS} runs")
    _report(runs)


def _let_in(client: Host, hosts: list[Host]) -> None:
    """The way to each host; algorithms are those of OpenSSH."""
    access = hosts[0].ssh_config_file.parent
    config = "".join(f"Host {host.name}\n    HostName {host.address}\n" for host in hosts)
    config += f"Host *\n    IdentityFile {PLACE}/key\n    IdentitiesOnly yes\n    UserKnownHostsFile {PLACE}/known_hosts\n    StrictHostKeyChecking yes\n"
    client.write(f"{PLACE}/ssh_config", config)
    client.write(f"{PLACE}/key", (access / "key").read_bytes(), mode="600")
    client.write(f"{PLACE}/known_hosts", "".join((access / f"{host.name}.known_hosts").read_text() for host in hosts))
    client.write(f"{PLACE}/hosts.ini", "".join(f"{host.name} ansible_user=root\n" for host in hosts))
    client.run(["mkdir", f"{PLACE}/answers", f"{PLACE}/sockets"])


def _tools(hosts: list[Host]) -> dict[str, Tool]:
    def each(command: str, done: str) -> list[str]:
        # A session for each connection, as Tutela has it: the kernel shares the CPU out by session.
        one = f'setsid -w ssh -F {PLACE}/ssh_config -T -o BatchMode=yes -l root -- "$1" {command} >{PLACE}/answers/"$1" && {done}'
        names = " ".join(host.name for host in hosts)
        return ["sh", "-c", f"rm -f {PLACE}/answers/*; printf '%s\\n' {names} | xargs -P {JOBS} -I '{{}}' sh -c {shlex.quote(one)} sh '{{}}'"]

    def ours(command: str, *words: str) -> list[str]:
        return [f"{PLACE}/tutela", command, f"@{PLACE}/hosts.ini", "--quick", "--jobs", str(JOBS), "--ssh-config", f"{PLACE}/ssh_config", *words]

    # The ways that Ansible has by default, with our ssh_config and as many hosts side by side as we take.
    ansible = f"ansible -i {PLACE}/hosts.ini -f {JOBS} all -m setup >{PLACE}/said"
    environment = [f"ANSIBLE_SSH_ARGS=-F {PLACE}/ssh_config -C -o ControlMaster=auto -o ControlPersist=60s", f"ANSIBLE_SSH_CONTROL_PATH_DIR={PLACE}/sockets"]
    environment += [f"ANSIBLE_LOCAL_TEMP={PLACE}/ansible", "ANSIBLE_NOCOLOR=1"]
    ended, succeeded = f"grep -lx end {PLACE}/answers/* | wc -l", f"grep -c ' | SUCCESS => ' {PLACE}/said"
    hang_up = f"for one in {PLACE}/sockets/*; do ssh -o ControlPath=$one -O exit any 2>&1; done"
    return {
        LOGIN: Tool(each("true </dev/null", f'echo end >>{PLACE}/answers/"$1"'), ended),
        BARE: Tool(each(f"sh -s -- --quick <{PLACE}/src/tutela/collect/probe.sh", "true"), ended),
        COLLECT: Tool(ours("collect", "--output", f"{PLACE}/bundles"), f"ls {PLACE}/bundles | wc -l", f"rm -r {PLACE}/bundles"),
        CHECK: Tool(ours("check", "--format", "jsonl", "--output", f"{PLACE}/report"), f"grep -c '\"unreachable\":null' {PLACE}/report"),
        ANSIBLE: Tool(["env", *environment, "sh", "-c", ansible], succeeded, hang_up),
        PIPELINED: Tool(["env", *environment, "ANSIBLE_PIPELINING=True", "sh", "-c", ansible], succeeded, hang_up),
    }


def _run(tool: Tool, client: Host, hosts: list[Host]) -> Run:
    groups = [host.group for host in hosts]
    before = _cpu_s([client.group]), _cpu_s(groups)
    wall_s, _, _ = once(inside(client, tool.argv))
    return Run(wall_s, _cpu_s([client.group]) - before[0], _cpu_s(groups) - before[1])


def _cpu_s(groups: Sequence[Path]) -> float:
    """CPU seconds of all that ever ran in control groups."""
    return sum(int((group / "cpu.stat").read_text().split()[1]) for group in groups) / 1e6


def _report(runs: dict[str, list[Run]]) -> None:
    print(f"{'':<30}{'wall':>8}{'hosts/s':>9}   CPU a host: client      hosts")
    middle = {name: Run(*(statistics.median(getattr(one, field) for one in many) for field in Run.__slots__)) for name, many in runs.items()}
    for name, one in middle.items():
        print(f"{name:<30}{one.wall_s:>7.1f}s{HOSTS / one.wall_s:>9.1f}{1000 * one.client_s / HOSTS:>20.0f} ms{1000 * one.hosts_s / HOSTS:>8.0f} ms")

    # Ratios within a turn: what else the machine did then hit all alike.
    def ratio(one: str, other: str, field: str) -> float:
        return float(statistics.median(getattr(a, field) / getattr(b, field) for a, b in zip(runs[one], runs[other], strict=True)))

    faster, dearer = (
        {name: ratio(ANSIBLE, name, "wall_s") for name in (COLLECT, CHECK)},
        {name: ratio(name, BARE, "client_s") for name in (COLLECT, CHECK, ANSIBLE)},
    )
    goal(f"tutela collect, which like setup only looks: at least 5 times Ansible's hosts/s: {faster[COLLECT]:.1f}", met=faster[COLLECT] >= 5)
    goal(f"tutela check, judging included: {faster[CHECK]:.1f} (with pipelining {ratio(PIPELINED, CHECK, 'wall_s'):.1f})", met=faster[CHECK] >= 5)
    print(
        f"          nothing that logs in by ssh can be faster than the login: {LOGIN} reaches {ratio(ANSIBLE, LOGIN, 'wall_s'):.1f} times Ansible's, with the probe {ratio(ANSIBLE, BARE, 'wall_s'):.1f}"
    )
    print(
        f"          where hosts have cores of their own the client's CPU decides: {ratio(ANSIBLE, CHECK, 'client_s'):.1f}, of the login alone {ratio(ANSIBLE, LOGIN, 'client_s'):.1f}"
    )
    goal(f"tutela collect: client CPU at most 1.3 times that of bare ssh: {dearer[COLLECT]:.2f}", met=dearer[COLLECT] <= 1.3)
    goal(f"tutela check, judging included: {dearer[CHECK]:.2f} (Ansible {dearer[ANSIBLE]:.2f})", met=dearer[CHECK] <= 1.3)
