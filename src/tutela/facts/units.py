"""What systemd has loaded: running services, timers, and the services that timers start.

Source: systemctl(1) `show`, with TZ=UTC0 so that a time zone's short name never has to be guessed.
Command lines are masked at the source: words of an allow-list stay, every other word is `***` (NC9).
A service that neither runs nor is started by a timer is not listed; absence here means "does not run".
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record, replace

SHOW = "env TZ=UTC0 systemctl show -p Id,LoadState,ActiveState,SubState,User,ExecStart"
NEEDS = (SHOW,)
MAX_UNITS = 5000


@record
class Command:
    """Command(path='/usr/local/sbin/site-backup', words='/usr/local/sbin/site-backup --quiet')"""

    path: str
    words: str
    """The masked command line."""


@record
class Unit:
    """Unit(id='site-backup.service', active='inactive', sub='dead', user='root', commands=(Command(…),), …)"""

    id: str
    load: str
    """loaded | not-found | masked | error"""
    active: str
    """active | reloading | inactive | failed | activating | deactivating"""
    sub: str
    user: str
    """Empty: root."""
    commands: tuple[Command, ...]
    environment: tuple[str, ...]
    """Masked assignments: `RESTIC_REPOSITORY=sftp:backup@192.0.2.9:/srv/repo`."""
    environment_files: tuple[str, ...]
    result: str
    """success | exit-code | timeout | …: how the last run since boot ended."""
    status: int | None
    """Exit status of the main process."""
    exited: datetime | None
    """When the main process last ended; None: not since boot."""
    starts: str | None
    """Of a timer: the unit it starts."""
    calendar: tuple[str, ...]
    """Of a timer: `*-*-* 02:10:00`."""
    every: tuple[timedelta, ...]
    """Of a timer: OnUnitActiveSec= and OnUnitInactiveSec=."""
    triggered: datetime | None
    """Of a timer: when it last elapsed; survives a reboot only with Persistent=."""

    @property
    def running(self) -> bool:
        """Whether it is up now."""
        return self.active in ("active", "reloading")


@record
class Units:
    """Units(systemd=True, by_id={'ssh.service': Unit(…)})"""

    systemd: bool
    """False: another init; `by_id` is empty then, and says nothing about what runs."""
    by_id: dict[str, Unit]

    def running(self, *names: str) -> tuple[str, ...]:
        """Those of `names` (without `.service`; a trailing `@` means any instance) that are up."""
        if not any(name.endswith("@") for name in names):
            services = [f"{name}.service" for name in names]
            return tuple(sorted({one for one in services if one in self.by_id and self.by_id[one].running}))
        up = []
        for unit in self.by_id.values():
            stem = unit.id.removesuffix(".service")
            if unit.running and stem != unit.id and (stem in names or f"{stem.partition('@')[0]}@" in names):
                up.append(unit.id)
        return tuple(sorted(up))


def parse(look: Look) -> Units | Unobserved:
    """The fact, from one or two calls of systemctl."""
    seen = look.fact(still)
    if isinstance(seen, Unobserved) or not seen.systemd:
        return seen
    units = dict(seen.by_id)
    for unit, (exited, triggered) in look.fact(moments).items():
        if unit in units:
            units[unit] = replace(units[unit], exited=exited, triggered=triggered)
    return Units(systemd=True, by_id=units)


def moments(look: Look) -> dict[str, tuple[datetime | None, datetime | None]]:
    """When the main process of a unit last ended, and when a timer last elapsed; a unit of which neither is known is left out."""
    found: dict[str, tuple[datetime | None, datetime | None]] = {}
    for name in look.names(SHOW):
        text = look.text(name)
        said: dict[str, str] = {}
        for key, value in [*_TIMES.findall(f"\n{text}"), ("", "")] if isinstance(text, str) else ():
            if key:
                said.setdefault(key, value)
                continue
            if "Id" in said:
                # A unit that is listed twice is as it is listed first.
                found.setdefault(said["Id"], (moment(said.get("ExecMainExitTimestamp", "")), moment(said.get("LastTriggerUSec", ""))))
            said = {}
    return {unit: times for unit, times in found.items() if times != (None, None)}


def still(look: Look) -> Units | Unobserved:
    """The fact without moments, which differ everywhere: hosts with the same units share it."""
    blocks = look.fact(_blocks)
    if isinstance(blocks, Unobserved):
        return blocks
    if blocks is None:
        return Units(systemd=False, by_id={})
    units: dict[str, Unit] = {}
    for block in blocks.split("\n\n"):
        unit = _unit(block)
        if unit is not None and len(units) < MAX_UNITS:
            units.setdefault(unit.id, unit)
    if not units:
        return Unobserved(Reason.FORMAT, next(look.names(SHOW)), Text("没有列出任何单元", "it lists no unit"))
    return Units(systemd=True, by_id=units)


def up(look: Look) -> Units | Unobserved:
    """The fact of units that are up, without moments and results: hosts that run the same share it."""
    seen = look.fact(still)
    if isinstance(seen, Unobserved):
        return seen
    return Units(seen.systemd, {name: replace(unit, result="", status=None) for name, unit in seen.by_id.items() if unit.running})


def _blocks(look: Look) -> str | Unobserved | None:
    """What systemctl said, without the moments in it; None without systemd."""
    names = list(look.names(SHOW))
    if not names:
        return _missing(look)
    said = []
    for name in names:
        if look.source(name).status is Status.ABSENT:
            return None
        text = look.text(name)
        if isinstance(text, Unobserved):
            return text
        said.append("\n".join([_lasting(line) if line.startswith(_PASSING) else line for line in text.split("\n")]))
    return "\n\n".join(said)


_TIMES = re.compile(r"\n(?:(?=\n)|(Id|ExecMainExitTimestamp|LastTriggerUSec)=([^\n]*))")
"""A property, or nothing where a block ends."""
_PASSING = ("ExecMainExitTimestamp=", "LastTriggerUSec=", "TimersCalendar=", "TimersMonotonic=", "ExecStart=")


def _lasting(line: str) -> str:
    """What stays the same of a property that holds moments: of a timer its schedule, of a process its command line."""
    key = line.partition("=")[0]
    end = {"ExecStart": " ; ignore_errors=", "TimersCalendar": ";", "TimersMonotonic": ";"}.get(key)
    if end is None:
        return key
    first, found, _ = line.partition(end)
    return first + found


def _missing(look: Look) -> Unobserved:
    gone = look.text(SHOW)
    assert isinstance(gone, Unobserved)  # no source has this bare prefix as its name
    return gone


def _unit(block: str) -> Unit | None:
    """One unit from its properties; None for a block without an Id."""
    fields: dict[str, list[str]] = {}
    for line in block.split("\n"):
        key, equals, value = line.partition("=")
        if equals:
            fields.setdefault(key, []).append(value)
    if "Id" not in fields:
        return None

    def one(key: str) -> str:
        return fields.get(key, [""])[0]

    return Unit(
        id=one("Id"),
        load=one("LoadState"),
        active=one("ActiveState"),
        sub=one("SubState"),
        user=one("User"),
        commands=tuple(command for line in fields.get("ExecStart", ()) if (command := _command(line)) is not None),
        environment=tuple(word for line in fields.get("Environment", ()) for word in line.split()),
        environment_files=tuple(line.partition(" (ignore_errors")[0] for line in fields.get("EnvironmentFiles", ()) if line),
        result=one("Result"),
        status=int(one("ExecMainStatus")) if re.fullmatch(r"\d{1,3}", one("ExecMainStatus")) else None,
        exited=None,
        starts=one("Unit") or None,
        calendar=tuple(found[1].strip() for line in fields.get("TimersCalendar", ()) if (found := _CALENDAR.match(line))),
        every=tuple(span for line in fields.get("TimersMonotonic", ()) if (found := _EVERY.match(line)) and (span := duration(found[1])) is not None),
        triggered=None,
    )


_CALENDAR = re.compile(r"\{ OnCalendar=([^;]{1,300});")
_EVERY = re.compile(r"\{ OnUnit(?:In)?[aA]ctive(?:U)?Sec=([^;]{1,100});")
_COMMAND = re.compile(r"\{ path=(?P<path>[^ ;]{1,4096}) ; argv\[\]=(?P<words>.*?) ; ignore_errors=")


def _command(line: str) -> Command | None:
    found = _COMMAND.match(line)
    return None if found is None else Command(found["path"], found["words"])


_MOMENT = re.compile(r"(?:[A-Z][a-z]{2} )?([0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]+)? UTC")


def moment(words: str) -> datetime | None:
    """`Sun 2026-11-22 04:12:02 UTC` -> an aware datetime; None for an empty or unknown form."""
    found = _MOMENT.fullmatch(words.strip()) if words else None
    if found is None:
        return None
    try:
        return datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
    except ValueError:
        return None


_SPANS = {
    "us": timedelta(microseconds=1),
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
    "month": timedelta(days=30.44),
    "y": timedelta(days=365.25),
}


def duration(words: str) -> timedelta | None:
    """`1d 2h 30min` -> a timedelta; None when a part is not known."""
    total = timedelta()
    parts = words.split()
    for part in parts:
        found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([a-z]{1,5})", part)
        if found is None or found[2] not in _SPANS:
            return None
        try:
            total += float(found[1]) * _SPANS[found[2]]
        except OverflowError:
            return None
    return total if parts else None
