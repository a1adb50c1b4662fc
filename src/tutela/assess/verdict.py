"""One check on one look -> one verdict."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Any

from tutela.assess.conditions import MAX_SHOWN, Scope, Truth, holds, matching
from tutela.checks.model import Check, Condition, Group, Items, Leaf, Outcome, Result, Severity
from tutela.evidence import Reason, Unobserved
from tutela.language import Text
from tutela.record import fields, record

MAX_TEXT = 300


@record
class Observation:
    """One expectation of a check, and what was seen."""

    label: Text
    met: bool | None
    """None: could not be decided."""
    observed: tuple[str, ...]
    """Short plain values; never a secret, since facts hold none."""
    expected: str


@record
class Sight:
    """A source that a verdict rests on, as it was seen."""

    source: str
    status: str
    digest: str


@record
class Verdict:
    """The result of one check on one subject."""

    check: Check
    result: Outcome
    severity: Severity
    reason: Text | None
    """Why it is unknown or does not apply."""
    code: Reason | None
    """Reason code of an unknown."""
    observations: tuple[Observation, ...]
    notes: tuple[Text, ...]
    evidence: tuple[str, ...]
    """Names of the sources it rests on; `Assessment.sight` says what was seen there."""
    waived_by: str | None = None
    """Approver of the waiver in force, if any."""


def judge(check: Check, scope: Scope, evidence: tuple[str, ...], base: Severity) -> Verdict:
    """The verdict of `check`; exactly one of the four results.

    An excuse counts only when its condition is established. An undecided one leaves the expectations to decide,
    but for a failure: what may not apply at all, or may not be decided here, has not failed.
    """
    notes = tuple(rule.text for rule in check.notes if rule.text is not None and holds(rule.condition, scope) is True)
    excuses: list[Truth] = []
    for rule in check.not_applicable:
        excuses.append(holds(rule.condition, scope))
        if excuses[-1] is True:
            return Verdict(check, Outcome.NOTAPPLICABLE, base, rule.text, None, (), notes, evidence)
    for rule in check.unknown:
        excuses.append(holds(rule.condition, scope))
        if excuses[-1] is True:
            return Verdict(check, Outcome.UNKNOWN, _severity(check, scope, base), rule.text, rule.code, (), notes, evidence)
    truths = [holds(expectation.condition, scope) for expectation in check.expect]
    observations = tuple(
        Observation(expectation.label, None if isinstance(truth, Unobserved) else truth, *_seen(expectation.condition, scope, truth))
        for expectation, truth in zip(check.expect, truths, strict=True)
    )
    if any(truth is False for truth in truths):
        undecided = next((truth for truth in excuses if isinstance(truth, Unobserved)), None)
        if undecided is not None:
            reason = Text(f"{undecided.source}：{undecided.why.zh}", f"{undecided.source}: {undecided.why.en}")
            return Verdict(check, Outcome.UNKNOWN, _severity(check, scope, base), reason, undecided.code, observations, notes, evidence)
        return Verdict(check, Outcome.FAIL, _severity(check, scope, base), None, None, observations, notes, evidence)
    doubts = [truth for truth in truths if isinstance(truth, Unobserved)]
    if doubts:
        first = doubts[0]
        reason = Text(f"{first.source}：{first.why.zh}", f"{first.source}: {first.why.en}")
        return Verdict(check, Outcome.UNKNOWN, _severity(check, scope, base), reason, first.code, observations, notes, evidence)
    return Verdict(check, Outcome.PASS, base, None, None, observations, notes, evidence)


def _severity(check: Check, scope: Scope, base: Severity) -> Severity:
    """Severity of what is not shown to be kept: the first rule that is established, else the profile's."""
    for rule in check.severity_rules:
        if rule.severity is not None and holds(rule.condition, scope) is True:
            return rule.severity
    return base


def _seen(condition: Condition, scope: Scope, truth: Truth) -> tuple[tuple[str, ...], str]:
    """What was seen at a condition, and what was wanted, in short plain words."""
    if isinstance(condition, Leaf):
        wanted = scope.value(condition.value, None)
        word = str(condition.value.literal) if condition.predicate == "is" else f"{_SIGNS.get(condition.predicate, condition.predicate)} {shown(wanted)}"
        return (shown(scope.at(condition.path)),), word
    if isinstance(condition, Items):
        sure, unsure, _ = matching(condition, scope)
        picked = sure or [item for item, _ in unsure]
        lines = [_item(item, condition.show) for item in picked[:MAX_SHOWN]]
        if len(picked) > MAX_SHOWN:
            lines.append(f"… +{len(picked) - MAX_SHOWN}")
        return tuple(lines), "0" if condition.quantifier == "no" else ">= 1"
    if isinstance(condition, Group):
        parts = [_seen(part, scope, truth) for part in condition.parts]
        seen, wants = [line for lines, _ in parts for line in lines], [word for _, word in parts]
        if len(set(wants)) == 1:
            seen, wants = list(dict.fromkeys(seen)), wants[:1]
        # Else each value stands where what is wanted of it stands: "no, -, -, no" and "true or ≤ 7 and ≤ 7 or true".
        joint = {"all": " and ", "any": " or ", "not": ""}[condition.kind]
        words = joint.join(wants)
        return tuple(seen), f"not ({words})" if condition.kind == "not" else words
    if isinstance(condition, Result):
        return (f"{condition.check}: {scope.result(condition.check)}",), "/".join(condition.results)
    raise AssertionError(condition)


_SIGNS = {"equals": "=", "not_equals": "≠", "at_least": "≥", "at_most": "≤", "in": "∈", "not_in": "∉", "within": "⊆", "contains": "∋"}


def _item(item: Any, show: tuple[str, ...]) -> str:
    if isinstance(item, Unobserved) or not show:
        return shown(item)
    return " ".join(shown(_attribute(item, name)) for name in show)


def _attribute(item: Any, path: str) -> Any:
    for part in path.split("."):
        if item is None or isinstance(item, Unobserved):
            return item
        item = item.get(part) if isinstance(item, Mapping) else getattr(item, part)
    return item


def shown(value: Any) -> str:
    """A value in short plain text, control characters made visible."""
    if isinstance(value, Unobserved):
        words = f"? ({value.code} {value.source})"
    elif value is None:
        words = "-"
    elif isinstance(value, bool):
        words = "yes" if value else "no"
    elif isinstance(value, Enum):
        words = str(value.value)
    elif isinstance(value, datetime):
        words = value.strftime("%Y-%m-%d %H:%M")
    elif isinstance(value, date):
        words = value.isoformat()
    elif isinstance(value, timedelta):
        words = f"{value.total_seconds() / 86400:.1f} d" if abs(value) >= timedelta(days=2) else f"{int(value.total_seconds())} s"
    elif isinstance(value, Mapping):
        words = " ".join(f"{key}={shown(one)}" for key, one in value.items())
    elif isinstance(value, (list, tuple, set, frozenset)):
        parts = sorted(map(shown, value)) if isinstance(value, (set, frozenset)) else [shown(one) for one in value]
        words = ", ".join(parts[:MAX_SHOWN]) or "-"
    elif hasattr(value, "__dataclass_fields__"):
        words = " ".join(shown(getattr(value, field.name)) for field in fields(value))
    else:
        words = str(value)
    words = words if words.isprintable() else "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in words)
    return words if len(words) <= MAX_TEXT else words[: MAX_TEXT - 1] + "…"
