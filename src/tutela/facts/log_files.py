"""The files under /var/log and of the journal: who may read and write them, how big and how old they are.

Source: stat(1) over /var/log and two levels below; names and figures only, no content (NC5).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

from tutela.evidence import Reason, Unobserved
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record

STAT = "stat -c '%a %U %G %s %Y %W %F|%n' (logs)"
HIDDEN = "log directories that may not be listed"
NEEDS = (STAT, HIDDEN)

WRITERS = frozenset({"root", "syslog", "_rsyslog", "systemd-journal-remote"})
"""Accounts that may own logs of authentication."""
LAST_SECOND = 253_402_300_799
"""The end of the year 9999, beyond which no date can be written."""
GROUPS_THAT_WRITE = frozenset({"root", "utmp", "syslog", "adm", "systemd-journal"})

_LINE = re.compile(r"([0-7]{1,5}) (\S+) (\S+) (\d{1,18}) (-?\d{1,12}) (-?\d{1,12}|[?W-]) ([^|]*)\|(/.{0,4095})")
_AUTHENTICATION = re.compile(
    r"/var/log/(?:auth\.log|secure|btmp|tallylog|sudo\.log|sudo-io)[^/]*|/var/log/audit(?:/.*)?|/(?:var|run)/log/journal/[^/]+/system[^/]*"
)


@record
class LogFile:
    """LogFile(path='/var/log/auth.log', mode=0o640, owner='root', group='adm', size=4711, modified=datetime(…), born=None, kind='regular file')"""

    path: str
    mode: int
    owner: str
    group: str
    size: int
    modified: datetime
    born: datetime | None
    """When the file was made; None: the file system or stat does not say (busybox prints a `W`)."""
    kind: str
    """regular file | directory | symbolic link | …"""

    @property
    def regular(self) -> bool:
        """A file, empty or not."""
        return self.kind.startswith("regular")


@record
class Loose:
    """Loose(path='/var/log/auth.log', mode='644', owner='root', group='adm', fault='world-readable')"""

    path: str
    mode: str
    owner: str
    group: str
    fault: str
    """world-readable | world-writable | group-writable | owner"""


@record
class LogFiles:
    """Everything that was listed, and what about it is too open."""

    files: tuple[LogFile, ...]
    loose: tuple[Loose | Unobserved, ...]
    """A hole stands for directories that could not be listed."""

    def named(self, path: str) -> LogFile | None:
        """The file of that path."""
        return next((one for one in self.files if one.path == path), None)


def parse(look: Look) -> LogFiles | Unobserved:
    """The fact; unknown when the listing failed."""
    lines = look.lines(STAT)
    if isinstance(lines, Unobserved):
        return lines
    files: list[LogFile] = []
    for line in lines:
        found = _LINE.fullmatch(line)
        if found is None:
            if line:
                return Unobserved(Reason.FORMAT, STAT, Text("有一行的格式不明", "a line of unknown form"))
            continue
        mode, owner, group, size, modified, born, kind, path = found.groups()
        files.append(LogFile(path, int(mode, 8), owner, group, int(size), _time(modified), _time(born) if born.isdecimal() and born != "0" else None, kind))
    logs = [one for one in files if one.path.startswith(("/var/log", "/run/log/")) and one.kind != "symbolic link"]
    if not any(one.path == "/var/log" for one in logs):
        return Unobserved(Reason.NO_DATA, STAT, Text("没有 /var/log", "there is no /var/log"))
    loose: list[Loose | Unobserved] = [
        Loose(one.path, f"{one.mode:o}", one.owner, one.group, fault)
        for one in logs
        for fault in _faults(one.path, one.mode, one.owner, one.group, regular=one.regular)
    ]
    hidden = look.text(HIDDEN)
    if isinstance(hidden, Unobserved):
        loose.append(hidden)
    elif hidden.strip() != "0":
        loose.append(Unobserved(Reason.PRIVILEGE, HIDDEN, Text("部分日志目录无权列出", "some log directories may not be listed")))
    return LogFiles(tuple(files), tuple(loose))


def _time(stamp: str) -> datetime:
    return datetime.fromtimestamp(min(max(int(stamp), 0), LAST_SECOND), UTC)


@lru_cache(1024)
def _faults(path: str, mode: int, owner: str, group: str, *, regular: bool) -> tuple[str, ...]:
    """What is too open about a log. Kept, since the logs of most hosts are called alike and may be read by the same people."""
    faults: list[str] = []
    authentication = regular and _AUTHENTICATION.fullmatch(path) is not None
    if mode & 0o002:
        faults.append("world-writable")
    if authentication and mode & 0o004:
        faults.append("world-readable")
    if authentication and owner not in WRITERS:
        faults.append("owner")
    if authentication and mode & 0o020 and group not in GROUPS_THAT_WRITE:
        faults.append("group-writable")
    return tuple(faults)
