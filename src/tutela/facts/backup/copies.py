"""What backups protect: the copies of each data set, how old they are and where they end up."""

from __future__ import annotations

import re
from datetime import date, timedelta
from fnmatch import fnmatchcase

from tutela.evidence import Reason, Unobserved
from tutela.facts.backup.destination import Destinations
from tutela.facts.backup.model import Backup, Copy, Protected
from tutela.facts.mounts import under
from tutela.language import Text
from tutela.site import DataSet

YEAR = 365
DIRECTORIES = {
    "mysql": ("/var/lib/mysql", "/var/lib/mariadb"),
    "postgresql": ("/var/lib/postgresql", "/var/lib/pgsql"),
    "mongodb": ("/var/lib/mongodb", "/var/lib/mongo"),
}
"""Where database engines keep their data."""


class Copies:
    """What all backups of a host hold together."""

    def __init__(self, backups: tuple[Backup | Unobserved, ...], destinations: Destinations, today: date) -> None:
        self.backups = backups
        self.destinations = destinations
        self.today = today

    def of(self, data: DataSet | None) -> Protected:
        """A data set and the copies of it; None: all that is saved."""
        copies: list[Copy | Unobserved] = []
        for one in self.backups:
            if isinstance(one, Unobserved):
                copies.append(one)
                continue
            if one.enabled is False:
                continue
            held = True if data is None else self.holds(one, data.path)
            if isinstance(held, Unobserved):
                copies.append(held)
            elif isinstance(one.enabled, Unobserved):
                copies.append(one.enabled)
            elif held:
                copies.append(self.copy(one, data))
        if data is not None and data.backup_by:
            copies.append(
                Unobserved(Reason.NO_ANSWER, data.backup_by, Text("由主机之外的备份保护，没有接口可查", "saved from outside the host, and no interface to ask"))
            )
        drills = sorted((self.today - one.on).days for one in (data.drills if data else ()) if one.intact and one.on <= self.today)
        return Protected(data.path if data else "-", tuple(copies), drills[0] if drills else None, sum(1 for days in drills if days <= YEAR))

    def copy(self, one: Backup | Unobserved, data: DataSet | None) -> Copy | Unobserved:
        """One backup as a copy of a data set."""
        if isinstance(one, Unobserved):
            return one
        in_rpo: bool | Unobserved = True
        if data is not None and data.rpo_hours is not None:
            in_rpo = one.age if isinstance(one.age, Unobserved) else one.age <= timedelta(hours=data.rpo_hours)
        destination = self._carried(one)
        off_host: bool | Unobserved = destination if isinstance(destination, Unobserved) else destination != "same-host"
        second: bool | Unobserved
        if off_host is not True:
            second = off_host
        elif destination == "cloud" or one.append_only or (data is not None and (data.off_site or data.immutable)):
            second = True
        elif data is None:
            second = Unobserved(
                Reason.NOT_LODGED, "T-10", Text("备份计划没有登记异地或不可改的副本", "no backup plan says whether a copy is off-site or immutable")
            )
        else:
            second = False
        return Copy(one.job, one.tool, one.periods, one.failed, in_rpo, off_host, second)

    def _carried(self, one: Backup) -> str | Unobserved:
        """Where a backup ends up: a dump on this host that another job takes elsewhere is elsewhere."""
        if one.destination != "same-host" or not one.target.startswith("/") or one.kind == "snapshot":
            return one.destination
        doubt: Unobserved | None = None
        for other in self.backups:
            if isinstance(other, Unobserved) or other is one or other.enabled is not True or other.destination == "same-host":
                continue
            held = self.holds(other, one.target)
            if held is True:
                return other.destination
            if isinstance(held, Unobserved) and other.kind == "agent":
                doubt = held
        return doubt or one.destination

    def holds(self, one: Backup, path: str) -> bool | Unobserved:
        """Whether a backup holds what lies at a path."""
        if one.kind == "database":
            directories = DIRECTORIES.get(one.engine or "", ())
            if path == f"{one.engine}:" or any(under(path, directory) for directory in directories):
                return one.whole
            return path.startswith(f"{one.engine}:") and one.whole
        if isinstance(one.sources, Unobserved):
            return one.sources
        for source in one.sources:
            if not source.startswith("/") or not under(path, source) or any(_leaves_out(pattern, source, path) for pattern in one.excluded):
                continue
            if one.one_file_system and self.destinations.unknown_mounts is not None:
                return self.destinations.unknown_mounts
            mounted = self.destinations.mounted
            if one.one_file_system and mounted is not None and mounted.of(path) != mounted.of(source):
                continue
            return True
        if any("$" in source for source in one.sources):
            return Unobserved(Reason.NO_DATA, one.job, Text("变量的值不可见", "the value of a variable is not visible"))
        return False


def _leaves_out(pattern: str, source: str, path: str) -> bool:
    """Whether an exclusion leaves out what lies at a path below a source."""
    name = re.sub(r"(?:/+\**)+$", "", pattern)  # all that is below a folder is the folder's content
    if name.startswith("/") or not name:
        return under(path, name or "/")
    below = path.removeprefix(source.rstrip("/")).strip("/")
    return f"/{name}/" in f"/{below}/" if "/" in name else any(fnmatchcase(part, name) for part in below.split("/"))
