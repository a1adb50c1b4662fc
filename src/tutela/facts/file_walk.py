"""What one bounded walk over the local file systems found: setuid programs, files that all may write, files of nobody, readable secrets.

Sources: `tutela walk`, one find(1) pass; `tutela secret-files`, for which the probe looked at the content and kept only its kind;
stat(1) of the directories above these; `tutela setuid-packages`, the found programs that belong to a package (dpkg: /var/lib/dpkg/info/*.list, rpm -qf); getcap(8).
A walk that was cut short keeps what it found, with a hole beside it: a find is sure, its absence is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase

from tutela.evidence import Reason, Status, Unobserved
from tutela.evidence.observed import any_of
from tutela.facts import accounts
from tutela.facts.accounts import Accounts
from tutela.facts.look import Look
from tutela.facts.sudo import LOOSE_DOORS, OPEN_DOORS, program_of
from tutela.facts.unseen import unseen
from tutela.language import Text
from tutela.record import record

WALK, SECRETS, PACKAGED = "tutela walk", "tutela secret-files", "tutela setuid-packages"
CAPABILITIES = "getcap -r /usr /opt /srv /home"
ABOVE = "stat -c '%a %u %g %n' (directories above secret files)"
NEEDS = (WALK, SECRETS, ABOVE, PACKAGED, CAPABILITIES, *accounts.NEEDS)
SENSITIVE = re.compile(
    r"/(etc|usr/s?bin|usr/local/s?bin|bin|sbin|usr/lib|lib|lib64|usr/lib64|boot|root|var/spool/cron|opt/[^/]+/s?bin)(/|$)|/run/|.*/(cron\.[a-z]+|systemd)(/|$)"
)
"""Places where a file that all may write is a way to become root; in /run only the sockets of container engines are looked at."""
_NUMBER = re.compile(r"\d{1,10}")
_MODE = re.compile(r"[0-7]{1,5}")
MAX_ROWS = 20_000


@record
class LooseFile:
    """LooseFile(path='/etc/cron.d/backup', mode='0666', problem='world-writable', sensitive=True)"""

    path: str
    mode: str
    owner: int
    problem: str
    """world-writable | unowned"""
    sensitive: bool
    """In PATH, /etc, cron or systemd directories."""


@record
class Privileged:
    """Privileged(path='/usr/local/bin/rootsh', mode='4755', owner=0, gains='setuid', expected=False)"""

    path: str
    mode: str
    owner: int
    gains: str
    """setuid | setgid | the capabilities, as getcap prints them"""
    expected: bool | Unobserved
    """Owned by a package, and none of the programs that no package ships so; for capabilities: one that distributions ship with them."""


@record
class SecretFile:
    """SecretFile(path='/srv/www/.env', kind='password', mode='0644', owner='www-data', readers='everybody')"""

    path: str
    kind: str
    """private-key | password | token | cloud-credentials"""
    mode: str
    owner: str
    """Name, or the number of an owner without a name."""
    readers: str
    """everybody | group NAME"""


@record
class FileWalk:
    """FileWalk(loose=(...), privileged=(...), secrets=(...), not_walked=('/home',))"""

    loose: tuple[LooseFile | Unobserved, ...]
    privileged: tuple[Privileged | Unobserved, ...]
    secrets: tuple[SecretFile | Unobserved, ...]
    """Those that others than their owner may read and reach; a group of one service alone is accepted."""
    sheltered: tuple[str, ...]
    """Those that everybody might read, did not a directory above shut everybody out."""
    not_walked: tuple[str, ...]
    """Mounts of network file systems, which were left out."""


def parse(look: Look) -> FileWalk | Unobserved:
    """The fact; unknown altogether only where no part was seen."""
    walked = look.text(WALK)
    if isinstance(walked, Unobserved) and look.source(WALK).status is not Status.TRUNCATED:
        return walked
    people = look.fact(accounts.ageless)
    rows, skipped = _walk_rows(look)
    passed_by = (*_passed_by(rows), *_rootless(look))
    found = look.text(PACKAGED)
    owned = found if isinstance(found, Unobserved) else _both_names(found.split("\n"))
    secrets = tuple(_secrets(look, people))
    return FileWalk(
        loose=(*_loose(rows, people), *_hole(walked), *passed_by),
        privileged=(*_setuid(rows, owned), *_capable(look, owned), *_hole(walked), *passed_by),
        secrets=(*(one for one in secrets if not isinstance(one, str)), *_hole(look.text(SECRETS)), *passed_by),
        sheltered=tuple(one for one in secrets if isinstance(one, str)),
        not_walked=tuple(skipped),
    )


def _hole(text: str | Unobserved) -> tuple[Unobserved, ...]:
    return (text,) if isinstance(text, Unobserved) else ()


def _lines(look: Look, name: str) -> list[str]:
    """Lines also of a source that was cut short; what stands there was seen."""
    return look.source(name).content.decode("utf-8", "backslashreplace").split("\n")[:MAX_ROWS]


_Row = tuple[str, str, int, int, str, str]


def _walk_rows(look: Look) -> tuple[list[_Row], list[str]]:
    rows: list[_Row] = []
    skipped: list[str] = []
    for line in _lines(look, WALK):
        fields = line.split("\t", 5)
        if fields[0] == "skipped" and len(fields) == 2:
            skipped.append(fields[1])
        elif len(fields) == 6 and _MODE.fullmatch(fields[1]) and _NUMBER.fullmatch(fields[2]) and _NUMBER.fullmatch(fields[3]):
            rows.append((fields[0], fields[1].zfill(4), int(fields[2]), int(fields[3]), fields[4], fields[5]))
    return rows, skipped


def _passed_by(rows: list[_Row]) -> Iterator[Unobserved]:
    """A name with a newline would read as two rows: it and what is below it was not looked at."""
    for kind, _, _, _, _, directory in rows:
        if kind == "N":
            why = Text(
                f"{directory} 中有名称含换行符的文件或目录，未予查看",
                f"{directory} has a file or directory with a newline in its name, which was not looked at",
            )
            yield Unobserved(Reason.FORMAT, WALK, why)


def _rootless(look: Look) -> Iterator[Unobserved]:
    """Without the root file system, as on a host without disks, next to nothing was looked at."""
    if "start\t/" not in _lines(look, WALK):
        yield Unobserved(
            Reason.NO_VANTAGE, "/", Text("根文件系统未检查（例如经网络挂载）", "the root file system was not walked, as where it comes over the network")
        )


def _loose(rows: list[_Row], people: Accounts | Unobserved) -> Iterator[LooseFile | Unobserved]:
    for kind, mode, owner, _, _, path in rows:
        if kind == "W":
            yield LooseFile(path, mode, owner, "world-writable", SENSITIVE.match(path) is not None)
        elif kind == "U" and isinstance(people, Accounts) and not people.remote and not _dynamic(owner, path):
            yield LooseFile(path, mode, owner, "unowned", False)
    if any(row[0] == "U" and not _dynamic(row[2], row[5]) for row in rows):
        if isinstance(people, Unobserved):
            yield people
        elif people.remote:
            why = Text("属主可能是目录服务中的账户", "the owner may be an account of the directory service")
            yield Unobserved(Reason.NO_VANTAGE, "/etc/nsswitch.conf passwd", why)


def _dynamic(owner: int, path: str) -> bool:
    """What a service with DynamicUser= keeps for its next start belongs to a number of systemd's own (systemd.exec(5))."""
    return 61184 <= owner <= 65519 and re.match(r"/var/(lib|cache|log)/private/", path) is not None


def _setuid(rows: list[_Row], owned: frozenset[str] | Unobserved) -> Iterator[Privileged]:
    for kind, words, owner, _, _, path in rows:
        mode = int(words, 8)
        # On what nobody can execute the bits do nothing (execve(2)): `chmod -R g+s` leaves them on documents.
        gains = "setuid" if mode & 0o4000 and mode & 0o111 else "setgid" if mode & 0o2010 == 0o2010 else None
        if kind == "S" and gains is not None:
            yield Privileged(path, words, owner, gains, _of_package(path, owned))


def _of_package(path: str, owned: frozenset[str] | Unobserved) -> bool | Unobserved:
    name = path.rpartition("/")[2]
    if name in NEVER_SETUID or program_of(name) in NEVER_SETUID:
        return False
    return owned if isinstance(owned, Unobserved) else path in owned


NEVER_SETUID = (OPEN_DOORS | LOOSE_DOORS) - frozenset(
    ["su", "sudo", "doas", "pkexec", "crontab", "at", "batch", "screen", "passwd", "chsh", "gpasswd", "mount", "umount", "sudoedit"]
)
"""Shells, editors and file tools: with the bit set they are a way to become root, whoever owns the file."""


def _both_names(paths: list[str]) -> frozenset[str]:
    """With a merged /usr, /bin/su and /usr/bin/su are one file."""
    return frozenset(paths) | {f"/usr{path}" for path in paths if re.match(r"/(s?bin|lib(64)?)/", path)}


# Programs of a distribution that come with capabilities. Bundles of older editions do not say which package they are of.
SHIPPED_CAPABILITIES = (
    "*/ping",
    "*/ping4",
    "*/ping6",
    "*/arping",
    "*/clockdiff",
    "*/mtr-packet",
    "*/newuidmap",
    "*/newgidmap",
    "*/dumpcap",
    "*/gst-ptp-helper",
    "*/suexec",
    "*/gnome-keyring-daemon",
    "*/kwin_wayland",
    "*/snap-confine",
    "*/fping",
    "*/systemd-detect-virt",
    "*/rsyslogd",
    "*/sssd_pam",
    "*/krb5_child",
    "*/ldap_child",
    "*/selinux_child",
    "*/proxy_child",
)


def _capable(look: Look, owned: frozenset[str] | Unobserved) -> Iterator[Privileged | Unobserved]:
    if look.source(CAPABILITIES).status is Status.ABSENT:
        yield Unobserved(
            Reason.NO_ANSWER,
            "getcap",
            Text("没有 getcap（libcap2-bin 或 libcap），看不到文件能力", "without getcap (libcap2-bin, libcap) file capabilities cannot be seen"),
        )
        return
    text = look.text(CAPABILITIES)
    if isinstance(text, Unobserved):
        yield text
        return
    for line in text.split("\n")[:MAX_ROWS]:
        # Older releases of getcap print ` = ` between path and capabilities. A name may hold a blank.
        found = re.fullmatch(r"(/.*?)(?: =)? ((?:cap_|=)\S*(?: .*)?)", line)
        if found is not None:
            path = found[1]
            shipped = re.match(r"(/usr)?/(s?bin|lib(64|exec)?)/", path) and any(fnmatchcase(path, pattern) for pattern in SHIPPED_CAPABILITIES)
            yield Privileged(path, "", 0, found[2], True if shipped else _of_package(path, owned))


def _secrets(look: Look, people: Accounts | Unobserved) -> Iterator[SecretFile | str | Unobserved]:
    """Secrets that others read, and the paths of those that a directory shelters."""
    names = {account.uid: account.name for account in reversed(people.accounts)} if isinstance(people, Accounts) else {}
    own_group = _group_of_one(people)
    above = _directories(look)
    for line in _lines(look, SECRETS):
        fields = line.split("\t", 4)
        if len(fields) != 5 or not _MODE.fullmatch(fields[1]) or not _NUMBER.fullmatch(fields[2]) or not _NUMBER.fullmatch(fields[3]):
            continue
        kind, mode, owner, group, path = fields[0], int(fields[1], 8), int(fields[2]), int(fields[3]), fields[4]
        # Who else reads it is in each of these groups; a way that is open to all adds none.
        needed, shut, unlisted = _way(path, above)
        if not mode & 0o004:
            needed = [(owner, group), *needed]
        private = [one == 0 or any_of((own_group(one, owner), own_group(one, keeper))) for keeper, one in needed]
        if shut or True in private or not mode & 0o044:
            if mode & 0o004:
                yield path
            continue
        doubt = next((one for one in private if isinstance(one, Unobserved)), unseen(look, ABOVE) or unlisted)
        if doubt is not None:
            yield doubt
        else:
            readers = f"group {needed[0][1]}" if needed else "everybody"
            yield SecretFile(path, kind, f"{mode:04o}", names.get(owner, str(owner)), readers)


def _directories(look: Look) -> dict[str, tuple[int, int, int]]:
    """Mode, owner and group of directories."""
    found = {}
    for line in _lines(look, ABOVE):
        fields = line.split(" ", 3)
        if len(fields) == 4 and _MODE.fullmatch(fields[0]) and _NUMBER.fullmatch(fields[1]) and _NUMBER.fullmatch(fields[2]):
            found[fields[3]] = int(fields[0], 8), int(fields[1]), int(fields[2])
    return found


def _way(path: str, above: dict[str, tuple[int, int, int]]) -> tuple[list[tuple[int, int]], bool, Unobserved | None]:
    """Owner and group of the directories that only this group passes; whether one lets nobody but its owner through; and what was not seen."""
    needed = []
    unlisted = None
    while (path := path.rpartition("/")[0]) != "":
        if path not in above:
            unlisted = Unobserved(Reason.NO_DATA, path, Text("看不到谁能进入该目录", "who may pass this directory was not seen"))
            continue
        mode, owner, group = above[path]
        if mode & 0o001:
            continue
        if not mode & 0o010:
            return [], True, None
        needed.append((owner, group))
    return needed, False, unlisted


def _group_of_one(people: Accounts | Unobserved) -> Callable[[int, int], bool | Unobserved]:
    """Whether nobody but the owner and service accounts is in a group."""
    if isinstance(people, Unobserved):
        return lambda _group, _owner: people
    groups = people.groups
    if isinstance(groups, Unobserved):
        return lambda _group, _owner: groups
    by_name = {account.name: account for account in people.accounts}
    members: dict[int, set[str]] = {group.gid: set(group.members) for group in groups}
    for account in people.accounts:
        members.setdefault(account.gid, set()).add(account.name)

    def alone(group: int, owner: int) -> bool:
        if group not in members:
            return False
        others = [by_name.get(name) for name in members[group]]
        return all(one is not None and (one.uid in (owner, 0) or one.service) for one in others)

    return alone
