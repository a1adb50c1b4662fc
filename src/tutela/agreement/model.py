"""An agreement and its parts, as loaded."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from tutela.checks import Severity
from tutela.language import Text
from tutela.record import field, record


class Party(StrEnum):
    """Whose duty a clause is."""

    PROVIDER = "provider"
    OWNER = "owner"
    THIRD_PARTY = "third_party"
    BOTH = "both"
    ALL = "all"


class Implementation(StrEnum):
    """How a clause is decided."""

    AUTOMATIC = "automatic"
    MEASURED = "measured"
    ATTESTED = "attested"
    REFERENCE = "reference"
    NOT_YET = "not yet"


@record
class Clause:
    """One demand of an agreement."""

    id: str
    section: Text
    party: Party
    kind: tuple[str, ...]
    title: Text
    demand: Text
    implementation: Implementation
    severity: Severity
    checks: tuple[str, ...] = ()
    """Check ids or catalogue numbers."""
    recommended: bool = False
    evidence: tuple[str, ...] = ()
    clocks: tuple[str, ...] = ()
    kpis: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    derived: tuple[str, ...] = ()
    attestation: Mapping[str, Any] | None = None
    controls: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@record
class Agreement:
    """One edition of an agreement."""

    id: str
    edition: str
    title: Text
    parties: Mapping[str, Text]
    clauses: tuple[Clause, ...]
    digest: str
    """Of the file's bytes: which words were judged."""


@record
class Profile:
    """Which agreements bind a host, with which parameters and severities."""

    id: str
    title: Text
    level: int
    """Level of multi-level protection that it stands for: 1 or 3."""
    agreements: tuple[tuple[str, str], ...]
    default: bool = False
    params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    severities: Mapping[str, Severity] = field(default_factory=dict)


@record
class Row:
    """One row of a table: a key figure, a clock, a conflict, a form."""

    id: str
    title: Text
    text: Text
    clauses: tuple[str, ...]
    values: Mapping[str, Any]


@record
class Table:
    """A table of the catalogue."""

    id: str
    title: Text
    rows: tuple[Row, ...]
