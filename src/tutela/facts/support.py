"""Whether the operating system still gets free security updates, at the moment of judgement.

Source: the end-of-life table `content/eol.yaml` (catalogue H.0.5); for systems that it does not know, what the site file says, or else SUPPORT_END of os-release(5).
"""

from __future__ import annotations

import json
import re
from datetime import date, timedelta

from tutela.evidence import Reason, Unobserved
from tutela.facts import os_release
from tutela.facts.look import Look
from tutela.facts.os_release import OsRelease
from tutela.facts.reference import System
from tutela.facts.unseen import unseen
from tutela.language import Text
from tutela.record import record

NEEDS = (*os_release.NEEDS, "pro status --format json")
WARN_DAYS = 180
"""Derived default eol.warn_days."""


@record
class Support:
    """Support(name='Debian 12', supported=True, ends=date(2028, 6, 30), phase='lts', ends_soon=False, preferred=False, by_extension=None)"""

    name: str
    supported: bool | Unobserved
    ends: date
    phase: str | None
    """regular | security | lts, by the table; declared: by the site file; vendor: by SUPPORT_END."""
    ends_soon: bool
    preferred: bool
    by_extension: str | None
    """The paid extension that is proven to be in force."""


def parse(look: Look) -> Support | Unobserved:
    """The fact; unknown for systems that the table does not know, never guessed."""
    system = look.fact(os_release.parse)
    if isinstance(system, Unobserved):
        return system
    today = look.today
    row = _row(look, system)
    if row is None:
        declared = _declared(look, system)
        ends = declared or system.support_end
        if ends is None:
            return Unobserved(
                Reason.NO_ANSWER,
                f"{system.id} {system.version}".strip(),
                Text(
                    "不在支持期限表中；请按厂商公告在站点文件的 os_support 中登记截止日",
                    "not in the end-of-life table; declare its last day, as the vendor says, in os_support of the site file",
                ),
            )
        by = "vendor" if declared is None else "declared"
        return Support(system.name, today <= ends, ends, by if today <= ends else None, _soon(today, ends), preferred=False, by_extension=None)
    supported: bool | Unobserved = today <= row.ends
    by_extension = None
    if not supported and row.paid is not None and today <= row.paid[1]:
        supported = _attached(look)
        by_extension = row.paid[0] if supported is True else None
    if supported is True and row.newest_minor_only:
        supported = _minor(system, row)
    return Support(
        name=row.name,
        supported=supported,
        ends=row.ends,
        phase=next((name for name, until in row.phases if today <= until), None),
        ends_soon=_soon(today, row.ends),
        preferred=row.preferred,
        by_extension=by_extension,
    )


def _soon(today: date, ends: date) -> bool:
    return today <= ends <= today + timedelta(days=WARN_DAYS)


def _declared(look: Look, system: OsRelease) -> date | None:
    """By either name, whatever the case; never for a system that the table knows."""
    names = (system.name.lower(), f"{system.id} {system.version}".strip().lower())
    return next((ends for name, ends in look.site.os_support.items() if name.lower() in names), None)


def _row(look: Look, system: OsRelease) -> System | None:
    """By the whole version, or by as much of its beginning as the table knows: `9` of `9.8`, `3.20` of `3.20.3`."""
    rows = {row.version: row for row in look.reference.systems if row.id == system.id}
    version = system.version
    while version not in rows and "." in version:
        version = version.rpartition(".")[0]
    return rows.get(version)


def _minor(system: OsRelease, row: System) -> bool | Unobserved:
    """Only the newest minor release gets fixes; which one that is may not be known here, but which ones are surely too old is."""
    if row.minor_at_least is not None and _number(system.version) < _number(row.minor_at_least):
        return False
    if row.minor_current is None:
        why = Text("表中没有最新小版本，无法判断", "the table does not say which minor release is the newest")
        return Unobserved(Reason.NO_ANSWER, row.name, why)
    return system.version == row.minor_current


def _number(version: str) -> tuple[int, ...]:
    """`9.10` -> (9, 10)"""
    return tuple(int(part) for part in version.split(".") if part.isdigit() and len(part) < 6)


def _attached(look: Look) -> bool | Unobserved:
    """Whether `pro status --format json` proves the extension: attached, its security updates switched on, and its contract still running."""
    doubt = unseen(look, "pro status --format json")
    if doubt is not None:
        return doubt
    text = look.text("pro status --format json")
    try:
        status = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return False
    if not isinstance(status, dict) or status.get("attached") is not True:
        return False
    expires = status.get("expires")
    if isinstance(expires, str) and re.match(r"\d{4}-\d\d-\d\d", expires) and expires[:10] < look.today.isoformat():
        return False
    services = status.get("services")
    return isinstance(services, list) and any(isinstance(one, dict) and one.get("name") == "esm-infra" and one.get("status") == "enabled" for one in services)
