"""Backups of a host, and what they protect."""

from __future__ import annotations

from datetime import timedelta

from tutela.evidence import Unobserved
from tutela.record import record


@record
class Backup:
    """Backup(job='site-backup.timer', tool='restic', kind='files', engine=None, sources=('/etc', '/srv'), destination='other-host', …)"""

    job: str
    tool: str
    kind: str
    """files | database | snapshot | agent"""
    engine: str | None
    """mysql | postgresql | mongodb | redis"""
    sources: tuple[str, ...] | Unobserved
    excluded: tuple[str, ...]
    one_file_system: bool
    whole: bool | Unobserved
    """A database tool saves all databases; always True for others."""
    destination: str | Unobserved
    """same-host | other-host | cloud"""
    target: str
    """Where it goes, as far as it may be said."""
    encrypted: bool | Unobserved
    append_only: bool
    enabled: bool | Unobserved
    periods: float | Unobserved
    """Age of the last success in lengths of the schedule's longest gap: up to 1 in the normal course."""
    age: timedelta | Unobserved
    failed: bool | Unobserved


@record
class Copy:
    """Copy(job='site-backup.timer', tool='restic', periods=0.4, failed=False, in_rpo=True, off_host=True, second=True)"""

    job: str
    tool: str
    periods: float | Unobserved
    failed: bool | Unobserved
    in_rpo: bool | Unobserved
    """Within the data set's RPO; True where none is declared."""
    off_host: bool | Unobserved
    """A copy lies on another machine, directly or because another job takes it there."""
    second: bool | Unobserved
    """A copy lies at another site, or cannot be changed from here."""


@record
class Protected:
    """Protected(path='/srv', copies=(Copy(…),), last_drill_days=40, drills_in_a_year=2)"""

    path: str
    """Of a data set; `-` stands for all that the host saves where no plan is lodged."""
    copies: tuple[Copy | Unobserved, ...]
    last_drill_days: int | None
    """Age of the last restore drill that brought everything back."""
    drills_in_a_year: int


@record
class Store:
    """Store(path='/var/backups/db', open_to_all=False)"""

    path: str
    open_to_all: bool | Unobserved


@record
class Engine:
    """Engine(name='mysql', dumped=True, copied=False)"""

    name: str
    dumped: bool | Unobserved
    """Whether an enabled job saves it through the engine."""
    copied: bool
    """Whether an enabled job copies its live data directory."""


@record
class Backups:
    """Backups(jobs=(Backup(…),), declared=True, unimportant=False, protected=(Protected(…),), …)"""

    jobs: tuple[Backup | Unobserved, ...]
    declared: bool
    """Whether a backup plan (T-10) is lodged for this host."""
    unimportant: bool
    """The plan says of every data set that it needs no backup."""
    protected: tuple[Protected, ...]
    """Important data sets."""
    due: tuple[Protected, ...]
    """What must be recent: the important data sets; without a plan each enabled job."""
    stores: tuple[Store | Unobserved, ...]
    """Repositories and dumps on this host."""
    sealed: bool | Unobserved
    """Whether whatever leaves the host leaves it encrypted; unknown with plain copies, whose protection only their target shows."""
    engines: tuple[Engine, ...] | Unobserved
    """Database engines that run here."""
