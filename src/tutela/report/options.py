"""What a caller may choose about a report, apart from its language."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta, timezone, tzinfo
from typing import TYPE_CHECKING

from tutela.record import field, record

if TYPE_CHECKING:
    from tutela.agreement.model import Table

CHINA = timezone(timedelta(hours=8), "UTC+8")


@record
class Options:
    """Choices that change how a report looks, never what it says."""

    colour: bool = False
    """Terminal colours in `text`; the caller knows whether it writes to a terminal."""
    width: int = 80
    """Columns of `text`."""
    details: bool = False
    """In `text`, nothing is folded, and the whole report of every subject stands behind a fleet's table; in `html`, a fleet's evidence is listed."""
    zone: tzinfo = CHINA
    """Zone of the times that people read; machines get UTC."""
    tables: Mapping[str, Table] = field(default_factory=dict)
    """Tables of the content: titles and values of derived defaults."""
    fail_on: str = "low"
    """Severity from which `nagios` says CRITICAL; below it a failure is a WARNING."""
