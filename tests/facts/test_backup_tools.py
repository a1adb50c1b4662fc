"""What a line of a job saves, and where to: a row a way of calling a tool."""

from __future__ import annotations

import pytest

from tutela.evidence import Unobserved
from tutela.facts.backup.command import pipelines
from tutela.facts.backup.tools import DATABASES, TOOLS, Around, Saved, saved

AROUND = Around("backup.timer", {}, None)
HIDDEN = None
"""Not visible in the line."""

FILES: list[tuple[str, tuple[str, ...] | None, str]] = [
    ("restic -r sftp://nas/x backup /srv /etc --exclude /srv/tmp", ("/srv", "/etc"), "sftp://nas/x"),
    ("RESTIC_REPOSITORY=/mnt/nas/restic restic backup /srv", ("/srv",), ""),
    ("restic backup --files-from /etc/list", HIDDEN, ""),
    ("borg create ssh://nas/./repo::*** /srv /etc", ("/srv", "/etc"), "ssh://nas/./repo"),
    ("kopia snapshot create /srv", ("/srv",), ""),
    ("tar czf /backup/www.tgz /srv/www", ("/srv/www",), "/backup/www.tgz"),
    ("tar c /srv | gzip > /backup/x.tgz", ("/srv",), "/backup/x.tgz"),
    ("tar cf - /srv | ssh *** cat > /backup/srv.tar", ("/srv",), "ssh://***"),
    ("tar *** - /srv | ssh *** cat > /backup/srv.tar", ("/srv",), "ssh://***"),
    ("duplicity full /home sftp://nas/home", ("/home",), "sftp://nas/home"),
    ("duply *** backup", HIDDEN, ""),
    ("tarsnap -c -f *** /srv", ("/srv",), "tarsnap://tarsnap.com"),
    ("proxmox-backup-client backup root.pxar:/ --repository u@pbs:store", ("/",), "pbs://pbs:store"),
    ("nice -n *** ionice -c3 /usr/bin/rsync -aAX --delete /srv/ nas::web1/ > /var/log/rs.log", ("/srv/",), "nas::web1/"),
    ("timeout 3600 flock -n /run/lock/x rsync -a /srv nas:/x", ("/srv",), "nas:/x"),
    ("rsync -a *** nas:/x", HIDDEN, "nas:/x"),
    ("scp -r /srv nas:/b", ("/srv",), "nas:/b"),
    ("cp -a /srv /var/backups/srv", ("/srv",), "/var/backups/srv"),
    ("rdiff-backup /srv nas::/b", ("/srv",), "nas::/b"),
    ("rclone sync /srv drive:x", ("/srv",), "drive:x"),
    ("aws s3 sync /srv s3://***", ("/srv",), "s3://***"),
    ("btrfs send /srv/.snap | ssh *** btrfs receive /x", ("/srv/.snap",), "ssh://***"),
]


@pytest.mark.parametrize(("line", "sources", "target"), FILES, ids=[line for line, _, _ in FILES])
def test_saves_files(line: str, sources: tuple[str, ...] | None, target: str) -> None:
    (one,) = _saved(line)
    assert (one.kind, one.target) == ("files", target)
    assert isinstance(one.sources, Unobserved) if sources is HIDDEN else one.sources == sources


@pytest.mark.parametrize(
    ("line", "target", "whole"),
    [
        ("mysqldump --all-databases | gzip > /var/backups/all.sql.gz", "/var/backups/all.sql.gz", True),
        ("mysqldump *** | ssh *** cat > /x", "ssh://***", False),
        ("sudo -u *** pg_dumpall > /var/backups/pg.sql", "/var/backups/pg.sql", True),
        ("pg_dump *** -f /var/backups/x", "/var/backups/x", False),
        ("docker exec *** mysqldump -A > /var/backups/all.sql", "/var/backups/all.sql", True),
        ("pgbackrest backup --stanza=***", "/var/lib/pgbackrest", True),
        ("wal-g backup-push /var/lib/postgresql", "", True),
        ("xtrabackup --backup --target-dir=/var/backups/x", "/var/backups/x", True),
        ("mongodump --out /var/backups/m", "/var/backups/m", True),
        ("redis-cli --rdb /var/backups/x.rdb", "/var/backups/x.rdb", True),
    ],
)
def test_saves_a_database(line: str, target: str, *, whole: bool) -> None:
    (one,) = _saved(line)
    assert (one.kind, one.target, one.whole is True) == ("database", target, whole)
    assert one.engine in DATABASES.values()


@pytest.mark.parametrize(
    "line",
    [
        "restic forget --tag backup --prune",
        "restic backup /srv --dry-run",
        "borg prune",
        "tar xzf /backup/x.tgz",
        "duplicity remove-older-than 1M sftp://nas/home",
        "duply *** purge",
        "tarsnap -x -f *** /srv",
        "rsync -an /srv nas:/b",
        "rsync -a nas:/srv /srv",
        "scp nas:/b /srv",
        "cp /srv /var/backups/srv",
        "cp -r /srv /tmp/x",
        "rclone ls drive:",
        "aws s3 ls s3://x",
        "mysqldump --no-data *** > /var/backups/x.sql",
        "pg_dump -s *** -f /x",
        "pg_dumpall -g > /x",
        "pg_dumpall > /dev/null",
        "pgbackrest check",
        "xtrabackup --prepare",
        "redis-cli ping",
        "zfs list",
        "btrbk list",
        "lvcreate -L *** vg",
        "ssh *** rsync -a /srv /backup",
        "ssh *** tar c /srv /etc > /backup/x",
    ],
)
def test_saves_nothing(line: str) -> None:
    assert _saved(line) == []


@pytest.mark.parametrize(
    ("line", "encrypted"),
    [
        ("restic backup /srv", True),
        ("tar cf - /srv | gpg *** | ssh *** cat > /x", True),
        ("zfs send tank/data@x | age *** | ssh *** cat > /x", True),
        ("tar cf - /srv | ssh *** cat > /x", False),
        ("duplicity /home sftp://nas/home", True),
        ("duplicity --no-encryption /home sftp://nas/home", False),
        ("mysqldump -A | openssl *** > /x", True),
        ("borg create nas:/x::*** /srv", None),
        ("rclone sync /srv drive:x", None),
    ],
)
def test_encrypts(line: str, *, encrypted: bool | None) -> None:
    (one,) = _saved(line)
    assert (None if isinstance(one.encrypted, Unobserved) else one.encrypted) is encrypted


def test_every_tool_is_asked_without_a_word() -> None:
    for tool in TOOLS:
        for line in (tool, f"{tool} ***", f"{tool} -"):
            assert all(isinstance(one, Saved) for one in _saved(line))


def _saved(line: str) -> list[Saved]:
    return [one for pipeline in pipelines([line], TOOLS) for _, one in saved(pipeline, AROUND)]
