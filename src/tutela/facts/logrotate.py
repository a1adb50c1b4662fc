"""How long logrotate keeps each log.

Source: logrotate(8). Directives before an `include` hold for what it includes; a log named twice belongs to the first that names it.
Not a fact of its own: `log_retention` uses it.
"""

from __future__ import annotations

import re
import shlex
from fnmatch import fnmatchcase, translate

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts import listing
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record, replace

MAIN = "/etc/logrotate.conf"
NEEDS = (MAIN, "/etc/logrotate.d/")
FOREVER = 36_500
"""Days that stand for "no end"."""
PERIODS = {"hourly": 1 / 24, "daily": 1.0, "weekly": 7.0, "monthly": 30.0, "yearly": 365.0}
TABOO = (
    ".rpmorig",
    ".rpmsave",
    ",v",
    ".swp",
    ".rpmnew",
    "~",
    ".cfsaved",
    ".rhn-cfg-tmp-*",
    ".dpkg-dist",
    ".dpkg-old",
    ".dpkg-new",
    ".dpkg-bak",
    ".dpkg-del",
    ".disabled",
    ".bak",
)
_TABOO = re.compile("|".join(translate("*" + one) for one in TABOO))
SCRIPTS = ("prerotate", "postrotate", "firstaction", "lastaction", "preremove")
MAX_RULES = 2000
_SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


@record
class Rule:
    """Rule(patterns=('/var/log/syslog',), rotate=4, period_days=7.0, size=None, max_size=None, max_age_days=None, where='/etc/logrotate.d/rsyslog')"""

    patterns: tuple[str, ...] = ()
    rotate: int = 0
    """-1: nothing is removed."""
    period_days: float | None = 7.0
    """None: `size` alone decides."""
    size: int | None = None
    max_size: int | None = None
    max_age_days: int | None = None
    where: str = MAIN

    def days(self, daily_bytes: float | None) -> int | None:
        """How long an entry is kept; None when that depends on an unknown volume. logrotate itself runs once a day."""
        period = self.period_days
        limits = [one for one in (self.size if period is None else None, self.max_size) if one is not None]
        if limits:
            if daily_bytes is None:
                return None
            by_size = max(1.0, min(limits) / daily_bytes) if daily_bytes > 0 else float(FOREVER)
            period = by_size if period is None else min(period, by_size)
        kept = float(FOREVER) if self.rotate < 0 else self.rotate * (1.0 if period is None else period)
        if self.max_age_days is not None:
            kept = min(kept, self.max_age_days)
        return min(int(kept), FOREVER)

    def most_days(self) -> int:
        """What the limits by time alone allow at most."""
        kept = float(FOREVER) if self.rotate < 0 or self.period_days is None else self.rotate * self.period_days
        return int(min(kept, self.max_age_days if self.max_age_days is not None else FOREVER, FOREVER))


def read(look: Look) -> tuple[Rule, ...] | Unobserved:
    """All rules, in the order in which they are read; none when logrotate has no configuration."""
    if look.source(MAIN).status is Status.ABSENT:
        return ()
    reader = _Reader(look)
    problem = reader.file(MAIN, 0)
    return tuple(reader.rules) if problem is None else problem


def rule_for(rules: tuple[Rule, ...], path: str) -> Rule | None:
    """The rule that rotates `path`; None: nothing does."""
    for rule in rules:
        if any(_matches(path, pattern) for pattern in rule.patterns):
            return rule
    return None


def _matches(path: str, pattern: str) -> bool:
    """As glob(7): a wildcard does not cross a slash."""
    parts, wanted = path.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(fnmatchcase(part, one) for part, one in zip(parts, wanted, strict=True))


class _Reader:
    def __init__(self, look: Look) -> None:
        self.look = look
        self.rules: list[Rule] = []
        self.defaults = Rule()

    def file(self, name: str, depth: int) -> Unobserved | None:
        text = self.look.text(name)
        if isinstance(text, Unobserved):
            return text
        patterns: list[str] = []
        rule: Rule | None = None
        script = False
        for line in text.split("\n"):
            words = _words(line)
            if script:
                script = words[:1] != ["endscript"]
                continue
            if not words:
                continue
            if rule is None and "{" in words:
                at = words.index("{")
                patterns += words[:at]
                rule = replace(self.defaults, patterns=tuple(patterns), where=name)
                patterns = []
                words = words[at + 1 :]
            if rule is not None and "}" in words:
                at = words.index("}")
                self.rules.append(_with(rule, words[:at]))
                rule = None
                words = words[at + 1 :]
            if not words or len(self.rules) > MAX_RULES:
                continue
            if words[0] in SCRIPTS:
                script = True
            elif rule is not None:
                rule = _with(rule, words)
            elif words[0] == "include" and len(words) > 1 and depth < 3:
                problem = self._include(words[1], depth)
                if problem is not None:
                    return problem
            elif words[0].startswith("/"):
                patterns += words
            else:
                self.defaults = _with(self.defaults, words)
        if rule is not None:
            return Unobserved(Reason.FORMAT, name, Text("花括号没有闭合", "a brace is not closed"))
        return None

    def _include(self, path: str, depth: int) -> Unobserved | None:
        path = path.rstrip("/")
        if self.look.source(path + "/").status is Status.MISSING:
            return self.file(path, depth + 1)
        names = listing.entries(self.look, path)
        if isinstance(names, Unobserved):
            return names
        for name in names:
            if name.startswith(".") or _TABOO.match(name):
                continue
            # Sub-directories are listed too, and are no files.
            if self.look.source(f"{path}/{name}").status is not Status.ABSENT and (problem := self.file(f"{path}/{name}", depth + 1)) is not None:
                return problem
        return None


def _words(line: str) -> list[str]:
    line = line.strip()
    if not line or line.startswith("#"):
        return []
    line = re.sub(r"([{}])", r" \1 ", line) if line[-1:] in "{}" or line[:1] in "{}" else line
    try:
        return [word.rstrip(",") for word in shlex.split(line, comments=True)]
    except ValueError:
        return line.split()


def _with(rule: Rule, words: list[str]) -> Rule:
    """The rule with one more directive; `size` and the periods replace each other, the last one counts."""
    if not words:
        return rule
    key, _, joined = words[0].partition("=")
    value = joined or (words[1] if len(words) > 1 else "").lstrip("=")
    if key in PERIODS:
        # logrotate runs once a day, so hourly is daily in effect unless its timer was changed; the shorter one is believed.
        return replace(rule, period_days=PERIODS[key], size=None)
    if key == "size":
        size = _bytes(value)
        return rule if size is None else replace(rule, size=size, period_days=None)
    if key == "maxsize":
        return replace(rule, max_size=_bytes(value))
    if key == "rotate" and re.fullmatch(r"-?\d{1,6}", value):
        return replace(rule, rotate=int(value))
    if key == "maxage" and re.fullmatch(r"\d{1,6}", value):
        return replace(rule, max_age_days=int(value))
    return rule


def _bytes(value: str) -> int | None:
    found = re.fullmatch(r"(\d{1,12})([kKMmGg]?)", value)
    return None if found is None else int(found[1]) * _SIZES[found[2].lower()]
