"""How far back each kind of log goes on this host, and how far its settings let it go.

Kinds: authentication, system and kernel (text files or the journal, whichever keeps more), and every log of a web server or database.
Measured is the file listing alone: a rotated file is as old as its last change, an archived journal as old as its name says.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from functools import lru_cache

from tutela.evidence import Reason, Unobserved
from tutela.facts import journal, log_files, logrotate
from tutela.facts.journal import Journal
from tutela.facts.log_files import LogFile, LogFiles
from tutela.facts.logrotate import FOREVER, Rule
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record, replace

NEEDS = (*journal.NEEDS, *logrotate.NEEDS)
YOUNG_DAYS = 180
"""Derived default logs.local_days: on a host younger than this the settings stand in for what time has not brought yet."""
INSTALLED = ("/etc/machine-id", "/etc/ssh/ssh_host_ed25519_key.pub", "/etc/ssh/ssh_host_rsa_key.pub")

TEXT = {
    "authentication": ("/var/log/auth.log", "/var/log/secure"),
    "system": ("/var/log/syslog", "/var/log/messages"),
    "kernel": ("/var/log/kern.log", "/var/log/messages", "/var/log/syslog"),
}
SERVICES = ("nginx", "apache2", "httpd", "caddy", "lighttpd", "mysql", "mariadb", "postgresql", "redis", "valkey", "mongodb")
MAX_KINDS = 60


@record
class Kind:
    """Kind(name='authentication', source='/var/log/auth.log', days=27, configured_days=28, complete=Unobserved(…), where='/etc/logrotate.d/rsyslog')"""

    name: str
    """authentication | system | kernel, or the name of the service"""
    source: str
    """A path, `journal`, or `-` when nothing keeps this kind."""
    days: int
    """Age of the oldest entry that is surely there."""
    configured_days: int | Unobserved
    """What the settings keep, sizes reckoned with the measured daily volume; 36500: for ever."""
    complete: bool | Unobserved
    """True: the host is too young for more; otherwise nobody knows when this log began."""
    where: str
    """File that sets the limit."""


@record
class LogRetention:
    """LogRetention(host_days=412, kinds=(Kind(…), …))"""

    host_days: int | Unobserved
    """Age of the installation."""
    kinds: tuple[Kind, ...]


def parse(look: Look) -> LogRetention | Unobserved:
    """The fact, from the listing of logs, logrotate's rules and journald's limits."""
    files = look.fact(log_files.parse)
    if isinstance(files, Unobserved):
        return files
    rules = look.fact(logrotate.read)
    book = look.fact(journal.parse)
    host_days = _host_days(look, files)
    complete: bool | Unobserved
    if isinstance(host_days, Unobserved):
        complete = host_days
    elif host_days < YOUNG_DAYS:
        complete = True
    else:
        why = Text("设置够长，但无法得知这份日志从何时开始记录", "the settings suffice, but nobody knows when this log began")
        complete = Unobserved(Reason.NO_DATA, log_files.STAT, why)
    logs = _generations(files)
    in_journal = _journal(look, book, complete)
    kinds = [_best(name, paths, look, logs, rules, in_journal, complete) for name, paths in TEXT.items()]
    kinds += [_text(base.split("/")[3], base, look, logs, rules, complete) for base in _service_logs(files)[:MAX_KINDS]]
    return LogRetention(host_days, tuple(kinds))


def _host_days(look: Look, files: LogFiles) -> int | Unobserved:
    # Images that are built reproducibly stamp their files with the beginning of time.
    times = [one.modified for path in INSTALLED if (one := files.named(path)) is not None and one.modified.year > 2001]
    if not times:
        return Unobserved(Reason.NO_DATA, log_files.STAT, Text("无法得知系统何时安装", "nothing says when the system was installed"))
    return _days(look, min(times))


def _days(look: Look, since: datetime) -> int:
    return max((look.now - since).days, 0)


def _best(
    name: str,
    paths: tuple[str, ...],
    look: Look,
    logs: dict[str, list[LogFile]],
    rules: tuple[Rule, ...] | Unobserved,
    in_journal: Kind | None,
    complete: bool | Unobserved,
) -> Kind:
    """The text file or the journal, whichever keeps more."""
    found = [_text(name, path, look, logs, rules, complete) for path in paths if any(one.size > 0 for one in logs.get(path, ()))][:1]
    if in_journal is not None:
        found.append(replace(in_journal, name=name))
    if not found:
        return Kind(name, "-", 0, 0, complete, "-")
    return max(found, key=lambda kind: (kind.days >= YOUNG_DAYS, _rank(kind.configured_days), kind.days))


def _rank(days: int | Unobserved) -> int:
    """What is enough goes first, then what is unknown, then what is too short."""
    if isinstance(days, Unobserved):
        return YOUNG_DAYS - 1
    return days


# --- text files -------------------------------------------------------------------------------------------------------

_COMPRESSED = re.compile(r"\.(?:gz|xz|bz2|zst|lz4|Z)$")
_GENERATION = re.compile(r"(?:\.\d{1,4}|-\d{4}-?\d{2}-?\d{2}(?:[-_T]?\d{2,10})?|\.\d{4}-\d{2}-\d{2}|\.old)$")


@lru_cache(1024)
def _base(path: str) -> str:
    """`/var/log/syslog.2.gz`, `/var/log/messages-20261115` -> the log that was rotated. Kept, since logs of most hosts are called alike."""
    return _GENERATION.sub("", _COMPRESSED.sub("", path))


def _generations(files: LogFiles) -> dict[str, list[LogFile]]:
    """The files of each log, the rotated ones too."""
    logs: dict[str, list[LogFile]] = {}
    for one in files.files:
        if one.regular:
            logs.setdefault(_base(one.path), []).append(one)
    return logs


def _service_logs(files: LogFiles) -> list[str]:
    bases: dict[str, None] = {}
    for one in files.files:
        parts = one.path.split("/")
        if len(parts) == 5 and parts[1:3] == ["var", "log"] and parts[3] in SERVICES and one.regular and one.size > 0:
            bases[_base(one.path)] = None
    return list(bases)


def _text(name: str, path: str, look: Look, logs: dict[str, list[LogFile]], rules: tuple[Rule, ...] | Unobserved, complete: bool | Unobserved) -> Kind:
    generations = logs.get(path, [])
    begins = [
        one.born if one.born is not None and not _COMPRESSED.search(one.path) and one.born < one.modified else one.modified
        for one in generations
        if one.size > 0
    ]
    days = _days(look, min(begins)) if begins else 0
    if isinstance(rules, Unobserved):
        return Kind(name, path, min(days, _unbroken(look, generations, logrotate.PERIODS["monthly"])), rules, complete, logrotate.MAIN)
    rule = look.fact(_RuleFor(path))
    if rule is None:
        return Kind(name, path, days, FOREVER, complete, "-")
    configured: int | Unobserved | None = rule.days(_daily_bytes(look, generations))
    if configured is None:
        most = rule.most_days()
        why = Text("按大小轮转，且没有可用的日志量记录", "rotated by size, and there is no history of its volume")
        configured = most if most < YOUNG_DAYS else Unobserved(Reason.NO_DATA, rule.where, why)
    if isinstance(configured, int) and configured < YOUNG_DAYS <= days and _outlived(generations, rule.rotate):
        days = min(days, _unbroken(look, generations, rule.period_days))
    return Kind(name, path, days, configured, complete, rule.where)


def _outlived(generations: list[LogFile], rotate: int) -> bool:
    """Whether files are left that logrotate no longer turns: beyond the number it keeps, or numbered beside dated ones."""
    names = [_GENERATION.search(_COMPRESSED.sub("", one.path)) for one in generations]
    numbers = [int(name[0][1:]) for name in names if name is not None and re.fullmatch(r"\.\d{1,4}", name[0])]
    return max(numbers, default=0) > rotate or 0 < len(numbers) < sum(name is not None for name in names)


def _unbroken(look: Look, generations: list[LogFile], period_days: float | None) -> int:
    """How far back the files go without a gap: one that was left when fewer began to be kept stays for ever, and tells nothing of the time since."""
    longest = timedelta(days=2 * (period_days or YOUNG_DAYS) + 2)
    since = look.now
    for modified in sorted((one.modified for one in generations if one.size > 0), reverse=True):
        if since - modified > longest:
            break
        since = min(since, modified)
    return _days(look, since)


@record
class _RuleFor:
    """A fact of its own for each log: hosts share rules, and differ in what the logs hold."""

    path: str

    def __call__(self, look: Look) -> Rule | None:
        rules = look.fact(logrotate.read)
        return None if isinstance(rules, Unobserved) else logrotate.rule_for(rules, self.path)


def _daily_bytes(look: Look, generations: list[LogFile]) -> float | None:
    """Bytes a day over the generations that are not compressed; None when they span less than a day."""
    plain = [one for one in generations if not _COMPRESSED.search(one.path)]
    older = [one.modified for one in generations if _COMPRESSED.search(one.path)]
    starts = [one.born for one in plain if one.born is not None]
    since = max(older) if older else min(starts) if starts else None
    if since is None or not plain:
        return None
    span = (look.now - since) / timedelta(days=1)
    return sum(one.size for one in plain) / span if span >= 1 else None


# --- the journal ------------------------------------------------------------------------------------------------------


def _journal(look: Look, book: Journal | Unobserved, complete: bool | Unobserved) -> Kind | None:
    """What the journal keeps, of all kinds alike; None when it is not kept."""
    doubt = book if isinstance(book, Unobserved) else book.persistent
    if isinstance(doubt, Unobserved):
        return Kind("-", "journal", 0, doubt, doubt, journal.CONF)
    assert not isinstance(book, Unobserved)
    if not doubt:
        return None
    oldest = book.oldest
    days = _days(look, oldest) if isinstance(oldest, datetime) else 0
    return Kind("-", "journal", days, _journal_days(look, book), complete, journal.CONF)


def _journal_days(look: Look, book: Journal) -> int | Unobserved:
    limits: list[int] = []
    for seconds in (book.max_retention_s, _by_files(book)):
        if isinstance(seconds, Unobserved):
            return seconds
        if seconds > 0:
            limits.append(seconds // 86400)
    most = min(limits, default=FOREVER)
    if most < YOUNG_DAYS:
        return most
    if isinstance(book.max_use_bytes, Unobserved):
        return book.max_use_bytes
    oldest, usage = book.oldest, book.usage_bytes
    span = (look.now - oldest) / timedelta(days=1) if isinstance(oldest, datetime) else 0.0
    if isinstance(usage, Unobserved) or span < 1:
        why = Text("日志记录不足一天，无法估算每日日志量", "less than a day of journal: no daily volume to reckon with")
        return Unobserved(Reason.NO_DATA, log_files.STAT, why)
    return min(most, int(book.max_use_bytes * span / usage) if usage > 0 else FOREVER, FOREVER)


def _by_files(book: Journal) -> int | Unobserved:
    """A limit of files, each closed after a time, is a limit of time too."""
    if isinstance(book.max_file_s, Unobserved):
        return book.max_file_s
    if isinstance(book.max_files, Unobserved):
        return book.max_files
    return book.max_file_s * book.max_files
