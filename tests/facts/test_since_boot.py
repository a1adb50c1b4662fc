"""Times of processes and of the files they read come from clocks that count in different fractions of a second."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import scenes
from tutela.evidence import Unobserved
from tutela.facts import guards, log_forwarding, since_boot, ssh_servers

SSH = scenes.load(scenes.TESTS / "checks" / "_base" / "ssh-host.yaml")["sources"]
LOG = scenes.load(scenes.TESTS / "facts" / "log_forwarding" / "rsyslog-two-servers.yaml")["sources"]
TICKS = 100
Sources = dict[str, Any]
Stale = Callable[[int, int, Sources], bool | Unobserved]
"""Whether a server is older than its files, by its start since boot in hundredths of a second and the second its files were changed."""


def sshd(start: int, changed: int, clocks: Sources) -> bool | Unobserved:
    sources = {
        guards.PROCESSES: f"pid=611 name=sshd parent=1 start={start} args=sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups",
        ssh_servers.FILES: "\n".join(f"644 0 0 {changed} {path}" for path in ("/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d/10-site.conf")),
        next(name for name in SSH if name.startswith(guards.SHOW)): "",
        ssh_servers.STATUS_CHANGES: f"{changed} /etc/ssh/sshd_config",
        ssh_servers.PID_FILE: {"status": "absent"},
    }
    found = scenes.look({"sources": SSH | clocks | sources}).fact(ssh_servers.parse)
    assert isinstance(found, ssh_servers.SshServers)
    return found.servers[0].stale


def rsyslogd(start: int, changed: int, clocks: Sources) -> bool | Unobserved:
    states = LOG[log_forwarding.STATES].replace("Monotonic=3600000000", f"Monotonic={start * 10_000}")
    times = f"{changed} /etc/rsyslog.conf"
    sources = {log_forwarding.STATES: states, log_forwarding.MODIFIED: times, log_forwarding.PLACED: times}
    found = scenes.look({"sources": LOG | clocks | sources}).fact(log_forwarding.parse)
    assert isinstance(found, log_forwarding.LogForwarding)
    assert isinstance(found.shippers, tuple)
    return found.shippers[0].stale


@pytest.mark.parametrize("stale", [sshd, rsyslogd])
@given(
    booted=st.integers(160_000_000_000, 170_000_000_000),
    up=st.integers(10 * TICKS, 10**8),
    later=st.integers(0, TICKS - 1),
    age=st.integers(6 * TICKS, 9 * TICKS),
    touched=st.one_of(st.integers(3 * TICKS, 4 * TICKS), st.integers(-TICKS, 0)),
)
def test_a_server_is_older_than_a_file_changed_three_seconds_after_its_start_and_never_than_one_changed_before(
    stale: Stale, booted: int, up: int, later: int, age: int, touched: int
) -> None:
    """All in hundredths of a second; what the host prints of them is cut to what it prints, and the second clock is read `later` than the first."""
    now = booted + up
    started = now - age
    clocks = {
        "meta": f"version=1\nuid=0\nquick=0\nstarted={now // TICKS}\noffset=+0000\n",
        since_boot.UPTIME: f"{(up + later) // TICKS}.{(up + later) % TICKS:02} 1.00\n",
    }

    assert stale(started - booted, math.floor((started + touched) / TICKS), clocks) is (touched > 0)


@pytest.mark.parametrize(
    ("noted", "up", "seconds"),
    [
        ("999999999999", "864000.00 1.00", 0),
        ("1795334395", "999999999999.99 1.00", 0),
        ("1795334395", "864000.00 1.00", 1e13),
        ("1795334395", "1e9 1", 0),
        ("", "864000.00 1.00", 0),
    ],
)
def test_times_that_no_host_has_are_not_reckoned_with(noted: str, up: str, seconds: float) -> None:
    look = scenes.look({"sources": {"meta": f"started={noted}", since_boot.UPTIME: up}})

    assert isinstance(since_boot.moment(look, seconds), Unobserved)
