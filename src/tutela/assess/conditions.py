"""Conditions over facts, in three values.

A condition is True, False or `Unobserved`: Kleene's strong logic, with the reason kept instead of a bare "unknown".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from tutela.checks.model import Condition, Group, Items, Leaf, Outcome, Result, Value
from tutela.evidence import Reason, Unobserved
from tutela.facts.look import attribute
from tutela.language import Text

Truth = bool | Unobserved
MAX_SHOWN = 50


class Scope:
    """Where paths lead: facts by name, `site`, `profile`, parameters, results of other checks."""

    def __init__(
        self,
        fact: Callable[[str, str], Any],
        others: Mapping[str, Any],
        params: Mapping[str, Any],
        result: Callable[[str], Outcome],
    ) -> None:
        self.fact = fact
        """Name of a fact, name of one of its attributes -> that attribute; without the second the whole fact."""
        self.others = others
        self.params = params
        self.result = result

    def at(self, path: str, item: Any = None) -> Any:
        """The value at a path; `Unobserved` as soon as anything on the way is."""
        if path.startswith("."):
            value, parts = item, path[1:].split(".")
        else:
            root, *parts = path.split(".")
            value = self.others[root] if root in self.others else self.fact(root, parts.pop(0) if parts else "")
        for part in parts:
            value = attribute(value, part)
        return value

    def value(self, value: Value, item: Any) -> Any:
        """What a predicate compares with."""
        if value.param is not None:
            return self.params[value.param]
        if value.path is not None:
            return self.at(value.path, item)
        return value.literal


def holds(condition: Condition, scope: Scope, item: Any = None) -> Truth:
    """Whether a condition holds."""
    if isinstance(condition, Leaf):
        seen = scope.at(condition.path, item)
        wanted = scope.value(condition.value, item)
        if isinstance(seen, Unobserved):
            return seen
        if isinstance(wanted, Unobserved):
            return wanted
        return PREDICATES[condition.predicate](seen, wanted)
    if isinstance(condition, Items):
        sure, unsure, first = matching(condition, scope, item)
        if first is not None and not sure and not unsure:
            return first
        if sure:
            return condition.quantifier == "some"
        if unsure:
            return first if first is not None else unsure[0][1]
        return condition.quantifier == "no"
    if isinstance(condition, Group):
        return _group(condition, scope, item)
    return _result(condition, scope)


def matching(condition: Items, scope: Scope, item: Any = None) -> tuple[list[Any], list[tuple[Any, Unobserved]], Unobserved | None]:
    """Items that surely match, items that might, and why the list itself was not seen whole."""
    items = scope.at(condition.path, item)
    if isinstance(items, Unobserved):
        return [], [], items
    if items is None:
        items = ()
    sure: list[Any] = []
    unsure: list[tuple[Any, Unobserved]] = []
    for each in items.values() if isinstance(items, Mapping) else items:
        if isinstance(each, Unobserved):
            # A hole in a list: something was there that could not be read.
            unsure.append((each, each))
            continue
        truth: Truth = True if condition.where is None else holds(condition.where, scope, each)
        if isinstance(truth, Unobserved):
            unsure.append((each, truth))
        elif truth:
            sure.append(each)
    return sure, unsure, None


def _group(condition: Group, scope: Scope, item: Any) -> Truth:
    if condition.kind == "not":
        truth = holds(condition.parts[0], scope, item)
        return truth if isinstance(truth, Unobserved) else not truth
    stop = condition.kind == "any"
    doubt: Unobserved | None = None
    for part in condition.parts:
        truth = holds(part, scope, item)
        if isinstance(truth, Unobserved):
            doubt = doubt or truth
        elif truth is stop:
            return stop
    return doubt if doubt is not None else not stop


def _result(condition: Result, scope: Scope) -> Truth:
    outcome = scope.result(condition.check)
    if outcome in condition.results:
        return True
    if outcome is Outcome.UNKNOWN:
        name = condition.check
        return Unobserved(Reason.NO_DATA, name, Text(f"检查 {name} 尚无结论", f"check {name} is undecided"))
    return False


def _is(seen: Any, state: str) -> bool:
    if state == "empty":
        return seen is None or len(seen) == 0
    if state == "not-empty":
        return seen is not None and len(seen) > 0
    if state == "true":
        return seen is True
    if state == "false":
        return seen is False
    return (seen is None) is (state == "absent")


def _contains_any(seen: Iterable[Any] | None, wanted: Sequence[Any]) -> bool:
    return seen is not None and any(one in wanted for one in seen)


# None is an established absence: it equals only None, contains nothing and reaches no bound.
PREDICATES: dict[str, Callable[[Any, Any], bool]] = {
    "is": _is,
    "equals": lambda seen, wanted: seen == wanted,
    "not_equals": lambda seen, wanted: seen != wanted,
    "in": lambda seen, wanted: wanted is not None and seen in wanted,
    "not_in": lambda seen, wanted: wanted is None or seen not in wanted,
    "at_least": lambda seen, wanted: seen is not None and seen >= wanted,
    "at_most": lambda seen, wanted: seen is not None and seen <= wanted,
    "contains": lambda seen, wanted: seen is not None and wanted in seen,
    "contains_any": _contains_any,
    "contains_all": lambda seen, wanted: seen is not None and all(one in seen for one in wanted),
    "within": lambda seen, wanted: seen is not None and wanted is not None and all(one in wanted for one in seen),
    "like": lambda seen, wanted: seen is not None and wanted is not None and fnmatchcase(str(seen), str(wanted)),
}
