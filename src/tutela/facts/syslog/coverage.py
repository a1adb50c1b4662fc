"""How much of the messages of each facility and severity passes a point of a logging configuration.

A filter on facility and severity is exact. A filter on content (program, text) passes `few` messages of a kind, its negation `most`.
A filter nobody can decide from outside (variables, functions) is `opaque`.
Sources: RFC 5424 table 1 and 2, rsyslog.conf(5), runtime/conf.c of rsyslog for the meaning of selectors.
"""

from __future__ import annotations

import re

FACILITIES = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"),
    *("ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"),
)
FACILITY_NAMES = {name: number for number, name in enumerate(FACILITIES)} | {"security": 4}
SEVERITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
SEVERITY_NAMES = {name: number for number, name in enumerate(SEVERITIES)} | {"panic": 0, "error": 3, "warn": 4}

NONE, FEW, OPAQUE, MOST, ALL = 0, 1, 2, 3, 4

Mask = bytes
"""One of NONE..ALL for each of 24 x 8 kinds of message: index = facility * 8 + severity."""
SIZE = len(FACILITIES) * 8

EVERYTHING: Mask = bytes([ALL]) * SIZE
NOTHING: Mask = bytes(SIZE)
SOME: Mask = bytes([FEW]) * SIZE
UNDECIDED: Mask = bytes([OPAQUE]) * SIZE

REQUIRED = tuple((name, severity) for name in ("auth", "authpriv", "kern", "daemon") for severity in SEVERITIES[: SEVERITY_NAMES["info"] + 1])
"""What has to leave the host: these facilities at info and above (H-050)."""


_NOT = bytes([ALL, MOST, OPAQUE, FEW, NONE]) + bytes(251)


def both(a: Mask, b: Mask) -> Mask:
    """What passes `a` and `b`: the narrower one, kind by kind."""
    return bytes(map(min, a, b))


def negated(a: Mask) -> Mask:
    """What does not pass `a`."""
    return a.translate(_NOT)


def either(a: Mask, b: Mask) -> Mask:
    """What passes `a` or `b`."""
    return negated(both(negated(a), negated(b)))


def only(facilities: frozenset[int] | None, severities: frozenset[int] | None) -> Mask:
    """An exact filter; None stands for every one."""
    return bytes(ALL if (facilities is None or n >> 3 in facilities) and (severities is None or n & 7 in severities) else NONE for n in range(SIZE))


def selector(text: str) -> Mask | None:
    """`auth,authpriv.*`, `*.info;mail.none`, `kern.=!err` as rsyslog reads them; None if it would refuse it."""
    masks = [0] * len(FACILITIES)
    for part in re.split(r"[;]+", text.strip().lower()):
        if not part:
            continue
        names, dot, level = part.rpartition(".")
        if not dot or not _select(masks, names, level.strip(",")):
            return None
    return bytes(ALL if masks[n >> 3] >> (n & 7) & 1 else NONE for n in range(SIZE))


def _select(masks: list[int], names: str, level: str) -> bool:
    without = level.startswith("!")
    level = level[1:] if without else level
    single = level.startswith("=")
    level = level[1:] if single else level
    if level == "none":
        bits, without = 0xFF, not without
    elif level == "*":
        bits = 0xFF
    elif level in SEVERITY_NAMES:
        bits = 1 << SEVERITY_NAMES[level] if single else (2 << SEVERITY_NAMES[level]) - 1
    else:
        return False
    for name in names.split(","):
        if name == "*":
            chosen: range | tuple[int, ...] = range(len(FACILITIES))
        elif name in FACILITY_NAMES:
            chosen = (FACILITY_NAMES[name],)
        else:
            return False
        for number in chosen:
            if not without:
                masks[number] |= bits
            elif bits == 0xFF:
                masks[number] = 0
            else:
                masks[number] = (masks[number] or 0xFF) & ~bits
    return True


def missing(mask: Mask) -> tuple[str, ...]:
    """Required kinds that surely do not pass, shortly: `kern`, `auth.info`."""
    return _kinds(mask, (NONE, FEW))


def doubtful(mask: Mask) -> tuple[str, ...]:
    """Required kinds of which nobody can say whether they pass."""
    return _kinds(mask, (OPAQUE,))


def _kinds(mask: Mask, wanted: tuple[int, ...]) -> tuple[str, ...]:
    found: dict[str, list[str]] = {}
    for name, severity in REQUIRED:
        if mask[FACILITY_NAMES[name] * 8 + SEVERITY_NAMES[severity]] in wanted:
            found.setdefault(name, []).append(severity)
    whole = SEVERITY_NAMES["info"] + 1
    return tuple(one for name, levels in found.items() for one in ([name] if len(levels) == whole else [f"{name}.{level}" for level in levels]))


def held_back(mask: Mask) -> bool:
    """Whether filters on content keep part of the required messages."""
    return any(mask[FACILITY_NAMES[name] * 8 + SEVERITY_NAMES[severity]] == MOST for name, severity in REQUIRED)
