"""A check and its parts, as loaded."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from tutela.evidence import Reason
from tutela.language import Text
from tutela.record import field, record

Scalar = str | int | float | bool | None


class Severity(StrEnum):
    """How bad a failure is (catalogue H.0.4)."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"

    @property
    def rank(self) -> int:
        """4 for critical … 0 for info."""
        return 4 - list(Severity).index(self)


class Vantage(StrEnum):
    """From where a check can be decided."""

    HOST = "host"
    CENTRE = "centre"
    RECEIVER = "receiver"
    RECORD = "record"
    """Registers and records of the centre."""


class Outcome(StrEnum):
    """The result words, XCCDF's."""

    PASS = "pass"
    FAIL = "fail"
    NOTAPPLICABLE = "notapplicable"
    UNKNOWN = "unknown"


@record
class Value:
    """What a predicate compares with: a literal, a parameter or another path."""

    literal: Scalar | tuple[Scalar, ...] = None
    param: str | None = None
    path: str | None = None


@record
class Leaf:
    """The value at `path` against one predicate."""

    path: str
    predicate: str
    value: Value


@record
class Items:
    """`no` or `some` items of the list at `path` match `where`."""

    quantifier: str
    path: str
    where: Condition | None
    show: tuple[str, ...] = ()


@record
class Group:
    """`all`, `any` or `not` of conditions; never empty."""

    kind: str
    parts: tuple[Condition, ...]


@record
class Result:
    """Another check has one of these results."""

    check: str
    results: tuple[Outcome, ...]


Condition = Leaf | Items | Group | Result


@record
class Expectation:
    """A condition that must hold, and what it is called in a report."""

    condition: Condition
    label: Text


@record
class Rule:
    """A condition with its consequence."""

    condition: Condition
    text: Text | None = None
    code: Reason | None = None
    severity: Severity | None = None


@record
class Param:
    """A typed number or list that profiles and sites may set."""

    type: str
    """integer | number | text | boolean | texts"""
    default: Scalar | tuple[Scalar, ...]
    derived: str | None = None
    """Key in the registry of derived defaults, when the number is not in the sources."""
    stricter: str | None = None
    """`higher` or `lower`: which value wins where two profiles bind a host."""


@record
class Check:
    """One machine check."""

    id: str
    catalogue: str | None
    subject: str
    clauses: tuple[str, ...]
    severity: Severity
    title: Text
    why: Text
    remedy: Text
    expect: tuple[Expectation, ...]
    vantage: Vantage = Vantage.HOST
    never_collect: tuple[str, ...] = ()
    incident: bool = False
    """A failure may mean that somebody broke in: it stands before others of its severity, since mending them first destroys traces."""
    params: Mapping[str, Param] = field(default_factory=dict)
    not_applicable: tuple[Rule, ...] = ()
    unknown: tuple[Rule, ...] = ()
    severity_rules: tuple[Rule, ...] = ()
    notes: tuple[Rule, ...] = ()
    facts: tuple[str, ...] = ()
    """Facts that the conditions mention."""
    checks: tuple[str, ...] = ()
    """Other checks that the conditions mention."""
    file: str = ""
