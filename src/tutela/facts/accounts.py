"""Who has an account here, and what opens it: a password, keys, a shell.

Sources: passwd(5), shadow(5), group(5), login.defs(5), shells(5), nsswitch.conf(5). The probe replaces each hash by its state and prefix.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts import platform, ssh_servers, sshd_config, units
from tutela.facts.look import Look
from tutela.facts.unseen import unseen
from tutela.language import Text
from tutela.record import record, replace

SSHD = ssh_servers.EFFECTIVE
SSHD_CONFIGS = (ssh_servers.CONFIG, ssh_servers.VENDOR_CONFIG)
NEEDS = (
    "/etc/passwd",
    "/etc/shadow",
    "/etc/group",
    "/etc/login.defs",
    "/etc/shells",
    "/etc/nsswitch.conf",
    SSHD,
    *SSHD_CONFIGS,
    *platform.NEEDS,
    *units.NEEDS,
)
UID_MIN = 1000
"""What shadow-utils takes when login.defs says nothing."""
NOBODY = 65534
NOT_SHELLS = frozenset({"nologin", "false", "true", "sync", "halt", "shutdown", "git-shell", "sftp-server", "scponly"})
SHELLS = frozenset({"sh", "bash", "rbash", "dash", "ash", "zsh", "ksh", "ksh93", "mksh", "csh", "tcsh", "fish", "busybox", "pwsh", "tmux", "screen", "xonsh"})
INTERPRETERS = re.compile(r"(python|perl|ruby|lua|tclsh|php)[0-9.]*|expect|vim?|env")
"""No shells by name, and whoever gets one at login runs what they like."""
LOCAL_SOURCES = frozenset({"files", "compat", "systemd", "altfiles", "db"})
DIRECTORIES = {"sss": "sssd", "winbind": "winbind", "nis": "ypbind"}
"""Sources of accounts and the service without which they give none. The Red Hat family names sss wherever no directory is used either."""
OF_DIRECTORIES = frozenset({"none", "/usr/bin/sss_ssh_authorizedkeys"})
"""Programs of AuthorizedKeysCommand that have no keys for local accounts."""
MAX_ACCOUNTS = 20_000

_NUMBER = re.compile(r"[0-9]{1,10}")
_STRTOUL = re.compile(r"\s*\+?([0-9]{1,10})")


@record
class Account:
    """Account(name='ops', uid=1000, shell='/bin/bash', password='usable', algorithm='$y$', keys=1, ...)"""

    name: str
    uid: int
    gid: int
    home: str
    shell: str
    login_shell: bool
    """Whether the shell lets one work; nologin, false, sync and the like do not."""
    service: bool
    """uid below UID_MIN, or nobody; never uid 0."""
    packaged_shell: bool | Unobserved
    """Listed among the service accounts that the platform's packages create with a shell."""
    password: str | Unobserved
    """empty | locked | usable"""
    algorithm: str | Unobserved | None
    """Prefix of the hash, also of a locked one: `$y$`, `des`, `bsdi`, `other`; None without a hash."""
    keys: int | Unobserved
    """Public keys that sshd accepts for it, by AuthorizedKeysFile, that of a Match block too; 0 where there is no SSH server.
    Not known where there is none in a file and a program or the certificates of an authority may open the account."""
    changed: date | Unobserved | None
    """When the password was set last; None when the database does not say. 1970-01-01 means it must be changed at the next login."""
    max_days: int | Unobserved | None
    """Days a password lives; None for no limit."""
    password_age_days: int | Unobserved | None
    days_left: int | Unobserved | None
    """Until the password must be changed; negative when overdue, None without a limit."""
    expired: bool | Unobserved
    """The account itself has ended (shadow field 8)."""

    @property
    def can_log_in(self) -> bool | Unobserved:
        """A shell, and a password or keys that open it; what stays unknown decides only when nothing else does."""
        if not self.login_shell or self.expired is True:
            return False
        if self.password in ("usable", "empty"):
            return True
        if isinstance(self.keys, int) and self.keys > 0:
            return True
        for doubt in (self.password, self.keys, self.expired):
            if isinstance(doubt, Unobserved):
                return doubt
        return False

    @property
    def has_keys(self) -> bool | Unobserved:
        """Whether a public key opens it."""
        return self.keys if isinstance(self.keys, Unobserved) else self.keys > 0


@record
class Group:
    """Group(name='sudo', gid=27, members=('ops',)); members are those of the group's line, not those whose primary group it is."""

    name: str
    gid: int
    members: tuple[str, ...]


@record
class Problem:
    """Problem(kind='duplicate-uid', file='/etc/passwd', what='0: root toor')"""

    kind: str
    """duplicate-uid | duplicate-name | duplicate-gid | duplicate-group | malformed | nis"""
    file: str
    what: str


@record
class Accounts:
    """All local accounts and groups."""

    accounts: tuple[Account, ...]
    groups: tuple[Group, ...] | Unobserved
    problems: tuple[Problem | Unobserved, ...]
    uid_min: int
    encrypt_method: str | None
    """ENCRYPT_METHOD of login.defs, in capitals; None when it is not set."""
    remote: tuple[str, ...]
    """Sources of accounts besides the local files: sss, ldap, winbind, nis, unless the service behind one does not run. Their accounts are not listed here."""

    @property
    def superusers(self) -> tuple[Account, ...]:
        """Accounts with uid 0."""
        return tuple(account for account in self.accounts if account.uid == 0)

    @property
    def with_password(self) -> tuple[Account | Unobserved, ...] | Unobserved:
        """Accounts that a password opens; a doubtful one stays in the list as a doubt."""
        made: list[Account | Unobserved] = []
        for account in self.accounts:
            if isinstance(account.password, Unobserved):
                return account.password
            if account.password != "locked" and account.login_shell and account.expired is not True:
                made.append(account)
        return tuple(made)

    @property
    def services(self) -> tuple[Account, ...]:
        """Service accounts."""
        return tuple(account for account in self.accounts if account.service)


def parse(look: Look) -> Accounts | Unobserved:
    """The fact; without /etc/passwd there is none."""
    people = look.fact(ageless)
    return people if isinstance(people, Unobserved) else replace(people, accounts=tuple(_aged(account, look.today) for account in people.accounts))


def _aged(account: Account, today: date) -> Account:
    if not isinstance(account.changed, date):
        return account
    age = (today - account.changed).days
    if age < -1:
        why = Text("上次修改密码的日期在将来", "the password was set on a day that has not come yet")
        return replace(account, password_age_days=Unobserved(Reason.FORMAT, NEEDS[1], why), days_left=Unobserved(Reason.FORMAT, NEEDS[1], why))
    return replace(account, password_age_days=age, days_left=account.max_days - age if isinstance(account.max_days, int) else None)


def ageless(look: Look) -> Accounts | Unobserved:
    """The fact without ages, which are others every day: for what asks who there is and what opens the account."""
    lines = look.lines(NEEDS[0])
    if isinstance(lines, Unobserved):
        return lines
    settings = _settings(look)
    uid_min = int(settings["UID_MIN"]) if _NUMBER.fullmatch(settings.get("UID_MIN", "")) else UID_MIN
    shadow = _shadow(look)
    shells = look.text_or_none(NEEDS[4])
    listed = frozenset(shells.split("\n")) if isinstance(shells, str) else frozenset()
    row = look.fact(platform.parse)
    packaged = row if isinstance(row, Unobserved) else frozenset(row.service_accounts_with_shell)
    problems: list[Problem | Unobserved] = []
    accounts: list[Account] = []
    for number, line in enumerate(lines[:MAX_ACCOUNTS], 1):
        line = line.lstrip()  # as getpwnam(3) does
        if not line or line.startswith("#"):
            continue
        fields = line.split(":")
        if fields[0][:1] in ("+", "-"):
            problems.append(Problem("nis", NEEDS[0], f"line {number}: {fields[0]}"))
        elif len(fields) != 7 or not fields[0] or not _NUMBER.fullmatch(fields[2]) or not _NUMBER.fullmatch(fields[3]):
            problems.append(Problem("malformed", NEEDS[0], f"line {number}"))
            taken = _as_glibc(fields)
            if taken is not None:
                accounts.append(_account(look, taken, shadow, uid_min, listed, packaged))
        else:
            accounts.append(_account(look, fields, shadow, uid_min, listed, packaged))
    if len(lines) > MAX_ACCOUNTS:
        problems.append(Unobserved(Reason.NO_DATA, NEEDS[0], Text("账户过多，未看完", "more accounts than were looked at")))
    problems += _twice("duplicate-name", NEEDS[0], [(account.name, account.name) for account in accounts])
    problems += _twice("duplicate-uid", NEEDS[0], [(str(account.uid), account.name) for account in accounts])
    groups = _groups(look, problems)
    if isinstance(groups, Unobserved):
        problems.append(groups)
    return Accounts(
        accounts=tuple(accounts),
        groups=groups,
        problems=tuple(problems),
        uid_min=uid_min,
        encrypt_method=settings.get("ENCRYPT_METHOD", "").upper() or None,
        remote=look.fact(_remote),
    )


def _as_glibc(fields: list[str]) -> list[str] | None:
    """What getpwnam(3) makes of a line that passwd(5) does not allow: missing fields are empty, blanks and a plus sign may stand before a number.

    Such an account works, and is easily overlooked.
    """
    name, *rest = (*fields[:6], *[""] * (6 - len(fields)))
    uid, gid = (_STRTOUL.fullmatch(word) for word in rest[1:3])
    if not name or uid is None or gid is None:
        return None
    return [name, rest[0], uid[1], gid[1], rest[3], rest[4], ":".join(fields[6:])]


def _settings(look: Look) -> dict[str, str]:
    text = look.text(NEEDS[3])
    pairs = (line.split() for line in (text.split("\n") if isinstance(text, str) else ()))
    return {words[0]: words[1] for words in pairs if len(words) >= 2 and not words[0].startswith("#")}


def _shadow(look: Look) -> dict[str, list[str]] | Unobserved:
    """Name -> the fields behind it, the first of them the state of the password."""
    if look.source(NEEDS[1]).status is Status.ABSENT:
        return {}
    lines = look.lines(NEEDS[1])
    if isinstance(lines, Unobserved):
        return lines
    made: dict[str, list[str]] = {}
    for line in lines[:MAX_ACCOUNTS]:
        name, colon, rest = line.lstrip().partition(":")
        if colon and name not in made:
            # The state of a locked password holds a colon of its own.
            rest = rest.replace("locked:", "locked ", 1) if rest.startswith("locked:") and rest[7:8] in tuple("$dbo") else rest
            made[name] = rest.split(":")
    return made


def _account(
    look: Look, fields: list[str], shadow: dict[str, list[str]] | Unobserved, uid_min: int, listed: frozenset[str], packaged: frozenset[str] | Unobserved
) -> Account:
    name, state, uid, gid, _, home, shell = fields
    entry: list[str] | Unobserved
    if state != "x":
        # The hash, or its absence, stands in passwd itself; shadow is then not asked.
        entry = [state]
    elif isinstance(shadow, Unobserved):
        entry = shadow
    else:
        entry = shadow.get(name, ["locked"])
    number = int(uid)
    base = shell.rpartition("/")[2]
    changed, longest, ended = _dates(look, entry)
    return Account(
        name=name,
        uid=number,
        gid=int(gid),
        home=home,
        shell=shell,
        login_shell=not shell or (base not in NOT_SHELLS and (shell in listed or base in SHELLS or INTERPRETERS.fullmatch(base) is not None)),
        service=0 < number < uid_min or number == NOBODY,
        packaged_shell=packaged if isinstance(packaged, Unobserved) else name in packaged,
        password=entry if isinstance(entry, Unobserved) else _password(entry[0]),
        algorithm=entry if isinstance(entry, Unobserved) else _algorithm(entry[0]),
        keys=_keys(look, name, number, home),
        changed=changed,
        max_days=longest,
        password_age_days=entry if isinstance(entry, Unobserved) else None,
        days_left=entry if isinstance(entry, Unobserved) else None,
        expired=ended,
    )


def _password(state: str) -> str:
    if state == "empty":
        return "empty"
    return "locked" if state.startswith("locked") else "usable"


def _algorithm(state: str) -> str | None:
    state = state.removeprefix("locked").strip(" :")
    return state if state and state != "empty" else None


def _dates(look: Look, entry: list[str] | Unobserved) -> tuple[date | Unobserved | None, int | Unobserved | None, bool | Unobserved]:
    """Date of the last change, longest life, account ended: shadow fields 3, 5 and 8."""
    if isinstance(entry, Unobserved):
        return entry, entry, entry
    numbers = [int(word) if re.fullmatch(r"\d{1,6}", word) else None for word in (entry + [""] * 8)[:8]]
    changed = date(1970, 1, 1) + timedelta(days=numbers[1]) if numbers[1] is not None else None
    longest = numbers[3] if numbers[3] is not None and numbers[3] < 99999 else None
    ended = numbers[6] is not None and look.fact(_Reached(numbers[6]))
    return changed, longest, ended


@record
class _Reached:
    """Whether a day, counted from 1970, has come: a fact of its own, so that an account that ends one day is not another account every day."""

    day: int

    def __call__(self, look: Look) -> bool:
        return date(1970, 1, 1) + timedelta(days=self.day) <= look.today


@record
class KeyPlaces:
    """KeyPlaces(patterns=('.ssh/authorized_keys',), elsewhere=None): where sshd looks for keys of accounts."""

    patterns: tuple[str, ...]
    """Of AuthorizedKeysFile: those for everybody, and those of Match blocks."""
    elsewhere: Unobserved | None
    """Why an account without a key in these files may have one all the same."""


def key_places(look: Look) -> KeyPlaces:
    """Where sshd looks for keys, by `sshd -T` and by the Match blocks of its files."""
    path = next((name for name in SSHD_CONFIGS if look.source(name).status not in (Status.ABSENT, Status.MISSING)), SSHD_CONFIGS[0])
    config = sshd_config.read(look, path)
    settings = () if isinstance(config, Unobserved) else config.settings
    effective = look.fact(ssh_servers.Effective(SSHD))
    said = {} if isinstance(effective, Unobserved) else effective
    if not said:
        said = {one.keyword: one.value for one in reversed(settings) if not one.matches}  # of several the first holds
    sometimes = [one for one in settings if one.matches]
    files = [
        said.get("authorizedkeysfile", ".ssh/authorized_keys .ssh/authorized_keys2"),
        *(one.value for one in sometimes if one.keyword == "authorizedkeysfile"),
    ]
    commands = [said.get("authorizedkeyscommand", "none"), *(one.value for one in sometimes if one.keyword == "authorizedkeyscommand")]
    authorities = [said.get("trustedusercakeys", "none"), *(one.value for one in sometimes if one.keyword == "trustedusercakeys")]
    elsewhere = None
    if any(one.strip() not in ("", "none") for one in authorities):
        why = Text("签发机构的证书（TrustedUserCAKeys）也能打开账户", "certificates of an authority (TrustedUserCAKeys) open accounts too")
        elsewhere = Unobserved(Reason.NO_VANTAGE, SSHD, why)
    elif any((one.split() or ["none"])[0] not in OF_DIRECTORIES for one in commands):
        why = Text("取钥程序（AuthorizedKeysCommand）给出哪些密钥不可知", "which keys a program (AuthorizedKeysCommand) hands out is not known")
        elsewhere = Unobserved(Reason.NO_VANTAGE, SSHD, why)
    elif isinstance(config, Unobserved) and look.source(SSHD).status not in (Status.ABSENT, Status.MISSING):
        elsewhere = config
    patterns = dict.fromkeys(word for words in files for word in words.split()[:8] if word != "none")
    return KeyPlaces(tuple(patterns)[:16], elsewhere)


def places_of(name: str, uid: int, home: str, patterns: tuple[str, ...]) -> list[str]:
    """Paths of AuthorizedKeysFile for one account: %h home, %u name, %U uid; relative ones are in the home."""
    made = []
    home = home.rstrip("/")
    for pattern in patterns:
        path = pattern.replace("%%", "\0").replace("%h", home).replace("%u", name).replace("%U", str(uid)).replace("\0", "%")
        made.append(path if path.startswith("/") else f"{home}/{path}")
    return made


def _keys(look: Look, name: str, uid: int, home: str) -> int | Unobserved:
    """Lines with a key in the files that sshd reads for an account."""
    count = 0
    places = look.fact(key_places)
    unread: list[Unobserved] = []
    for file in places_of(name, uid, home, places.patterns):
        text = look.text_or_none(file)
        if not isinstance(text, Unobserved):
            count += sum(1 for line in (text or "").split("\n") if line.strip() and line != "unreadable line")
        elif look.source(file).status is not Status.MISSING or look.source(SSHD).status is not Status.ABSENT:
            unread.append(text)  # where there is no SSH server, nobody asks for these files
    if count:
        return count
    return unread[0] if unread else places.elsewhere or 0


def _groups(look: Look, problems: list[Problem | Unobserved]) -> tuple[Group, ...] | Unobserved:
    lines = look.lines(NEEDS[2])
    if isinstance(lines, Unobserved):
        return lines
    groups: list[Group] = []
    for number, line in enumerate(lines[:MAX_ACCOUNTS], 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split(":")
        if fields[0][:1] in ("+", "-"):
            problems.append(Problem("nis", NEEDS[2], f"line {number}: {fields[0]}"))
        elif len(fields) != 4 or not fields[0] or not _NUMBER.fullmatch(fields[2]):
            problems.append(Problem("malformed", NEEDS[2], f"line {number}"))
        else:
            groups.append(Group(fields[0], int(fields[2]), tuple(filter(None, fields[3].split(",")))))
    problems += _twice("duplicate-group", NEEDS[2], [(group.name, group.name) for group in groups])
    problems += _twice("duplicate-gid", NEEDS[2], [(str(group.gid), group.name) for group in groups])
    return tuple(groups)


def _twice(kind: str, file: str, pairs: list[tuple[str, str]]) -> Iterator[Problem]:
    counts = Counter(key for key, _ in pairs)
    for key, count in counts.items():
        if count > 1:
            names = [name for one, name in pairs if one == key]
            yield Problem(kind, file, f"{key}: {' '.join(names)}" if kind.endswith("id") else f"{key} x{count}")


def _remote(look: Look) -> tuple[str, ...]:
    if unseen(look, NEEDS[5]) is not None:
        return ("?",)
    text = look.text(NEEDS[5])
    for line in text.split("\n") if isinstance(text, str) else ():
        key, colon, value = line.partition("#")[0].partition(":")
        if colon and key.strip() == "passwd":
            found = (word for word in value.split() if word not in LOCAL_SOURCES and not word.startswith(("[", "!")) and word.isalnum())
            return tuple(word for word in found if _gives_accounts(look, word))
    return ()


def _gives_accounts(look: Look, source: str) -> bool:
    """Whether a source may give accounts: not when it needs a service that does not run."""
    daemon = DIRECTORIES.get(source)
    if daemon is None:
        return True
    running = look.fact(units.up)
    return isinstance(running, Unobserved) or not running.systemd or bool(running.running(daemon))
