"""How long root has been at it, and whether an idle shell ends by itself.

Sources: loginctl(1) show-session, proc(5) stat for shells with a terminal, TMOUT in the shells' start-up files (bash(1)), sshd_config(5)
ClientAliveInterval. Ages and names of programs only, no addresses and no arguments.
"""

from __future__ import annotations

import re

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts.accounts import SHELLS
from tutela.facts.look import Look
from tutela.facts.unseen import unseen
from tutela.language import Text
from tutela.record import record

LOGIND = "loginctl show-session"
PROCESSES = "/proc/[0-9]*/stat (with a terminal)"
TICKS = 100
"""A second in /proc/<pid>/stat; USER_HZ on every supported machine."""
TMOUT = "grep -sHn TMOUT /etc/profile /etc/bash.bashrc /etc/bashrc /etc/profile.d/*.sh"
NEEDS = (LOGIND, PROCESSES, TMOUT, "/proc/uptime", "sshd -T")
_NUMBER = re.compile(r"\d{1,12}")


@record
class Session:
    """Session(user='root', what='sshd', terminal='pts/0', hours=9.5, console=False)"""

    user: str
    what: str
    """Service that opened it, or the program's name."""
    terminal: str
    hours: float
    console: bool
    """On a serial line, as a management controller (BMC) offers it."""


@record
class Sessions:
    """Sessions(privileged=(Session(...),), idle_minutes=15, idle_by='TMOUT')"""

    privileged: tuple[Session | Unobserved, ...]
    """Interactive sessions and shells of root."""
    idle_minutes: float | Unobserved | None
    """After which an idle login ends; None: never."""
    idle_by: str | None
    """TMOUT | ClientAliveInterval"""


def parse(look: Look) -> Sessions | Unobserved:
    """The fact; unknown when neither logind nor the process table could be asked."""
    logins = _logind(look)
    shells = _processes(look)
    if isinstance(logins, Unobserved) and isinstance(shells, Unobserved):
        return logins
    found = [*(() if isinstance(logins, Unobserved) else logins), *(() if isinstance(shells, Unobserved) else shells)]
    holes = [doubt for name in (next(look.names(LOGIND), LOGIND), PROCESSES) if (doubt := unseen(look, name)) is not None]
    minutes, by = _idle(look)
    return Sessions((*found, *holes), minutes, by)


def _uptime(look: Look) -> int | Unobserved:
    """Seconds since boot."""
    text = look.text("/proc/uptime")
    if isinstance(text, Unobserved):
        return text
    found = re.match(r"\d{1,10}", text)
    return int(found[0]) if found is not None else Unobserved(Reason.FORMAT, "/proc/uptime", Text("格式不明", "not understood"))


def _logind(look: Look) -> list[Session] | Unobserved:
    names = list(look.names(LOGIND)) or [LOGIND]
    text = look.text(names[0])
    up = _uptime(look)
    if isinstance(text, Unobserved):
        return text
    if isinstance(up, Unobserved):
        return up
    made: list[Session] = []
    for block in text.split("\n\n"):
        fields = dict(line.partition("=")[::2] for line in block.split("\n"))
        began = fields.get("TimestampMonotonic", "")
        if fields.get("User") != "0" or fields.get("Class", "user") not in ("user", "user-early") or fields.get("State") == "closing":
            continue
        # A session without terminal and without a far end is no person at work (cron).
        if not (fields.get("TTY") or fields.get("Remote") == "yes") or not _NUMBER.fullmatch(began):
            continue
        hours = max(up - int(began) / 1e6, 0) / 3600
        terminal = fields.get("TTY", "")
        made.append(Session(fields.get("Name", "root"), fields.get("Service", ""), terminal, round(hours, 1), _serial(terminal)))
    return made


def _processes(look: Look) -> list[Session] | Unobserved:
    lines = look.lines(PROCESSES)
    up = _uptime(look)
    if isinstance(lines, Unobserved):
        return lines
    if isinstance(up, Unobserved):
        return up
    made: list[Session] = []
    for line in lines:
        words = line.split()
        if len(words) == 4 and words[0] == "0" and _NUMBER.fullmatch(words[2]) and words[3].lstrip("-") in SHELLS | {"su"}:
            made.append(Session("root", words[3], words[1], round(max(up - int(words[2]) / TICKS, 0) / 3600, 1), _serial(words[1])))
    return made


def _serial(terminal: str) -> bool:
    return terminal.removeprefix("/dev/").startswith(("ttyS", "ttyAMA", "hvc"))


def _idle(look: Look) -> tuple[float | Unobserved | None, str | None]:
    """The shortest bound there is."""
    bounds: list[tuple[float, str]] = []
    doubt: Unobserved | None = None
    text = look.text_or_none(TMOUT)
    if isinstance(text, Unobserved):
        doubt = text
    values: list[int] = []
    kept = False  # readonly: what unsets it later fails
    for line in text.split("\n") if isinstance(text, str) else ():
        said = line.partition(":")[2].partition(":")[2]
        if (found := _TMOUT.match(said)) is not None:
            values.append(int(found[1] or 0))
        elif _UNSET.match(said) is not None and not kept:
            values.clear()
        kept = kept or (not said.startswith("***") and _KEPT.search(said) is not None)
    if values and 0 not in values:
        bounds.append((max(values) / 60, "TMOUT"))
    sshd = [name for name in look.names("sshd -T") if look.source(name).status is Status.OK]
    if not sshd and look.source("sshd -T").status is not Status.ABSENT:
        missing = look.text("sshd -T")
        doubt = doubt or (missing if isinstance(missing, Unobserved) else None)
    for name in sshd[:1]:
        options = dict(line.lower().partition(" ")[::2] for line in look.lines(name) or ())  # type: ignore[union-attr]
        interval, count = options.get("clientaliveinterval", "0"), options.get("clientalivecountmax", "3")
        if _NUMBER.fullmatch(interval) and _NUMBER.fullmatch(count) and int(interval) * int(count) > 0:
            bounds.append((int(interval) * int(count) / 60, "ClientAliveInterval"))
    if bounds:
        return min(bounds)
    return doubt, None


_TMOUT = re.compile(r"\s*(?:(?:readonly|export|declare|typeset|-\w+)\s+)*TMOUT=[\"']?(\d{0,7})[\"']?(?=[\s;]|$)")
_KEPT = re.compile(r"\breadonly\s|\b(?:declare|typeset)\s+(?:-\w+\s+)*-\w*r")
_UNSET = re.compile(r"\s*unset\s+(?:-v\s+)?TMOUT\b")
