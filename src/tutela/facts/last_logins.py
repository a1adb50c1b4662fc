"""When each account that can log in last did so.

Sources: lastlog(8) or lastlog2(8), which know an account's last login since ever; last(1) or wtmpdb(8), which know logins since their file
began; where none of these is kept, sessions that PAM opened, as far back as the journal goes. The probe keeps names and times only.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts import accounts
from tutela.facts.accounts import Account
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record

FOR_EVER = ("lastlog2", "lastlog")
JOURNAL = "journalctl -q -r -o short-unix SYSLOG_FACILITY=10 (sessions opened)"
LATELY = ("wtmpdb last --time-format iso", "last -w --time-format iso")
SINCE = (*LATELY, JOURNAL)
BIRTHS = "stat -c '%f %u %g %W %Y %n' (key files)"
NEEDS = (*accounts.NEEDS, *FOR_EVER, *SINCE, BIRTHS)
NEW_DAYS = 30
"""An account this young need not have been used yet."""
_MONTHS = {name: number for number, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}
_ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d))?([+-]\d\d):?(\d\d)")
_LONG = re.compile(r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) ([ \d]\d) (\d\d):(\d\d):(\d\d) ([+-]\d\d)(\d\d) (\d{4})")


@record
class Login:
    """Login(user='ops', last=datetime(...), idle_days=3, idle_at_least_days=3, new=False)"""

    user: str
    uid: int
    last: datetime | Unobserved | None
    """None: never, as far as the databases go back for ever."""
    idle_days: int | Unobserved | None
    """Whole days since; None: never logged in; unknown when the records do not go back far enough."""
    idle_at_least_days: int
    """What is certain about it all the same."""
    new: bool | Unobserved
    """Created within the last 30 days."""
    can_log_in: bool | Unobserved
    whole: bool | Unobserved
    """Every record of logins that this host keeps was seen; one that was not may hold a newer login."""


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
    never: set[str] = set()
    begins: datetime | None = None
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
        for line in lines:
            who, _, rest = line.partition(" ")
            if rest == "never" and name in FOR_EVER:
                never.add(who)
            elif (moment := _moment(rest)) is not None:
                if who == "begins" and name in SINCE:
                    begins = moment if begins is None else min(begins, moment)
                elif moment <= look.now:
                    seen[who] = max(seen.get(who, moment), moment)
    for tools in (FOR_EVER, LATELY):
        # Of each kind of record the probe asks one tool at least.
        if doubt is None and all(look.source(name).status is Status.MISSING for name in tools):
            text = look.text(tools[-1])
            doubt = text if isinstance(text, Unobserved) else None
    if not found:
        return doubt or Unobserved(Reason.NO_DATA, "lastlog", Text("本机没有任何登录记录库", "this host keeps no record of logins"))
    births = look.fact(_births)
    listed = [account for account in people.accounts if account.can_log_in is not False]
    return LastLogins(tuple(_login(look, account, seen, never, begins, births, doubt or True) for account in listed))


def _login(
    look: Look, account: Account, seen: dict[str, datetime], never: set[str], begins: datetime | None, births: dict[str, int], whole: bool | Unobserved
) -> Login:
    last: datetime | Unobserved | None = seen.get(account.name)
    at_least = 0
    if isinstance(last, datetime):
        idle: int | Unobserved | None = (look.now - last).days
        at_least = (look.now - last).days
    elif account.name in never:
        last = idle = None
    else:
        last = idle = Unobserved(Reason.NO_DATA, "last", Text("登录记录不够久", "the records of logins do not go back far enough"))
        at_least = max((look.now - begins).days, 0) if begins is not None else 0
    return Login(account.name, account.uid, last, idle, at_least, _new(look, account, births), account.can_log_in, whole)


def _new(look: Look, account: Account, births: dict[str, int]) -> bool | Unobserved:
    """By the home directory's birth; a password older than that settles it too."""
    if isinstance(account.password_age_days, int) and account.password_age_days > NEW_DAYS:
        return False
    born = births.get(account.home, 0)
    if born > 0 and account.home not in ("/", "/root", "/nonexistent"):
        return (look.now - datetime.fromtimestamp(born, UTC)).days <= NEW_DAYS
    return Unobserved(Reason.NO_DATA, account.home, Text("不知道账户何时建立", "when the account was created is not known"))


def _births(look: Look) -> dict[str, int]:
    lines = look.lines(BIRTHS)
    rows = (line.split(" ", 5) for line in (lines if isinstance(lines, list) else ()))
    return {row[5]: int(row[3]) for row in rows if len(row) == 6 and re.fullmatch(r"\d{1,11}", row[3])}


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
