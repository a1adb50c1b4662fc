"""Which backups this host makes, where they go, and what they protect.

Sources: the jobs of `schedules` (masked command lines), settings of backup tools, backup agents that run, the site's backup plan (form T-10).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from tutela.evidence import Reason, Unobserved
from tutela.facts import schedules, units
from tutela.facts.backup import destination
from tutela.facts.backup.command import Command, pipelines
from tutela.facts.backup.copies import DIRECTORIES, Copies
from tutela.facts.backup.destination import Destinations
from tutela.facts.backup.model import Backup, Backups, Engine, Protected
from tutela.facts.backup.stores import NEEDS as STORES
from tutela.facts.backup.stores import stores
from tutela.facts.backup.tools import LOOKS_LIKE_BACKUP, TOOLS, Around, Saved, saved
from tutela.facts.look import Look
from tutela.facts.schedules import Job, Schedules
from tutela.language import Text
from tutela.record import record

NEEDS = (*schedules.NEEDS, *destination.NEEDS, *STORES)
MAX_BACKUPS = 500

OF_THE_SYSTEM = frozenset({"/etc/cron.daily/dpkg"})
"""Jobs that come with the system and keep a copy of its own lists beside them; no backup of anybody's data."""
AGENTS = {
    "bacula-fd": "bacula",
    "bareos-fd": "bareos",
    "bareos-filedaemon": "bareos",
    "veeamservice": "veeam",
    "burp": "burp",
    "urbackupclientbackend": "urbackup",
    "acronis_mms": "acronis",
    "dsmcad": "tsm",
    "networker": "networker",
    "nxagent": "veeam",
}
"""Units of agents whose jobs a server elsewhere plans."""
ENGINES = {
    "mysql": ("mysql", "mysqld", "mariadb", "mariadb@", "mysql@"),
    "postgresql": ("postgresql", "postgresql@", "postgresql-"),
    "mongodb": ("mongod", "mongodb"),
}
"""Units of database engines."""


def parse(look: Look) -> Backups | Unobserved:
    """The fact."""
    plans = look.fact(schedules.parse)
    if isinstance(plans, Unobserved):
        return plans
    destinations = Destinations(look)
    jobs = (*_of_jobs(look, plans, destinations), *_of_agents(look))
    copies = Copies(jobs, destinations, look.today)
    sets = look.site.data_sets
    important = tuple(one for one in sets or () if one.important)
    enabled = [one for one in jobs if isinstance(one, Unobserved) or one.enabled is not False]
    protected = tuple(copies.of(one) for one in important)
    return Backups(
        jobs=jobs,
        declared=bool(sets),
        unimportant=bool(sets) and not important,
        protected=protected if sets else (copies.of(None),),
        due=protected if sets else tuple(Protected(_name(one), (copies.copy(one, None),), None, 0) for one in enabled),
        stores=tuple(stores(look, jobs, plans.left)),
        sealed=_sealed(jobs),
        engines=_engines(look, jobs, copies),
    )


def _name(one: Backup | Unobserved) -> str:
    return one.source if isinstance(one, Unobserved) else one.job


@record
class _Pipelines:
    """Pipelines in which a backup tool is run: a fact of its own for the lines of each job, since hosts share jobs and differ in when they ran."""

    lines: tuple[str, ...]

    def __call__(self, look: Look) -> tuple[tuple[Command, ...], ...]:
        del look
        return pipelines(self.lines, TOOLS)


def _saving(look: Look) -> tuple[int, ...]:
    """Places of the jobs that say something about backups, and of the holes."""
    plans = look.fact(schedules.planned)
    return (
        () if isinstance(plans, Unobserved) else tuple(place for place, plan in enumerate(plans.jobs) if isinstance(plan, Unobserved) or _saves(look, plan.job))
    )


def _saves(look: Look, job: Job) -> bool:
    return job.id not in OF_THE_SYSTEM and (bool(look.fact(_Pipelines(job.lines))) or _opaque(job) is not None)


def _opaque(job: Job) -> Unobserved | None:
    """A job that by its name may be a backup, though nothing in it is recognised."""
    if job.enabled is False:
        return None
    names = [job.id, *job.opaque]
    own = [line for line in job.lines[:1] if not line.startswith(schedules.PACKAGED)]
    if any(LOOKS_LIKE_BACKUP.search(name) for name in names) and (job.opaque or own):
        what = job.opaque[0] if job.opaque else job.id
        return Unobserved(Reason.FORMAT, what, Text("像是备份任务，但看不出用什么工具备份什么", "it looks like a backup, but not with which tool or of what"))
    return None


def _of_jobs(look: Look, plans: Schedules, destinations: Destinations) -> Iterator[Backup | Unobserved]:
    """Every backup of every job."""
    count = 0
    for place in look.fact(_saving):
        job = plans.jobs[place]
        if isinstance(job, Unobserved):
            yield job
            continue
        recognised = look.fact(_Pipelines(job.lines))
        if not recognised and (doubt := _opaque(job)) is not None:
            yield doubt
        around = Around(job.id, plans.settings, destinations.mounted)
        for pipeline in recognised:
            for command, one in saved(pipeline, around):
                count += 1
                if count <= MAX_BACKUPS:
                    yield _backup(look, job, command, one, destinations)


def _backup(look: Look, job: Job, command: Command, one: Saved, destinations: Destinations) -> Backup:
    age: timedelta | Unobserved = job.succeeded if isinstance(job.succeeded, Unobserved) else _age(look.now, job.succeeded)
    periods: float | Unobserved
    if isinstance(age, Unobserved):
        periods = age
    elif isinstance(job.interval, Unobserved):
        periods = job.interval
    else:
        periods = round(age / job.interval, 2) if job.interval else 0.0
    return Backup(
        job=job.id,
        tool=command.tool or "",
        kind=one.kind,
        engine=one.engine,
        sources=one.sources,
        excluded=one.excluded,
        one_file_system=one.one_file_system,
        whole=one.whole,
        destination=destinations.of(one.target, job.id),
        target=one.target,
        encrypted=one.encrypted,
        append_only=command.has("--append-only"),
        enabled=job.enabled,
        periods=periods,
        age=age,
        failed=job.failed,
    )


def _age(now: datetime, then: datetime) -> timedelta | Unobserved:
    age = now - then
    if age < timedelta(hours=-1):
        return Unobserved(Reason.CLOCK, "clock", Text("成功时间在未来，时钟不可信", "the last success lies in the future: the clock is not trustworthy"))
    return max(age, timedelta())


def _of_agents(look: Look) -> Iterator[Backup]:
    up = look.fact(units.up)
    if isinstance(up, Unobserved):
        return
    for stem, product in AGENTS.items():
        for unit in up.running(stem):
            hidden = Unobserved(
                Reason.NO_ANSWER, unit, Text("任务由备份服务器安排，主机上看不到", "a backup server elsewhere plans its jobs; they cannot be seen here")
            )
            yield Backup(unit, product, "agent", None, hidden, (), False, hidden, hidden, product, hidden, False, True, hidden, hidden, hidden)


def _sealed(jobs: tuple[Backup | Unobserved, ...]) -> bool | Unobserved:
    """Whether whatever leaves the host is encrypted."""
    for job in jobs:
        if isinstance(job, Unobserved):
            return job
        if job.enabled is False or job.destination == "same-host":
            continue
        if isinstance(job.destination, Unobserved) and job.encrypted is not True:
            return job.destination
        if isinstance(job.encrypted, Unobserved):
            return job.encrypted
        if not job.encrypted:
            return Unobserved(
                Reason.NO_VANTAGE,
                job.target,
                Text("明文副本在别处，那里的权限从本机看不到", "a plain copy lies elsewhere, and who may read it there cannot be seen from here"),
            )
    return True


def _engines(look: Look, jobs: tuple[Backup | Unobserved, ...], copies: Copies) -> tuple[Engine, ...] | Unobserved:
    """Database engines that run here and how they are saved."""
    up = look.fact(units.up)
    if isinstance(up, Unobserved):
        return up
    if not up.systemd:
        return Unobserved(Reason.NO_ANSWER, "systemctl", Text("不是 systemd，不知道运行着哪些数据库", "without systemd it is not known which databases run"))
    found = []
    for name, stems in ENGINES.items():
        running = up.running(*stems) or [one for one in up.by_id.values() if one.running and name == "postgresql" and one.id.startswith("postgresql-")]
        if not running:
            continue
        dumped: bool | Unobserved = False
        copied = False
        for job in jobs:
            if isinstance(job, Unobserved):
                dumped = job if dumped is False else dumped
            elif job.enabled is True and job.kind == "database" and job.engine == name:
                dumped = True
            elif job.enabled is True and job.kind == "agent":
                dumped = job.sources if dumped is False and isinstance(job.sources, Unobserved) else dumped
            elif job.enabled is True and job.kind == "files" and any(copies.holds(job, one) is True for one in DIRECTORIES[name]):
                copied = True
        found.append(Engine(name, dumped, copied))
    return tuple(found)
