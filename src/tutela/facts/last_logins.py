"""When each account that can log in last did so.

Sources: lastlog(8) or lastlog2(8), last(1) or wtmpdb(8), and the journal. sshd writes to the databases only for a login with a terminal: rsync,
sftp or Ansible never show there. That an account was not used is known from what holds every login: the journal, as far back as it goes, and a
database to which sshd's PAM stack writes (pam_lastlog2(8), pam_wtmpdb(8); Debian and Red Hat leave pam_lastlog(8) to consoles). The probe keeps
names and times only.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts import accounts, log_files, pam
from tutela.facts.accounts import Account
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record

LASTLOG2, LASTLOG = "lastlog2", "lastlog"
JOURNAL = "journalctl -q -r -o short-unix SYSLOG_FACILITY=10 (sessions opened)"
TEXT = "zcat -f /var/log/auth.log* /var/log/secure* (sessions opened)"
WTMPDB, WTMP = "wtmpdb last --time-format iso", "last -w --time-format iso"
FOR_EVER = (LASTLOG2, LASTLOG)
LATELY = (WTMPDB, WTMP)
SINCE = (*LATELY, JOURNAL)
DATABASES = {LASTLOG2: "/var/lib/lastlog/lastlog2.db", LASTLOG: "/var/log/lastlog"}
WRITERS = {LASTLOG2: "pam_lastlog2", LASTLOG: "pam_lastlog", WTMPDB: "pam_wtmpdb"}
BIRTHS = "stat -c '%f %u %g %W %Y %n' (key files)"
NEEDS = (*accounts.NEEDS, *FOR_EVER, *SINCE, TEXT, BIRTHS, log_files.STAT, *pam.NEEDS)
QUIET = timedelta(days=7)
"""For so long syslog may write nothing about authentication where it runs."""
NEW_DAYS = 30
"""An account this young need not have been used yet."""
_MONTHS = {name: number for number, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}
_ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d))?([+-]\d\d):?(\d\d)")
_LONG = re.compile(r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) ([ \d]\d) (\d\d):(\d\d):(\d\d) ([+-]\d\d)(\d\d) (\d{4})")


@record
class Login:
    """Login(user='ops', uid=1000, last=datetime(...), idle_days=3, idle_at_least_days=3, new=False, can_log_in=True, whole=True)"""

    user: str
    uid: int
    last: datetime | None
    """The newest login on record; None: none is."""
    idle_days: int | None
    """Whole days since."""
    idle_at_least_days: int
    """For how long it was surely not used."""
    new: bool | Unobserved
    """Created within the last 30 days."""
    can_log_in: bool | Unobserved
    whole: bool | Unobserved
    """No login after the newest on record may have left no trace."""


@record
class LastLogins:
    """LastLogins(accounts=(Login(...),))"""

    accounts: tuple[Login, ...]
    """Accounts that can log in, or may be able to."""


def parse(look: Look) -> LastLogins | Unobserved:
    """The fact, from whichever databases this system has."""
    people = look.fact(accounts.parse)
    if isinstance(people, Unobserved):
        return people
    seen: dict[str, datetime] = {}
    every: list[datetime] = []
    doubt: Unobserved | None = None
    found = False
    for name in (*FOR_EVER, *SINCE):
        if look.source(name).status in (Status.ABSENT, Status.MISSING):
            continue
        lines = look.lines(name)
        if isinstance(lines, Unobserved):
            doubt = doubt or lines
            continue
        found = True
        begins = look.fact(_births).get(DATABASES[name]) if name in FOR_EVER else None
        for line in lines:
            who, _, rest = line.partition(" ")
            if (moment := _moment(rest)) is not None:
                if who == "begins" and name in SINCE:
                    begins = moment if begins is None else min(begins, moment)
                elif moment <= look.now:
                    seen[who] = max(seen.get(who, moment), moment)
        if begins is not None and (name == JOURNAL or look.fact(_Written(name))):
            every.append(begins)
    written = look.fact(_text_logs)
    if isinstance(written, Unobserved):
        doubt = doubt or written
    else:
        since, logins = written
        found = found or bool(logins)
        for who, moment in logins.items():
            seen[who] = max(seen.get(who, moment), moment)
        if since is not None:
            every.append(since)
    for tools in (FOR_EVER, LATELY):
        # Of each kind of record the probe asks one tool at least.
        if doubt is None and all(look.source(name).status is Status.MISSING for name in tools):
            text = look.text(tools[-1])
            doubt = text if isinstance(text, Unobserved) else None
    if not found:
        return doubt or Unobserved(Reason.NO_DATA, "lastlog", Text("本机没有任何登录记录库", "this host keeps no record of logins"))
    if doubt is None:
        why = Text(
            "没有终端的登录（rsync、sftp、Ansible）只记在 journal 和认证日志里，而它们不够久",
            "logins without a terminal (rsync, sftp, Ansible) stand in the journal and the authentication log alone, which do not go back far enough",
        )
        doubt = Unobserved(Reason.NO_DATA, JOURNAL, why)
    listed = [account for account in people.accounts if account.can_log_in is not False]
    return LastLogins(tuple(_login(look, account, seen.get(account.name), min(every, default=None), doubt) for account in listed))


_STAMPED = re.compile(r"(?:file|user (?P<who>\S+)) (?P<written>\d{9,10}) (?P<turns>\d{1,2}) (?P<stamp>.{8,40})")
_SHORT = re.compile(r"([A-Z][a-z]{2}) +(\d{1,2}) (\d\d):(\d\d):(\d\d)")


def _text_logs(look: Look) -> tuple[datetime | None, dict[str, datetime]] | Unobserved:
    """Since when syslog's files of authentication are whole, and the newest login of each account in them.

    The probe gives a line for each file, the newest first: when it was last written and the time on its first line. Where nobody wrote for days between
    two of them, or up to now, the older ones tell nothing of the time since.
    """
    if look.source(TEXT).status in (Status.ABSENT, Status.MISSING):
        return None, {}
    lines = look.lines(TEXT)
    if isinstance(lines, Unobserved):
        return lines
    since: datetime | None = None
    whole = True
    logins: dict[str, datetime] = {}
    for line in lines:
        found = _STAMPED.fullmatch(line)
        if found is None:
            continue
        written = datetime.fromtimestamp(int(found["written"]), UTC)
        moment = _stamp(found["stamp"], written, int(found["turns"]))
        if found["who"] is None:
            whole = whole and moment is not None and (since or look.now) - written < QUIET
            since = moment if whole else since
        elif moment is not None and moment <= look.now:
            logins[found["who"]] = max(logins.get(found["who"], moment), moment)
    return since, logins


def _stamp(stamp: str, written: datetime, turns: int) -> datetime | None:
    """The time on a line: of RFC 5424, or without year and zone, so many turns of the year before its file was last written."""
    if (short := _SHORT.fullmatch(stamp)) is None:
        return _moment(re.sub(r"\.\d+", "", stamp))
    name, day, hour, minute, second = short.groups()
    try:
        moment = datetime(written.year - turns, _MONTHS.get(name, 0), int(day), int(hour), int(minute), int(second), tzinfo=UTC)
        return moment if moment <= written + QUIET else moment.replace(year=moment.year - 1)
    except ValueError:
        return None


@record
class _Written:
    """Whether sshd's PAM stack writes each login to a database."""

    name: str

    def __call__(self, look: Look) -> bool:
        stacks = look.fact(pam.parse)
        session = stacks if isinstance(stacks, Unobserved) else stacks.stack("sshd", "session")
        if isinstance(session, Unobserved) or self.name not in WRITERS:
            return False
        # Where a rule asks for the service, Red Hat's way, it is one of no graphical login.
        ran = pam.run(session, pam.supposing()).ran
        return any(
            rule.module == WRITERS[self.name] and "noupdate" not in rule.arguments and "sshd" not in (rule.argument("skip_if") or "").split(",") for rule in ran
        )


def _login(look: Look, account: Account, last: datetime | None, every: datetime | None, doubt: Unobserved) -> Login:
    """every: since when each login is on record."""
    idle = None if last is None else (look.now - last).days
    whole: bool | Unobserved = doubt
    at_least = 0
    if every is not None:
        whole = True if last is not None and last >= every else doubt
        at_least = max((look.now - (every if last is None else max(last, every))).days, 0)
    return Login(account.name, account.uid, last, idle, at_least, _new(look, account, look.fact(_births)), account.can_log_in, whole)


def _new(look: Look, account: Account, births: dict[str, datetime]) -> bool | Unobserved:
    """By the home directory's birth; a password older than that settles it too."""
    if isinstance(account.password_age_days, int) and account.password_age_days > NEW_DAYS:
        return False
    born = births.get(account.home)
    if born is not None and account.home not in ("/", "/root", "/nonexistent"):
        return (look.now - born).days <= NEW_DAYS
    return Unobserved(Reason.NO_DATA, account.home, Text("不知道账户何时建立", "when the account was created is not known"))


def _births(look: Look) -> dict[str, datetime]:
    """When home directories and the databases were made, as far as the file system says."""
    lines = look.lines(BIRTHS)
    rows = (line.split(" ", 5) for line in (lines if isinstance(lines, list) else ()))
    born = {row[5]: datetime.fromtimestamp(int(row[3]), UTC) for row in rows if len(row) == 6 and re.fullmatch(r"[1-9]\d{0,10}", row[3])}
    files = look.fact(log_files.parse)
    if not isinstance(files, Unobserved):
        born |= {one.path: one.born for one in files.files if one.path in DATABASES.values() and one.born is not None}
    return born


def _moment(text: str) -> datetime | None:
    """A time with its offset from UTC, as the tools print it; None for anything else."""
    if re.fullmatch(r"\d{9,10}", text):
        return datetime.fromtimestamp(int(text), UTC)
    if (found := _ISO.fullmatch(text.strip())) is not None:
        year, month, day, hour, minute, second, offset, minutes = found.groups()
    elif (found := _LONG.fullmatch(text.strip())) is not None:
        name, day, hour, minute, second, offset, minutes, year = found.groups()
        month = str(_MONTHS.get(name, 0))
    else:
        return None
    try:
        return datetime.fromisoformat(f"{year}-{int(month):02}-{int(day):02}T{hour}:{minute}:{second or '00'}{offset}:{minutes}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None
