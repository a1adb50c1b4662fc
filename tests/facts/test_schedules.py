"""How often a schedule runs, what a job leaves behind, and bytes nobody wrote on purpose."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import scenes
from tutela.facts import (
    antivirus,
    backups,
    boot,
    centre,
    confinement,
    contacts,
    containers,
    disks,
    encryption,
    integrity,
    intrusion,
    machine,
    modules,
    mounts,
    persistence,
    schedules,
    sysctl,
    tls,
    units,
    unneeded,
    web,
)
from tutela.facts.backup.destination import RCLONE
from tutela.facts.backup.stores import OPEN_FILES
from tutela.facts.recurrence import calendar_gap, cron_gap
from tutela.facts.units import duration, moment

DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("schedule", "gap"),
    [
        ("0 3 * * *", DAY),
        ("10 2 * * 1-5", 3 * DAY),
        ("*/15 * * * *", timedelta(minutes=15)),
        ("5/15 * * * *", timedelta(minutes=15)),
        ("-*/15 * * * *", timedelta(minutes=15)),
        ("0 0 1 * *", 31 * DAY),
        ("0 4 * * sun", 7 * DAY),
        ("0 4 * * 7", 7 * DAY),
        ("0 2 */2 * *", 2 * DAY),
        ("0 0 1 1 *", 366 * DAY),
        ("@daily", DAY),
        ("@weekly", 7 * DAY),
        # Both day fields restricted: either is enough.
        ("0 4 1 * mon", 7 * DAY),
        ("@reboot", None),
        ("61 * * * *", None),
        ("* * * *", None),
        ("0 0 31 2 *", None),
        ("*/0 * * * *", None),
        ("", None),
    ],
)
def test_longest_gap_of_a_crontab_schedule(schedule: str, gap: timedelta | None) -> None:
    assert gap == cron_gap(schedule)


@pytest.mark.parametrize(
    ("specification", "gap"),
    [
        ("*-*-* 06,18:00:00", timedelta(hours=12)),
        ("Mon *-*-* 00:00:00", 7 * DAY),
        ("Mon..Fri *-*-* 02:00:00", 3 * DAY),
        ("Sat,Sun *-*-* 00:00:00", 6 * DAY),
        ("*-*-* *:00/10:00", timedelta(minutes=10)),
        ("*-01,04,07,10-01 00:00:00", 92 * DAY),
        ("*-*~01 00:00:00", 31 * DAY),
        ("Mon *-*~07/1 03:00:00", 35 * DAY),
        ("*-*-* 02:10:00 Asia/Shanghai", DAY),
        ("*-*-* *:*:00", timedelta(minutes=1)),
        ("2026-*-* 00:00:00", None),
        ("*-02-30 00:00:00", None),
        ("minutely", None),
        ("", None),
    ],
)
def test_longest_gap_of_a_calendar_timer(specification: str, gap: timedelta | None) -> None:
    assert gap == calendar_gap(specification)


@given(st.text(max_size=60))
def test_no_schedule_breaks_the_readers(text: str) -> None:
    for read in (cron_gap, calendar_gap, duration):
        found = read(text)
        assert found is None or isinstance(found, timedelta)
    assert moment(text) is None or moment(text) is not None


def test_times_of_systemd() -> None:
    assert datetime(2026, 11, 22, 4, 12, 2, tzinfo=UTC) == moment("Sun 2026-11-22 04:12:02 UTC")
    assert moment("Sun 2026-11-22 04:12:02 CST") is None
    assert moment("") is None
    assert timedelta(days=1, hours=2, minutes=30) == duration("1d 2h 30min")
    assert duration("1 fortnight") is None


SOURCES = {
    "jobs": [
        "env TZ=UTC0 systemctl show -p Id,LoadState,ActiveState,SubState,User,ExecStart *.service *.timer",
        "/etc/crontab",
        "/etc/anacrontab",
        "/etc/cron.d/",
        "/etc/cron.d/x",
        "/var/spool/cron/crontabs/",
        "/var/spool/cron/crontabs/x",
        "/etc/cron.daily/",
        "/etc/cron.daily/x",
        schedules.PATHS,
        "/usr/local/bin/x (job)",
        "/etc/borgmatic/config.yaml",
        "/etc/btrbk/btrbk.conf",
        "/etc/rsnapshot.conf",
        "/etc/pgbackrest.conf",
        "hostname",
        "ip -o addr",
        *RCLONE,
        OPEN_FILES,
        "tail -c 20000 /var/log/x.log",
    ],
    "disks": [
        encryption.LSBLK,
        encryption.SWAPS,
        encryption.CRYPTTAB,
        encryption.ZFS,
        encryption.DUMP + "vda3",
        mounts.SOURCE,
        disks.MDSTAT,
        disks.SMART + "sda",
    ],
    "kernel": [
        *sysctl.NEEDS,
        "/etc/sysctl.d/x.conf",
        "/proc/sys/net/ipv4/conf/eth0.100/rp_filter",
        *modules.NEEDS,
        "/etc/modprobe.d/x.conf",
        *boot.NEEDS,
        "/etc/systemd/system/rescue.service.d/x.conf",
    ],
    "protection": [*confinement.NEEDS, *integrity.FILES, intrusion.WAZUH, persistence.PRELOAD, machine.DETECT, *machine.FIRMWARE],
    "web": [*web.NEEDS, "/etc/nginx/conf.d/x", "/etc/apache2/conf-enabled/x.conf", *containers.NEEDS],
}
FACTS: list[Any] = [antivirus, backups, boot, centre, confinement, contacts, containers, disks, encryption, integrity, intrusion, machine]
FACTS += [modules, mounts, persistence, schedules, sysctl, tls, units, unneeded, web]

WORDS = st.sampled_from(
    [
        "Id=x.timer",
        "Unit=x.service",
        "Id=x.service",
        "ActiveState=active",
        "TimersCalendar={ OnCalendar=*-*-* 02:10:00 ; next_elapse=x }",
        "restic backup /srv",
        "0 3 * * * root rsync -a /srv/ nas:/x && touch /ok",
        "*/0 * * * * root true",
        "30 1 254:1 / / rw - ext4 /dev/vda1 rw",
        "md0 : active raid1 sda1[0]",
        "[2/1] [U_]",
        '{"blockdevices":[{"name":"vda","type":"disk","children":[{}]}]}',
        '{"smart_status":{"passed":null}}',
        "Version: 2",
        "server { server_tokens off; }",
        "}}}{{{;",
        "net.ipv4.*.x = 1",
        "-net/ipv4/conf/a.b/rp_filter",
        "install sctp /bin/true",
        "Options Indexes",
        "644 0 0 1 1 regular file /ok",
        "\tcipher: aes-xts-plain64",
        "[]",
        "null",
        "x\ty\ttrue\thost\t\t\t\tz\t|\t\t{",
        "set superusers=***",
        "sig = \\",
        "source_directories:",
        "- /srv",
        "pg_dump *** | ssh *** cat",
        "tar czf - / | gzip > /b",
        "/ /",
        "\x0c\x1c",
    ]
)
CONTENT = st.one_of(st.text(max_size=200), st.lists(WORDS, max_size=12).map("\n".join))


@pytest.mark.parametrize("group", sorted(SOURCES))
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_bytes_of_a_host_break_a_fact(group: str, data: st.DataObject) -> None:
    names = SOURCES[group]
    sources = {name: data.draw(CONTENT) for name in names if data.draw(st.booleans())}
    look = scenes.look({"sources": sources, "site": {"data_sets": [{"path": "/srv", "important": True, "rpo_hours": 1}], "data_class": "core"}})

    for module in FACTS:
        look.fact(module.parse)
