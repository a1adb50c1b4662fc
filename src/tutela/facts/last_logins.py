"""When each account that can log in last did so.

Sources: lastlog(8) or lastlog2(8), last(1) or wtmpdb(8), and the journal. sshd writes to the databases only for a login with a terminal: rsync,
sftp or Ansible never show there. That an account was not used is known from what holds every login: the journal, as far back as it goes, and a
database to which sshd's PAM stack writes (pam_lastlog2(8), pam_wtmpdb(8); Debian and Red Hat leave pam_lastlog(8) to consoles). The probe keeps
names and times only.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts import accounts, log_files, pam
from tutela.facts.accounts import Account
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record

LASTLOG2, LASTLOG = "lastlog2", "lastlog"
JOURNAL = "journalctl -q -r -o short-unix SYSLOG_FACILITY=10 (sessions opened)"
WTMPDB, WTMP = "wtmpdb last --time-format iso", "last -w --time-format iso"
FOR_EVER = (LASTLOG2, LASTLOG)
LATELY = (WTMPDB, WTMP)
SINCE = (*LATELY, JOURNAL)
DATABASES = {LASTLOG2: "/var/lib/lastlog/lastlog2.db", LASTLOG: "/var/log/lastlog"}
WRITERS = {LASTLOG2: "pam_lastlog2", LASTLOG: "pam_lastlog", WTMPDB: "pam_wtmpdb"}
BIRTHS = "stat -c '%f %u %g %W %Y %n' (key files)"
NEEDS = (*accounts.NEEDS, *FOR_EVER, *SINCE, BIRTHS, log_files.STAT, *pam.NEEDS)
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
    for tools in (FOR_EVER, LATELY):
        # Of each kind of record the probe asks one tool at least.
        if doubt is None and all(look.source(name).status is Status.MISSING for name in tools):
            text = look.text(tools[-1])
            doubt = text if isinstance(text, Unobserved) else None
    if not found:
        return doubt or Unobserved(Reason.NO_DATA, "lastlog", Text("本机没有任何登录记录库", "this host keeps no record of logins"))
    if doubt is None:
        why = Text(
            "没有终端的登录（rsync、sftp、Ansible）只记在 journal 里，而它不够久",
            "logins without a terminal (rsync, sftp, Ansible) stand in the journal alone, and it does not go back far enough",
        )
        doubt = Unobserved(Reason.NO_DATA, JOURNAL, why)
    listed = [account for account in people.accounts if account.can_log_in is not False]
    return LastLogins(tuple(_login(look, account, seen.get(account.name), min(every, default=None), doubt) for account in listed))


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
