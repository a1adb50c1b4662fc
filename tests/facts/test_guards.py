"""Times of processes and of the files they read come from clocks that count in different fractions of a second."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from tests import scenes
from tutela.facts import guards, ssh_servers

HOST = scenes.load(scenes.TESTS / "checks" / "_base" / "ssh-host.yaml")["sources"]
TICKS = 100


@given(
    booted=st.integers(160_000_000_000, 170_000_000_000),
    up=st.integers(10 * TICKS, 10**8),
    age=st.integers(6 * TICKS, 9 * TICKS),
    touched=st.one_of(st.integers(3 * TICKS, 4 * TICKS), st.integers(-TICKS, 0)),
)
def test_a_server_is_older_than_a_file_changed_three_seconds_after_its_start_and_never_than_one_changed_before(
    booted: int, up: int, age: int, touched: int
) -> None:
    """All in hundredths of a second; what the host prints of them is cut to what it prints."""
    now = booted + up
    started = now - age
    changed = math.floor((started + touched) / TICKS)
    sources = HOST | {
        "meta": f"version=1\nuid=0\nquick=0\nstarted={now // TICKS}\noffset=+0000\n",
        guards.UPTIME: f"{up // TICKS}.{up % TICKS:02} 1.00\n",
        guards.PROCESSES: f"pid=611 name=sshd parent=1 start={started - booted} args=sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups",
        ssh_servers.FILES: "\n".join(f"644 0 0 {changed} {path}" for path in ("/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d/10-site.conf")),
        next(name for name in HOST if name.startswith(guards.SHOW)): "",
    }

    servers = scenes.look({"sources": sources}).fact(ssh_servers.parse)

    assert isinstance(servers, ssh_servers.SshServers)
    stale = servers.servers[0].stale
    assert stale is (touched > 0)
