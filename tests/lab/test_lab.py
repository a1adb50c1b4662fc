"""The lab proves itself: hosts are real, the network is divided, and nothing stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.command import run
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.network import CENTRE, Vantage
from tests.lab.processes import Process, cgroup_root
from tests.lab.role import load_role, role_names
from tests.lab.traces import PREFIX, clean_up_stale, prefix_of

pytest_plugins = ["tests.lab.fixtures"]
pytestmark = pytest.mark.lab

GetHost = Callable[[str], Host]
SYSTEMD_ROLES = [name for name in role_names() if load_role(name).init == "systemd"]


def can_connect(vantage: Vantage, address: str, port: int) -> bool:
    """Whether a TCP connection from there gets through within two seconds."""
    script = f"import socket; socket.create_connection(({address!r}, {port}), 2).close()"
    done = vantage.run([sys.executable, "-I", "-c", script], check=False)
    return done.returncode == 0


def traces_of(number: int) -> dict[str, list[str]]:
    """All that the machine still has of lab `number`, by kind."""
    prefix = prefix_of(number)
    namespaces = run(["ip", "netns", "list"]).stdout.splitlines()
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    commands = run(["ps", "-e", "-o", "pid,args"]).stdout.splitlines()
    return {
        "namespaces": [line for line in namespaces if line.startswith(f"{prefix}-")],
        "mounts": [line for line in mounts if f"/hosts/{number}/" in line or prefix in line],
        "cgroups": [str(path) for path in cgroup_root().glob(f"{prefix}*")],
        "processes": [line for line in commands if f"/hosts/{number}/" in line or prefix in line],
    }


NOTHING: dict[str, list[str]] = {"namespaces": [], "mounts": [], "cgroups": [], "processes": []}


@pytest.mark.parametrize("role", SYSTEMD_ROLES)
def test_a_host_runs_systemd_as_its_first_process_and_all_its_units_come_up(lab_host: GetHost, role: str) -> None:
    host = lab_host(role)

    assert host.read("/proc/1/comm") == "systemd\n"
    assert host.failed_units() == []
    assert host.state() == "running"


def test_a_bare_host_has_no_systemd_no_python_and_no_sudo(lab_host: GetHost) -> None:
    host = lab_host("no-systemd-no-python")
    programs = ["systemctl", "python3", "sudo", "ss", "ip", "nft"]
    found = [name for name in programs if not host.run(f"command -v {name}", check=False).returncode]

    assert host.read("/proc/1/comm") == "sh\n"
    assert found == []


@pytest.mark.parametrize("role", role_names())
def test_ops_logs_in_over_ssh_from_the_centre(lab_host: GetHost, role: str) -> None:
    host = lab_host(role)
    said = host.ssh("id -un; hostname; echo $SSH_CONNECTION", user="ops").stdout.split()

    assert said[:3] == ["ops", role, CENTRE]
    assert said[4:] == [host.address, str(host.ssh_port)]


def test_root_logs_in_where_the_role_allows_it(lab_host: GetHost) -> None:
    allowed = {name: lab_host(name).ssh("id -u", check=False).stdout == "0\n" for name in role_names()}

    assert allowed == {name: name != "mariadb-pg-nfs" for name in role_names()}


def test_sudo_gives_ops_what_the_role_says(lab_host: GetHost) -> None:
    free, asking = lab_host("breaks-all"), lab_host("keeps-all")
    refused = asking.ssh("sudo -n id -u", user="ops", check=False)
    answered = asking.ssh("sudo -S -p '' id -u", user="ops", stdin=f"{asking.ops_password}\n")

    assert free.ssh("sudo -n id -u", user="ops").stdout == "0\n"
    assert refused.returncode != 0
    assert answered.stdout == "0\n"


def test_a_firewall_rule_drops_what_comes_from_outside(lab: Lab, lab_host: GetHost) -> None:
    host = lab_host("keeps-all")
    places = (lab.centre, lab.campus, lab.external)
    seen4 = [can_connect(place, host.address, 22) for place in places]
    seen6 = [can_connect(place, host.address6, 22) for place in places]

    assert seen4 == [True, False, False]
    assert seen6 == [True, False, False]


def test_without_a_firewall_everybody_gets_in(lab: Lab, lab_host: GetHost) -> None:
    host = lab_host("breaks-all")
    ports = (21, 22, 23, 111, 3306, 5432, 6379, 8080, 11211)
    closed = [port for port in ports if not can_connect(lab.external, host.address, port)]

    assert closed == []


def test_the_forgotten_ipv6_of_legacy_iptables_is_open(lab: Lab, lab_host: GetHost) -> None:
    host = lab_host("iptables-legacy-host")

    assert can_connect(lab.campus, host.address, 2222)
    assert not can_connect(lab.external, host.address, 2222)
    assert can_connect(lab.external, host.address6, 2222)
    assert "-A INPUT" in host.run(["iptables-legacy-save"]).stdout


def test_what_firewalld_only_does_for_now_is_gone_after_a_restart(lab: Lab) -> None:
    host = lab.start("firewalld-host", name="firewalld-restarted")
    before = [can_connect(lab.external, host.address, port) for port in (22, 80, 8443)]
    host = lab.reboot(host)
    after = [can_connect(lab.external, host.address, port) for port in (22, 80, 8443)]
    lab.stop(host)

    assert before == [False, True, True]
    assert after == [False, True, False]


def test_knocking_opens_the_port_for_the_one_who_knocks(lab: Lab, lab_host: GetHost) -> None:
    host = lab_host("ufw-host")
    before = can_connect(lab.campus, host.address, 22)
    knock = f"""
        import socket, time
        for kind, port in ((2, 27431), (1, 41907), (2, 33218)):
            with socket.socket(socket.AF_INET, kind) as one:
                one.setblocking(False)
                one.connect_ex(({host.address!r}, port))
                if kind == 2:
                    one.send(b"")
            time.sleep(0.2)
    """
    lab.campus.run([sys.executable, "-I", "-c", textwrap.dedent(knock)])
    deadline = time.monotonic() + 10
    while not (after := can_connect(lab.campus, host.address, 22)) and time.monotonic() < deadline:
        continue

    assert not before
    assert after
    assert not can_connect(lab.external, host.address, 22)


def test_the_machines_own_switches_cannot_be_turned_from_inside(lab_host: GetHost) -> None:
    host = lab_host("breaks-all")
    turned = host.run("echo 1 >/proc/sys/kernel/sysrq", check=False)
    clock = host.run("date -s '2001-01-01'", check=False)
    node = host.run("mknod /tmp/disk b 254 0", check=False)

    assert turned.returncode != 0
    assert clock.returncode != 0
    assert node.returncode != 0
    assert host.read("/proc/sys/net/ipv4/ip_forward") == "1\n"


def test_a_host_sees_the_time_of_the_centre(lab_host: GetHost) -> None:
    host = lab_host("keeps-all")
    host.run(["chronyc", "waitsync", "40", "0", "0", "0.5"])

    assert f"({CENTRE})" in host.run(["chronyc", "-n", "tracking"]).stdout


def test_files_written_arrive_byte_for_byte(lab_host: GetHost) -> None:
    host = lab_host("plain")
    data = "守责 '\"$(id)`\\\n\ttail without newline"
    host.write("/srv/a b/c", data, mode="640")

    assert host.read("/srv/a b/c") == data
    assert host.run(["stat", "-c", "%a %U", "/srv/a b/c"]).stdout == "640 root\n"


def test_a_stopped_lab_leaves_nothing_behind() -> None:
    with Lab() as own:
        number = own.number
        own.start_all(["plain", "no-systemd-no-python"])
        during = traces_of(number)

    assert len(during["namespaces"]) == 5
    assert during["cgroups"]
    assert [mount for mount in during["mounts"] if not mount.startswith("nsfs ")] == []
    assert traces_of(number) == NOTHING


def test_a_stopped_host_is_gone_while_its_lab_goes_on(lab: Lab, lab_host: GetHost) -> None:
    other = lab_host("plain")
    host = lab.start("plain", name="short-lived")
    lab.stop(host)
    left = [line for lines in traces_of(lab.number).values() for line in lines if host.name in line]

    assert left == []
    assert not host.directory.exists()
    assert not host.init.is_alive
    assert other.state() == "running"


def test_the_next_lab_removes_what_a_killed_one_left() -> None:
    script = """
        import sys, time
        from tests.lab import Lab
        lab = Lab()
        lab.start("plain")
        print(lab.number, flush=True)
        time.sleep(600)
    """
    argv = [sys.executable, "-c", textwrap.dedent(script)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=root) as killed:
        assert killed.stdout is not None
        number = int(killed.stdout.readline())
        os.kill(killed.pid, signal.SIGKILL)
    left = traces_of(number)
    clean_up_stale()

    assert left != NOTHING
    assert traces_of(number) == NOTHING


def test_a_process_that_got_a_recorded_id_later_is_left_alone() -> None:
    own = Process.of(os.getpid())

    assert own is not None
    assert own.is_alive
    assert not Process(own.pid, own.started - 1).is_alive


def test_labs_have_the_prefix_that_cleaning_looks_for(lab: Lab) -> None:
    assert lab.centre.namespace == f"{PREFIX}-{lab.number}-centre"
