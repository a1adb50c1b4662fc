"""Reference data that facts compare with: end-of-life dates and platforms. Shipped as data, read by `tutela.library`."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from tutela.record import field, record


@record
class System:
    """One row of the end-of-life table (catalogue H.0.5)."""

    id: str
    """ID of os-release(5)."""
    version: str
    name: str
    ends: datetime.date
    """Last day of free security support."""
    phases: tuple[tuple[str, datetime.date], ...] = ()
    """Named phases with their last days, first to last."""
    preferred: bool = False
    """Named by LB-1.2."""
    newest_minor_only: bool = False
    minor_current: str | None = None
    minor_at_least: str | None = None
    """Older minor releases receive no fixes any more; whether this one is the newest is not said."""
    paid: tuple[str, datetime.date] | None = None
    """Name and end of a paid extension, which passes only with proof."""
    approximate: bool = False


@record
class Platform:
    """A distribution as data."""

    id: str
    match_id: str
    match_version: str
    family: str
    package_manager: str
    proven: str
    """real | constructed | not-yet"""
    units: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pam: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    service_accounts_with_shell: tuple[str, ...] = ()
    admin_groups: tuple[str, ...] = ()


@record
class Reference:
    """All reference data of one edition of the content."""

    systems: tuple[System, ...] = ()
    platforms: tuple[Platform, ...] = ()

    @classmethod
    def from_data(cls, eol: Mapping[str, Any], platforms: list[Mapping[str, Any]]) -> Reference:
        """From the plain data of eol.yaml and platforms/*.yaml."""
        return cls(tuple(_system(row) for row in eol.get("systems", ())), tuple(_platform(row) for row in platforms))


def _date(value: Any) -> datetime.date:
    return value if isinstance(value, datetime.date) else datetime.date.fromisoformat(value)


def _system(row: Mapping[str, Any]) -> System:
    paid = row.get("paid_extension")
    return System(
        id=row["id"],
        version=str(row["version"]),
        name=row["name"],
        ends=_date(row["ends"]),
        phases=tuple((phase["name"], _date(phase["until"])) for phase in row.get("phases", ())),
        preferred=row.get("preferred", False),
        newest_minor_only=row.get("newest_minor_only", False),
        minor_current=row.get("minor_current"),
        minor_at_least=row.get("minor_at_least"),
        paid=(paid["name"], _date(paid["until"])) if paid else None,
        approximate=row.get("approximate", False),
    )


def _platform(row: Mapping[str, Any]) -> Platform:
    return Platform(
        id=row["id"],
        match_id=row["match"]["id"],
        match_version=str(row["match"]["version"]),
        family=row["family"],
        package_manager=row["package_manager"],
        proven=row["proven"],
        units={key: tuple(value) for key, value in row.get("units", {}).items()},
        pam={key: tuple(value) for key, value in row.get("pam", {}).items()},
        service_accounts_with_shell=tuple(row.get("service_accounts_with_shell", ())),
        admin_groups=tuple(row.get("admin_groups", ())),
    )
