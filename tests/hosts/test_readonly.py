"""The probe changes nothing on a real host, with all that runs there answering it: by strace, from outside the host, and by looking again."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.collect.probe import PROBE
from tests.collect.trace import changes, strace
from tests.hosts import look
from tests.lab.host import Host

pytest_plugins = ["tests.lab.fixtures"]
pytestmark = [pytest.mark.lab, pytest.mark.root]

BEGIN = '["sh", "-s", "--"'
"""Where the probe's shell begins, as strace writes it: what stands before is the way into the host."""
AS_OPS = ("setpriv", "--reuid", "ops", "--regid", "ops", "--init-groups")


def traced(host: Host, trace: Path, *options: str, before: tuple[str, ...] = ()) -> Path:
    """A look as it is over SSH, except that this machine's strace watches it; the host needs none."""
    argv = strace(trace, *host.exec_argv([*before, "sh", "-s", "--", *options]))
    environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"}
    with PROBE.open("rb") as probe:
        done = subprocess.run(argv, stdin=probe, capture_output=True, env=environment, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(b"end\n")
    assert BEGIN in trace.read_text(errors="backslashreplace")
    return trace


@pytest.mark.parametrize(
    ("role", "options", "before"),
    [
        ("keeps-all", ("--addresses", "192.0.2.5,2001:db8::5"), ()),
        ("keeps-all", ("--quick",), AS_OPS),
        ("breaks-all", ("--quick",), ()),  # databases, snmpd, rpcbind
        ("ufw-host", ("--quick",), ()),  # ufw, knockd, syslog-ng, PAM modules of a second factor
        ("firewalld-host", ("--quick",), ()),  # firewall-cmd asks over D-Bus
        ("iptables-legacy-host", ("--quick",), ()),
        ("no-systemd-no-python", ("--quick",), ()),
    ],
)
def test_a_look_at_a_real_host_changes_nothing(
    role: str, options: tuple[str, ...], before: tuple[str, ...], lab_host: Callable[[str], Host], tmp_path: Path
) -> None:
    assert changes(traced(lab_host(role), tmp_path / "trace", *options, before=before), BEGIN) == set()


def test_a_write_inside_a_host_is_seen(lab_host: Callable[[str], Host], tmp_path: Path) -> None:
    """The test above can fail."""
    trace = tmp_path / "trace"
    argv = strace(trace, *lab_host("plain").exec_argv(["sh", "-s", "--"]))
    subprocess.run(argv, input=b"echo x >/run/flip; rm /run/flip\n", capture_output=True, check=True)

    assert {call.partition("(")[0] for call in changes(trace, BEGIN)} >= {"openat", "unlinkat"}


@pytest.mark.parametrize("role", ["keeps-all", "no-systemd-no-python"])
def test_a_look_over_ssh_leaves_no_file(role: str, lab_host: Callable[[str], Host]) -> None:
    host = lab_host(role)
    places = "ls -lARn --time-style=full-iso /home /root /tmp /var/tmp /dev/shm /etc /usr/local /opt /srv /var/lib/apt /var/cache 2>/dev/null"
    look.collect(host, "ops", "--quick")  # the first login makes what belongs to a login

    before = host.run(places, check=False).stdout
    look.collect(host, "ops")

    assert before != ""
    assert host.run(places, check=False).stdout == before
