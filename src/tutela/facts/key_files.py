"""Modes of the files that decide who is root, against what distributions ship.

Source: stat(1) of a fixed list. Stricter is always right; what counts is a bit too many, or an owner who is not root.
"""

from __future__ import annotations

import re
from fnmatch import translate

from tutela.evidence import Reason, Unobserved
from tutela.facts import accounts
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record

SOURCE = "stat -c '%f %u %g %W %Y %n' (key files)"
NEEDS = (SOURCE, *accounts.NEEDS)
# Path, most permissive mode that a supported distribution ships, groups that may have the group's bits (root always may). First match.
LIMITS: tuple[tuple[str, int, tuple[str, ...]], ...] = (
    ("/etc/shadow*", 0o640, ("shadow",)),
    ("/etc/gshadow*", 0o640, ("shadow",)),
    ("/etc/passwd*", 0o644, ()),
    ("/etc/group*", 0o644, ()),
    ("/etc/sudoers.d", 0o755, ()),
    ("/etc/sudoers*", 0o640, ()),
    ("/etc/doas.conf", 0o644, ()),
    ("/var/spool/cron/crontabs", 0o1775, ("crontab",)),
    ("/var/spool/cron", 0o755, ()),
    ("/etc/cron.allow", 0o644, ("crontab",)),
    ("/etc/cron.deny", 0o644, ("crontab",)),
    ("/etc/at.allow", 0o644, ("daemon",)),
    ("/etc/at.deny", 0o644, ("daemon",)),
    ("/etc/ssh/ssh_host_*_key", 0o640, ("ssh_keys",)),
    ("/boot/*/user.cfg", 0o600, ()),
    ("/boot/efi/EFI/*", 0o755, ()),
    ("/usr/local/*bin", 0o2775, ("staff",)),
    ("/root", 0o750, ()),
)
PATTERNS = tuple((re.compile(translate(pattern)), most, groups) for pattern, most, groups in LIMITS)
FILE, DIRECTORY = 0o644, 0o755
"""For every other path of the list."""


@record
class KeyFile:
    """KeyFile(path='/etc/shadow', mode='0644', owner='root', group='root', problem='mode 0644, at most 0640')"""

    path: str
    mode: str
    owner: str
    group: str
    problem: str | Unobserved | None


@record
class KeyFiles:
    """KeyFiles(files=(KeyFile(...),))"""

    files: tuple[KeyFile | Unobserved, ...]


def parse(look: Look) -> KeyFiles | Unobserved:
    """The fact, for those of the list that exist; home directories stand in the same source and are left out."""
    rows = look.fact(_rows)
    if isinstance(rows, Unobserved):
        return rows
    people = look.fact(accounts.ageless)
    if isinstance(people, Unobserved):
        return people
    users = {account.uid: account.name for account in reversed(people.accounts)}
    groups = people.groups if isinstance(people.groups, Unobserved) else {group.gid: group.name for group in people.groups}
    # Of some accounts the home is a directory of the system; RHEL's operator lives in /root.
    homes = {account.home for account in people.accounts if account.uid != 0} - {"/", "/bin", "/sbin", "/usr/sbin", "/usr/bin", "/etc", "/root"}
    files: list[KeyFile | Unobserved] = []
    for row in rows.split("\n"):
        fields = row.split(" ", 3)
        if len(fields) != 4 or not re.fullmatch(r"[0-9a-f]{1,8}", fields[0]) or not all(re.fullmatch(r"\d{1,10}", word) for word in fields[1:3]):
            continue
        raw, uid, gid, path = int(fields[0], 16), int(fields[1]), int(fields[2]), fields[3]
        kind = raw & 0o170000
        if path in homes or kind not in (0o040000, 0o100000):
            continue
        group = "root" if gid == 0 else groups if isinstance(groups, Unobserved) else groups.get(gid, str(gid))
        problem = _problem(path, raw & 0o7777, kind == 0o040000, uid, group)
        files.append(KeyFile(path, f"{raw & 0o7777:04o}", users.get(uid, str(uid)), str(gid) if isinstance(group, Unobserved) else group, problem))
    if not any(isinstance(one, KeyFile) and one.path == "/etc/passwd" for one in files):
        return Unobserved(Reason.NO_DATA, SOURCE, Text("没有列出 /etc/passwd，结果不可信", "/etc/passwd is not listed, so nothing can be concluded"))
    if not look.as_root:
        files.append(Unobserved(Reason.PRIVILEGE, SOURCE, Text("非 root 采集，可能有看不到的文件", "not collected as root: some files may be hidden")))
    return KeyFiles(tuple(files))


def _rows(look: Look) -> str | Unobserved:
    """What stat said without the times, which differ on every host: mode, owner, group, path."""
    lines = look.lines(SOURCE)
    if isinstance(lines, Unobserved):
        return lines
    rows = [line.split(" ", 5) for line in lines]
    return "\n".join([f"{row[0]} {row[1]} {row[2]} {row[5]}" for row in rows if len(row) == 6])


def _problem(path: str, mode: int, directory: bool, uid: int, group: str | Unobserved) -> str | Unobserved | None:
    limit, allowed = next(((most, groups) for pattern, most, groups in PATTERNS if pattern.match(path)), (DIRECTORY if directory else FILE, ()))
    if uid != 0:
        return "owner is not root"
    if mode & ~limit & 0o7777:
        return f"mode {mode:04o}, at most {limit:04o}"
    # The bits of the group are right only for the group that the distribution means.
    beyond = limit if limit in (FILE, DIRECTORY) else 0
    if group not in ("root", *allowed) and mode & 0o070 & ~(beyond & 0o050):
        if isinstance(group, Unobserved):
            return group
        return f"group {group} may {'write' if mode & 0o020 else 'read'}"
    return None
