"""What runs by itself: systemd timers, cron tables, the directories of cron, anacron; with the scripts they call.

Sources: systemd.timer(5), crontab(5), anacrontab(5), run-parts(8); command lines masked at the source (NC9).
Whether the last run went well is known from the unit's result since boot, from a marker that a job leaves only after success, or from the end of its log.
A job that leaves none of these is undecided, never fine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts import os_release, units
from tutela.facts.listing import entries
from tutela.facts.look import Look
from tutela.facts.recurrence import calendar_gap, cron_gap
from tutela.facts.units import Unit, Units
from tutela.facts.unseen import unseen
from tutela.language import Text
from tutela.record import field, record, replace

PATHS = "stat -L -c '%a %u %g %s %Y %F %n' (paths that jobs name)"
LOG = "tail -c 20000 "
SCRIPT = " (job)"
TABLES = ("/etc/cron.d",)
USER_TABLES = ("/var/spool/cron/crontabs", "/var/spool/cron")
PERIODS = {"hourly": timedelta(hours=1), "daily": timedelta(days=1), "weekly": timedelta(days=7), "monthly": timedelta(days=31)}
NEEDS = (*units.NEEDS, *os_release.NEEDS, "/etc/crontab", "/etc/anacrontab", PATHS)
MAX_JOBS = 2000
MAX_LINES = 5000
PACKAGED = ("/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/", "/usr/lib/", "/usr/libexec/", "/usr/share/", "/lib/")
"""Programs of the distribution: known by name, not followed."""


@record
class Left:
    """Left(path='/var/backups', mode=0o755, uid=0, directory=True, size=4096, changed=datetime(…))"""

    path: str
    mode: int
    uid: int
    directory: bool
    size: int
    """Bytes."""
    changed: datetime

    @property
    def open_to_all(self) -> bool:
        """Whether every account may read it (a directory: list it too)."""
        return bool(self.mode & 0o004)


@record
class Job:
    """Job(id='site-backup.timer', kind='timer', user='root', enabled=True, interval=timedelta(days=1), lines=('restic backup /srv',), …)"""

    id: str
    """`site-backup.timer`, `/etc/cron.d/backup:3`, `/etc/cron.daily/backup`"""
    kind: str
    """timer | cron | periodic | anacron"""
    user: str
    enabled: bool | Unobserved
    """Whether something really starts it: an active timer, a running cron daemon."""
    why_not: Text | None
    """Why it is not enabled."""
    interval: timedelta | Unobserved
    """The longest gap of its schedule."""
    lines: tuple[str, ...]
    """Masked command lines, those of its scripts too, variables filled in where they are known."""
    opaque: tuple[str, ...]
    """Programs of its own that could not be read."""
    ran: datetime | None
    """When it last ended, well or not; None: not known."""
    status: int | None
    """Exit status of that run."""
    succeeded: datetime | Unobserved
    """When it last ended well."""
    failed: bool | Unobserved
    """Whether its last run ended badly."""


@record
class Schedules:
    """Schedules(jobs=(Job(…), …), left={'/var/backups': Left(…)})"""

    jobs: tuple[Job | Unobserved, ...]
    """A hole stands for a table that could not be read."""
    left: dict[str, Left] = field(default_factory=dict)
    """Paths that jobs name, as they are on the disk."""
    settings: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Lines of settings files of backup tools by path, masked."""


def parse(look: Look) -> Schedules | Unobserved:
    """The fact; a source that cannot be read is a hole in `jobs`."""
    plans = look.fact(planned)
    if isinstance(plans, Unobserved):
        return plans
    left, moments = look.fact(_left), look.fact(units.moments)
    jobs = tuple(_as_it_went(look, plan, left, moments) if isinstance(plan, Plan) else plan for plan in plans.jobs)
    return Schedules(jobs, left, plans.settings)


def running(look: Look, pattern: re.Pattern[str]) -> list[Job | Unobserved] | Unobserved:
    """Jobs that are not switched off and have a line in which the pattern is found, and every hole.

    Who asks so is not asked again because another job ran, though all that tells of jobs remains evidence.
    """
    look.sources_of(parse)
    places = look.fact(_Running(pattern))
    if not isinstance(places, tuple):
        return places
    plans = look.fact(parse) if places else None
    return [plans.jobs[place] for place in places] if isinstance(plans, Schedules) else []


def _left(look: Look) -> dict[str, Left]:
    text = look.text(PATHS)
    return {} if isinstance(text, Unobserved) else stat_rows(text)


def _modes(look: Look) -> dict[str, int]:
    return {path: one.mode for path, one in look.fact(_left).items()}


def stat_rows(text: str) -> dict[str, Left]:
    """Rows of `stat -c '%a %u %g %s %Y %F %n'` by path; a row that is not understood is left out."""
    found = {}
    for line in text.split("\n")[:MAX_LINES]:
        match = re.fullmatch(r"([0-7]{1,4}) (\d{1,10}) (\d{1,10}) (\d{1,18}) (\d{1,11}) ([a-z ]{1,30}) (/[^\n]{0,4095})", line)
        if match is not None:
            path = match[7]
            changed = datetime.fromtimestamp(min(int(match[5]), 99999999999), UTC)
            found[path] = Left(path, int(match[1], 8), int(match[2]), match[6] == "directory", int(match[4]), changed)
    return found


_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]+")


@record
class _Entry:
    """One line of a cron table."""

    place: str
    schedule: str
    user: str
    command: str
    settings: dict[str, str]


def _tables(look: Look) -> tuple[_Entry | Unobserved, ...]:
    """Lines of all cron tables and of anacron's, which hosts of a fleet share."""
    return tuple(_Tables(look).all())


class _Tables:
    """Reads the tables of one look."""

    def __init__(self, look: Look) -> None:
        self.look = look

    def all(self) -> Iterator[_Entry | Unobserved]:
        """Every line of every table."""
        yield from self._table("/etc/crontab", with_user=True)
        for directory in TABLES:
            yield from self._directory(directory, with_user=True)
        for directory in USER_TABLES:
            yield from self._directory(directory, with_user=False)
        yield from self._anacron()

    def _directory(self, directory: str, *, with_user: bool) -> Iterator[_Entry | Unobserved]:
        names = entries(self.look, directory)
        if isinstance(names, Unobserved):
            yield names
            return
        for name in names:
            path = f"{directory}/{name}"
            # cron reads no hidden files and no leftovers of editors and package managers.
            if name.startswith(".") or name.endswith("~") or path in USER_TABLES:
                continue
            if with_user and re.search(r"\.(dpkg|rpm|bak|orig|disabled)", name):
                continue
            if with_user and not _PLAIN_NAME.fullmatch(name):
                doubt = unseen(self.look, os_release.NEEDS[0])
                if doubt is not None:
                    yield doubt
                    continue
                if _family(self.look, self.look.fact(os_release.parse)) == "debian":
                    continue  # Debian's cron skips a name with a dot in it, as run-parts does
            yield from self._table(path, with_user=with_user)

    def _table(self, path: str, *, with_user: bool) -> Iterator[_Entry | Unobserved]:
        text = self.look.text_or_none(path)
        if text is None:
            return
        if isinstance(text, Unobserved):
            yield text
            return
        settings: dict[str, str] = {}
        for number, line in enumerate(text.split("\n")[:MAX_LINES], 1):
            line = line.strip()  # as cron does
            if not line or line.startswith("#"):
                continue
            if (pair := _assignment(line)) is not None and not re.match(r"[@*0-9]", line):
                settings[pair[0]] = pair[1]
                continue
            words = line.split()
            fields = 1 if line.startswith("@") else 5
            if line.startswith("***") or len(words) <= fields + with_user:
                yield Unobserved(Reason.FORMAT, f"{path}:{number}", Text("无法理解的 cron 行", "a line that is not understood"))
                continue
            user = words[fields] if with_user else path.rpartition("/")[2]
            yield _Entry(f"{path}:{number}", " ".join(words[:fields]), user, " ".join(words[fields + with_user :]), dict(settings))

    def _anacron(self) -> Iterator[_Entry | Unobserved]:
        text = self.look.text_or_none("/etc/anacrontab")
        if isinstance(text, Unobserved):
            yield text
            return
        for number, line in enumerate((text or "").split("\n")[:MAX_LINES], 1):
            words = line.split()
            if len(words) >= 4 and re.fullmatch(r"\d{1,3}|@[a-z]+", words[0]) and words[1].isdigit():
                yield _Entry(f"/etc/anacrontab:{number}", f"anacron {words[0]}", "root", " ".join(words[3:]), {})


@record
class _Program:
    """What a job does."""

    lines: tuple[str, ...]
    opaque: tuple[str, ...]
    markers: tuple[str, ...]
    """Files that it writes only after success."""
    logs: tuple[str, ...]


@record
class _OfService:
    """A fact of its own for each program, since hosts share programs and differ in when they ran: that of a timer's service."""

    commands: tuple[str, ...]
    environment: tuple[str, ...]
    files: tuple[str, ...]
    """Of more settings."""

    def __call__(self, look: Look) -> _Program:
        settings = dict(_assignments(self.environment))
        for path in self.files:
            settings |= dict(_assignments(_script(look, path) or ()))
        return _program(look, list(self.commands), settings)


@record
class _OfTable:
    """That of a line in a cron table."""

    command: str
    settings: tuple[tuple[str, str], ...]

    def __call__(self, look: Look) -> _Program:
        return _program(look, [self.command], dict(self.settings))


@record
class _OfScript:
    """That of a script in a directory of cron."""

    path: str

    def __call__(self, look: Look) -> _Program:
        text = look.text(self.path)
        return _Program((), (self.path,), (), ()) if isinstance(text, Unobserved) else _program(look, text.split("\n"), {})


def _source(path: str) -> str:
    """Where a script stands that a job names; those of cron's own folders are read anyway."""
    return path if path.startswith("/etc/cron.") else path + SCRIPT


def _script(look: Look, path: str) -> tuple[str, ...] | None:
    text = look.text(_source(path))
    return None if isinstance(text, Unobserved) else tuple(text.split("\n")[:MAX_LINES])


def _program(look: Look, commands: list[str], settings: dict[str, str]) -> _Program:
    """The lines of commands and of the scripts they call, and the programs that stay opaque."""
    lines: list[str] = []
    opaque: list[str] = []
    for command in _joined(commands):
        lines.append(command)
        for path in _programs(command):
            script = _script(look, path)
            if script is not None:
                lines += _joined(script)
            elif not path.startswith(PACKAGED):
                opaque.append(path)
        for folder in _folders(command):
            for part in _parts(look, folder):
                lines += [] if isinstance(part, Unobserved) else _joined(_script(look, part) or ())
    for line in lines:
        found = re.match(r"(?:\.|source) (/\S+)", line)
        if found is not None:
            settings |= dict(_assignments(_script(look, found[1]) or ()))
    filled = []
    for line in lines[:MAX_LINES]:
        if (pair := _assignment(line)) is not None:
            settings[pair[0]] = _filled(pair[1], settings)
        filled.append(_filled(line, settings))
    # Settings count as lines too: a tool takes its target from the environment.
    filled += [f"{key}={value}" for key, value in settings.items()]
    made = tuple(line for line in filled if line and line != "#")
    return _Program(made, tuple(dict.fromkeys(opaque)), tuple(_markers(made)), tuple(_logs(made)))


_FOLDER = re.compile(r"(?:^|[ /])run-parts (?:[^ /;|&)]\S* ){0,10}(/[^ ;|&)]+)")


def _folders(command: str) -> list[str]:
    """Directories whose scripts a command runs with run-parts(8)."""
    return [found[1].rstrip("/") for found in _FOLDER.finditer(command)]


def _parts(look: Look, folder: str) -> Iterator[str | Unobserved]:
    """What run-parts runs there; a hole for what was not seen."""
    names = entries(look, folder)
    if isinstance(names, Unobserved):
        yield names
        return
    if (doubt := unseen(look, PATHS)) is not None:
        yield doubt
        return
    modes = look.fact(_modes)
    for name in names:
        path = f"{folder}/{name}"
        if name.startswith(".") or not modes.get(path, 0o100) & 0o100 or (skipped := _skipped(look, name)) is True:
            continue
        script = look.text(_source(path))
        yield skipped if isinstance(skipped, Unobserved) else script if isinstance(script, Unobserved) else path


def _skipped(look: Look, name: str) -> bool | Unobserved:
    """Whether run-parts leaves out a name: Debian's takes none with a dot in it."""
    if _PLAIN_NAME.fullmatch(name):
        return False
    doubt = unseen(look, os_release.NEEDS[0])
    return _family(look, look.fact(os_release.parse)) == "debian" if doubt is None else doubt


@record
class Plan:
    """A job as far as it is the same from day to day, and what may tell how it went."""

    job: Job
    """Its `succeeded` and `failed` are the doubt that remains when nothing tells."""
    program: _Program
    service: Unit | None
    """The service that a timer starts."""


@record
class Plans:
    """Plans(jobs=(Plan(…), …), settings={})"""

    jobs: tuple[Plan | Unobserved, ...]
    settings: dict[str, tuple[str, ...]]


def planned(look: Look) -> Plans | Unobserved:
    """The fact without how it went, which is another story every day: hosts that plan the same share it."""
    seen = look.fact(units.still)
    if look.source("/etc/crontab").status is Status.MISSING and isinstance(seen, Unobserved):
        return seen
    reader = _Reader(look, look.fact(_modes), seen)
    jobs = list(islice(reader.all(), MAX_JOBS + 1))
    if len(jobs) > MAX_JOBS:
        jobs[MAX_JOBS] = Unobserved(Reason.NO_DATA, "cron", Text(f"任务超过 {MAX_JOBS} 个", f"more than {MAX_JOBS} jobs"))
    return Plans(tuple(jobs), reader.settings)


@record
class _Running:
    """See `running`: the places of these jobs."""

    pattern: re.Pattern[str]

    def __call__(self, look: Look) -> tuple[int, ...] | Unobserved:
        plans = look.fact(planned)
        if isinstance(plans, Unobserved):
            return plans
        return tuple(place for place, plan in enumerate(plans.jobs) if isinstance(plan, Unobserved) or self._fits(plan.job))

    def _fits(self, job: Job) -> bool:
        return job.enabled is not False and any(self.pattern.search(line) for line in job.lines)


class _Reader:
    def __init__(self, look: Look, modes: dict[str, int], seen: Units | Unobserved) -> None:
        self.look = look
        self.modes = modes
        self.units = seen
        self.settings: dict[str, tuple[str, ...]] = {}
        for name in ("/etc/borgmatic/config.yaml", "/etc/btrbk/btrbk.conf", "/etc/rsnapshot.conf", "/etc/pgbackrest.conf", "/etc/pgbackrest/pgbackrest.conf"):
            self._keep(name)
        for name in look.names("/etc/borgmatic.d/"):
            if not name.endswith("/"):
                self._keep(name)

    def _keep(self, name: str) -> None:
        text = self.look.text(name)
        if isinstance(text, str):
            self.settings[name] = tuple(text.split("\n")[:MAX_LINES])

    def all(self) -> Iterator[Plan | Unobserved]:
        """Every job of every kind."""
        yield from self._timers()
        tables = self.look.fact(_tables)
        for entry in tables:
            if isinstance(entry, Unobserved):
                yield entry
            elif not set(_folders(entry.command)) & {f"/etc/cron.{period}" for period in PERIODS}:  # these are jobs of their own
                yield self._from_cron(entry)
                yield from self._holes(entry.command)
        yield from self._periodic([entry for entry in tables if not isinstance(entry, Unobserved)])

    def _holes(self, *commands: str) -> Iterator[Unobserved]:
        """What was not seen of the scripts in folders that a job runs."""
        for folder in (one for command in commands for one in _folders(command)):
            yield from (part for part in _parts(self.look, folder) if isinstance(part, Unobserved))

    # --- timers

    def _timers(self) -> Iterator[Plan | Unobserved]:
        if isinstance(self.units, Unobserved):
            yield self.units
            return
        for unit in self.units.by_id.values():
            if unit.id.endswith(".timer") and unit.starts:
                service = self.units.by_id.get(unit.starts)
                if service is None:
                    yield Unobserved(Reason.NO_DATA, unit.starts, Text("定时器启动的服务没有列出", "the service that the timer starts is not listed"))
                else:
                    yield self._from_timer(unit, service)
                    yield from self._holes(*(command.words for command in service.commands))

    def _from_timer(self, timer: Unit, service: Unit) -> Plan:
        gaps = [calendar_gap(one) for one in timer.calendar]
        known = [*(gap for gap in gaps if gap is not None), *timer.every]
        interval: timedelta | Unobserved = Unobserved(Reason.FORMAT, timer.id, Text("无法理解的定时设置", "a schedule that is not understood"))
        if known:
            interval = min(known)
        program = self.look.fact(_OfService(tuple(command.words for command in service.commands), service.environment, service.environment_files))
        enabled = timer.running and service.load == "loaded"
        doubt = Unobserved(Reason.NO_DATA, service.id, Text("开机以来没有运行过，也没有成功标记", "it has not run since boot and left no marker of success"))
        job = Job(
            id=timer.id,
            kind="timer",
            user=service.user or "root",
            enabled=enabled,
            why_not=None if enabled else Text(f"定时器状态为 {timer.active}", f"the timer is {timer.active}"),
            interval=interval,
            lines=program.lines,
            opaque=program.opaque,
            ran=None,
            status=None,
            succeeded=doubt,
            failed=doubt,
        )
        return Plan(job, program, service)

    # --- cron

    def _daemon(self, *, anacron: bool = False) -> tuple[bool | Unobserved, Text | None]:
        """Whether something starts what the tables say."""
        if isinstance(self.units, Unobserved):
            return self.units, None
        if not self.units.systemd:
            return Unobserved(
                Reason.NO_ANSWER, "cron", Text("不是 systemd，无法确定 cron 是否在运行", "without systemd it is not known whether cron runs")
            ), None
        if self.units.running("cron", "crond", "cronie", "fcron", "bcron"):
            return True, None
        timer = self.units.by_id.get("anacron.timer")
        if anacron and timer is not None and timer.running:
            return True, None
        return False, Text("cron 没有运行", "cron does not run")

    def _from_cron(self, entry: _Entry) -> Plan:
        anacron = entry.schedule.startswith("anacron ")
        enabled, why_not = self._daemon(anacron=anacron)
        gap = _anacron_gap(entry.schedule[8:]) if anacron else cron_gap(entry.schedule)
        interval: timedelta | Unobserved = Unobserved(Reason.FORMAT, entry.place, Text("无法理解的定时设置", "a schedule that is not understood"))
        if gap is not None:
            interval = gap
        program = self.look.fact(_OfTable(entry.command, tuple(entry.settings.items())))
        doubt = _untold(entry.place)
        kind = "anacron" if anacron else "cron"
        job = Job(entry.place, kind, entry.user, enabled, why_not, interval, program.lines, program.opaque, None, None, doubt, doubt)
        return Plan(job, program, None)

    def _periodic(self, tables: list[_Entry]) -> Iterator[Plan | Unobserved]:
        """Scripts in /etc/cron.daily and its like; they run when a table names their directory."""
        for period, interval in PERIODS.items():
            directory = f"/etc/cron.{period}"
            names = entries(self.look, directory)
            if isinstance(names, Unobserved):
                yield names
                continue
            called = any(directory in _folders(entry.command) or "/run-crons" in entry.command for entry in tables)  # SUSE's run-crons knows all of them
            for name in names:
                path = f"{directory}/{name}"
                if self.look.source(path).status is Status.ABSENT or name.startswith("."):
                    continue
                enabled, why_not = self._daemon(anacron=True)
                if not called:
                    enabled, why_not = False, Text(f"没有任务调用 {directory}", f"nothing calls {directory}")
                elif not self.modes.get(path, 0o100) & 0o100:
                    enabled, why_not = False, Text("文件没有执行权限", "the file is not executable")
                elif isinstance(skipped := _skipped(self.look, name), Unobserved):
                    enabled, why_not = skipped, Text("不知道 run-parts 是否跳过带点的文件名", "whether run-parts skips a name with a dot in it is not known")
                elif skipped:
                    enabled, why_not = False, Text("run-parts 跳过带点的文件名", "run-parts skips a name with a dot in it")
                program = self.look.fact(_OfScript(path))
                doubt = _untold(path)
                job = Job(path, "periodic", "root", enabled, why_not, interval, program.lines, program.opaque, None, None, doubt, doubt)
                yield Plan(job, program, None)


# --- how it went


def _as_it_went(look: Look, plan: Plan, left: dict[str, Left], moments: dict[str, tuple[datetime | None, datetime | None]]) -> Job:
    job, service = plan.job, plan.service
    if service is not None:
        exited, _ = moments.get(service.id, (None, None))
        if exited is not None:
            job = replace(job, ran=exited, status=service.status)
        if service.result != "success":
            return replace(job, failed=True)
        if exited is not None and service.active != "failed":
            return replace(job, succeeded=exited, failed=False)
        # Nothing since boot: what earlier runs left behind decides.
    told = _traces(look, plan.program, left)
    return job if told is None else replace(job, succeeded=told[0], failed=told[1])


def _traces(look: Look, program: _Program, left: dict[str, Left]) -> tuple[datetime | Unobserved, bool] | None:
    """Last success and failure by what the job leaves behind; None when it left nothing that tells."""
    for path in program.markers:
        if path in left and not left[path].directory:
            return left[path].changed, False
    for path in program.logs:
        said = look.text(LOG + path)
        log = left.get(path)
        if isinstance(said, str) and log is not None and log.size:
            if said.endswith("last=success"):
                return log.changed, False
            if said.endswith("last=failure"):
                return Unobserved(Reason.NO_DATA, path, Text("日志的末尾是失败", "its log ends with a failure")), True
    return None


def _untold(place: str) -> Unobserved:
    return Unobserved(Reason.NO_DATA, place, Text("没有成功标记，也没有能看出结果的日志", "it leaves no marker of success and no log that tells its result"))


def _family(look: Look, system: os_release.OsRelease | Unobserved) -> str | None:
    if isinstance(system, Unobserved):
        return None
    names = (system.id, *system.like)
    return next((one.family for name in names for one in look.reference.platforms if one.match_id == name), None)


def _anacron_gap(period: str) -> timedelta | None:
    if period.isdigit():
        return timedelta(days=int(period[:3])) if int(period[:3]) else None
    return {"@daily": timedelta(days=1), "@weekly": timedelta(days=7), "@monthly": timedelta(days=31)}.get(period)


def _joined(lines: list[str] | tuple[str, ...]) -> list[str]:
    """Lines that end in a backslash go on in the next one."""
    made: list[str] = []
    open_ = ""
    for line in lines[:MAX_LINES]:
        if line.endswith("\\"):
            open_ += line[:-1].rstrip() + " "
        else:
            made.append((open_ + line).strip())
            open_ = ""
    return [*made, open_.strip()] if open_ else made


_ASSIGNMENT = re.compile(r"(?:export |declare |readonly |local )?([A-Za-z_][A-Za-z0-9_]{0,100})=([^ ;|&]{0,1000})")


def _assignment(line: str) -> tuple[str, str] | None:
    found = _ASSIGNMENT.fullmatch(line.strip())
    return (found[1], found[2]) if found else None


def _assignments(lines: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for line in lines:
        for word in line.split(" ; "):
            pair = _assignment(word)
            if pair is not None:
                yield pair


_VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]{0,100})\}?")


def _filled(line: str, settings: dict[str, str]) -> str:
    """Known variables filled in, once: values are never looked through again."""
    return _VARIABLE.sub(lambda found: settings.get(found[1], found[0])[:1000], line)[:8000] if "$" in line else line[:8000]


_SEPARATOR = re.compile(r" (?:;|&&|\|\||\||then|do|else|[{}]|!) ")
_PREFIXES = frozenset(
    {"sudo", "nice", "ionice", "chronic", "exec", "env", "time", "timeout", "flock", "systemd-run", "systemd-cat", "runuser", "su", "if", "!", "--", "test"}
)


def segments(line: str) -> list[str]:
    """The single commands of a line."""
    return [part.strip() for part in _SEPARATOR.split(f" {line} ") if part.strip()]


def _programs(line: str) -> Iterator[str]:
    """Paths that a line runs: the first word of a command, also behind sudo, sh and the like."""
    for part in segments(line):
        for number, word in enumerate(part.split(" ")[:12]):
            if word.startswith("/"):
                yield word
                if number and not part.split(" ")[0].endswith("sh") and part.split(" ")[0] not in _PREFIXES:
                    break
                if not word.startswith(("/bin/", "/usr/bin/")):
                    break
            elif word in ("bash", "sh", "python3", "perl") or word in _PREFIXES or word.startswith("-") or "=" in word or word == "***":
                continue
            else:
                break


def _markers(lines: tuple[str, ...]) -> Iterator[str]:
    """Files written only after success: behind `&&`, or under `set -e`."""
    strict = False
    for line in lines:
        if re.match(r"set -[a-z]*e|set -o errexit|#!\S+ -[a-z]*e", line):
            strict = True
        for number, part in enumerate(re.split(r" (?:&&|then) ", line)):
            first = segments(part)[:1] if number else []
            for one in segments(line) if strict and not number else first:
                found = re.match(r"touch (?:-\S+ )*(/\S+)$|(?:date|echo)\b[^>]*>{1,2} ?(/\S+)$", one)
                if found is not None:
                    yield found[1] or found[2]


def _logs(lines: tuple[str, ...]) -> Iterator[str]:
    for line in lines:
        for found in re.finditer(r"(?:[12]?>>?|--log-file=|--log-file |tee (?:-a )?) ?(/[A-Za-z0-9_./@+-]+)", line):
            if not found[1].startswith(("/dev/", "/proc/")):
                yield found[1]
