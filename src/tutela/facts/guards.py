"""States of the units and processes that guard a host: SSH servers, packet filters, ban tools, knockd.

Source: systemctl(1) `show` with TZ=UTC0; /proc/PID/stat and cmdline (proc(5)), arguments masked at the source.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts import since_boot
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record

SHOW = "env TZ=UTC0 systemctl show -p Id,LoadState,ActiveState,SubState,UnitFileState,MainPID,"
PROCESSES = "/proc/[0-9]*/stat (servers that guard)"
NEEDS = (SHOW, PROCESSES, *since_boot.NEEDS)
TICKS = 100
"""A second in /proc/PID/stat; 100 on every Linux that is built for a server."""


@record
class UnitState:
    """UnitState(id='ssh.service', loaded=True, active='active', enabled='enabled', main_pid=612, started=…, changed=…, listens=(), accepts=False)"""

    id: str
    loaded: bool
    active: str
    """active | reloading | inactive | failed | activating | deactivating"""
    enabled: str
    """enabled | enabled-runtime | disabled | static | masked | generated | alias | indirect; empty for a unit that does not exist."""
    main_pid: int | None
    started: datetime | None
    changed: datetime | None
    """When it last changed between active, reloading and so on: also when it was reloaded."""
    listens: tuple[int, ...]
    """Of a socket unit: the ports."""
    accepts: bool
    """Of a socket unit: a process for each connection."""

    @property
    def running(self) -> bool:
        """Whether it is up now."""
        return self.active in ("active", "reloading")

    @property
    def at_boot(self) -> bool:
        """Whether it comes up at the next start."""
        return self.loaded and self.enabled in ("enabled", "alias", "generated", "static", "linked")


@record
class Process:
    """Process(pid=612, name='sshd', parent=1, started=…, words=('/usr/sbin/sshd', '-D'))"""

    pid: int
    name: str
    parent: int
    started: datetime | Unobserved
    words: tuple[str, ...]
    """Command line; masked words are `***`."""


@record
class Guards:
    """Guards(units={'ssh.service': UnitState(…)}, processes=(Process(…),))"""

    units: Mapping[str, UnitState] | Unobserved
    """By id; empty where systemd does not run."""
    systemd: bool | Unobserved
    processes: tuple[Process, ...] | Unobserved
    """Of sshd, dropbear, knockd, sshguard, fail2ban-server, crowdsec, denyhosts; without those in containers and without sessions."""

    def unit(self, *names: str) -> UnitState | Unobserved | None:
        """The first of these units that is loaded."""
        if isinstance(self.units, Unobserved):
            return self.units
        return next((self.units[name] for name in names if name in self.units and self.units[name].loaded), None)

    def running(self, name: str) -> bool | Unobserved:
        """Whether a process of this name runs."""
        if isinstance(self.processes, Unobserved):
            return self.processes
        return any(process.name == name for process in self.processes)


def parse(look: Look) -> Guards | Unobserved:
    """The fact, part by part."""
    units, systemd = _units(look)
    return Guards(units, systemd, _processes(look))


def _units(look: Look) -> tuple[Mapping[str, UnitState] | Unobserved, bool | Unobserved]:
    name = next(look.names(SHOW), SHOW)
    if look.source(name).status is Status.ABSENT:
        return {}, False
    text = look.text(name)
    if isinstance(text, Unobserved):
        return text, text
    found: dict[str, UnitState] = {}
    for block in text.split("\n\n"):
        fields: dict[str, str] = {}
        listens: list[int] = []
        for line in block.split("\n"):
            key, _, value = line.partition("=")
            if key == "Listen":
                port = re.match(r"(?:.*[:\]])?([0-9]{1,5}) \(Stream\)$", value)
                listens += [int(port[1])] if port else []
            else:
                fields[key] = value
        unit = fields.get("Id", "")
        if not unit:
            continue
        pid = fields.get("MainPID", "0")
        found[unit] = UnitState(
            id=unit,
            loaded=fields.get("LoadState") == "loaded",
            active=fields.get("ActiveState", ""),
            enabled=fields.get("UnitFileState", ""),
            main_pid=int(pid) if re.fullmatch(r"[1-9][0-9]{0,8}", pid) else None,
            started=_moment(fields.get("ExecMainStartTimestamp", "")) or _moment(fields.get("ActiveEnterTimestamp", "")),
            changed=_moment(fields.get("StateChangeTimestamp", "")),
            listens=tuple(listens),
            accepts=fields.get("Accept") == "yes",
        )
    return found, True


def _moment(words: str) -> datetime | None:
    """`Sun 2026-11-22 04:42:51 UTC`"""
    found = re.fullmatch(r"(?:[A-Za-z]{3} )?([0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]+)? UTC", words)
    try:
        return datetime.fromisoformat(found[1]).replace(tzinfo=UTC) if found else None
    except ValueError:
        return None


_LINE = re.compile(r"pid=([0-9]{1,9}) name=(\S+) parent=([0-9]{1,9}) start=([0-9]{1,15}) args=(.*)")


def _processes(look: Look) -> tuple[Process, ...] | Unobserved:
    lines = look.lines(PROCESSES)
    if isinstance(lines, Unobserved):
        return lines
    found = []
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is None:
            return Unobserved(Reason.FORMAT, PROCESSES, Text("有无法理解的行", "it has a line that is not understood"))
        found.append(Process(int(match[1]), match[2], int(match[3]), since_boot.moment(look, int(match[4]) / TICKS), tuple(match[5].split())))
    listed = {(one.pid, one.name) for one in found}
    return tuple(one for one in found if (one.parent, one.name) not in listed)
