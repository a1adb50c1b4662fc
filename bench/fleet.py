"""A fleet over SSH: 50 hosts in namespaces, `tutela check` beside `ansible -m setup` and bare `ssh host sh -s < probe`."""

from __future__ import annotations

import shlex
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from tests.lab import Lab
from tests.lab.role import load_role

from bench.measure import PYTHON, ROOT, TUTELA, goal, install, measure, table

HOSTS = 50
JOBS = 16


def main() -> None:
    install("ansible-core")
    with tempfile.TemporaryDirectory() as folder, Lab() as lab:
        role = load_role("no-systemd-no-python")
        # Ansible needs Python on its targets, so here every target has it.
        role = replace(role, packages=(*role.packages, "python3-minimal"))
        print(f"starting {HOSTS} hosts", file=sys.stderr)
        hosts = lab.start_all([replace(role, name=f"fleet-{number}") for number in range(HOSTS)])
        place = Path(folder)
        inventory = place / "hosts.ini"
        ssh_config = hosts[0].ssh_config_file
        inventory.write_text("\n".join(host.name for host in hosts) + "\n")
        probe = ROOT / "src" / "tutela" / "collect" / "probe.sh"
        bare = place / "bare.sh"
        lines = " ".join(shlex.quote(host.name) for host in hosts)
        bare.write_text(
            f"printf '%s\\n' {lines} | xargs -P {JOBS} -I '{{}}' sh -c "
            f"'ssh -F {shlex.quote(str(ssh_config))} -T -o BatchMode=yes -l root \"$1\" sh -s -- --quick < {shlex.quote(str(probe))} >/dev/null' sh '{{}}'\n"
        )
        wrap = lab.centre.exec_argv
        ansible = [
            "env",
            "ANSIBLE_HOST_KEY_CHECKING=True",
            f"ANSIBLE_SSH_ARGS=-F {ssh_config}",
            "ansible",
            "-i",
            str(inventory),
            "-u",
            "root",
            "-f",
            str(JOBS),
            "all",
            "-m",
            "setup",
        ]
        users = place / "users.ini"
        users.write_text("\n".join(f"{host.name} ansible_user=root" for host in hosts) + "\n")
        ours = [*TUTELA, "check", f"@{users}", "--quick", "--jobs", str(JOBS), "--ssh-config", str(ssh_config), "--format", "jsonl"]
        commands = {
            "ssh host sh -s < probe": wrap(["sh", str(bare)]),
            "tutela check @inventory --quick": wrap(ours),
            "ansible -m setup": wrap(ansible),
        }
        figures = measure(commands, {"ssh host sh -s < probe": 3, "tutela check @inventory --quick": 3, "ansible -m setup": 1})
    table(f"Fleet of {HOSTS}, {JOBS} side by side, hosts on the same two cores", figures, "tutela check @inventory --quick")
    mine, theirs, plain = figures["tutela check @inventory --quick"], figures["ansible -m setup"], figures["ssh host sh -s < probe"]
    for name, one in figures.items():
        print(f"  {name:<34}{HOSTS / one.wall_s:>7.1f} hosts/s {1000 * one.cpu_s / HOSTS:>7.0f} ms client CPU a host")
    goal(f"at least 5 times Ansible's hosts/s: {theirs.wall_s / mine.wall_s:.1f}", met=theirs.wall_s / mine.wall_s >= 5)
    goal(f"client CPU at most 1.3 times bare ssh: {mine.cpu_s / plain.cpu_s:.2f}", met=mine.cpu_s / plain.cpu_s <= 1.3)
    _ = PYTHON
