"""Conditions in three values: what is unobserved never decides in anyone's favour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutela.assess.conditions import PREDICATES, Scope, holds
from tutela.assess.verdict import _seen
from tutela.checks.model import Condition, Group, Items, Leaf, Outcome, Result, Value
from tutela.checks.read import PREDICATES as READABLE
from tutela.evidence import Reason, Unobserved
from tutela.facts.look import attribute
from tutela.language import Text

UNSEEN = Unobserved(Reason.PRIVILEGE, "x", Text("权限不足", "not permitted"))


@dataclass(frozen=True)
class Item:
    name: str
    bad: bool | Unobserved


@dataclass(frozen=True)
class Fact:
    zero: int = 0
    nothing: None = None
    empty: tuple[Item, ...] = ()
    good: tuple[Item, ...] = (Item("a", False),)
    mixed: tuple[Item, ...] = (Item("a", False), Item("b", True))
    unsure: tuple[Item, ...] = (Item("a", False), Item("b", UNSEEN))
    sure_and_unsure: tuple[Item, ...] = (Item("a", UNSEEN), Item("b", True))
    hole: tuple[Item | Unobserved, ...] = (Item("a", False), UNSEEN)
    words: tuple[str, ...] = ("x", "y")
    unseen: Unobserved = UNSEEN


SCOPE = Scope(lambda name, part: attribute({"fact": Fact(), "gone": UNSEEN}[name], part), {"profile": {"level": 1}}, {"limit": 3}, Outcome)
BAD = Leaf(".bad", "is", Value(literal="true"))


def leaf(path: str, predicate: str, value: Any) -> Leaf:
    return Leaf(path, predicate, Value(literal=value))


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        # 0, "" and None are different things
        (leaf("fact.zero", "equals", 0), True),
        (leaf("fact.zero", "at_most", 0), True),
        (leaf("fact.zero", "is", "absent"), False),
        (leaf("fact.zero", "is", "false"), False),
        (leaf("fact.nothing", "is", "absent"), True),
        (leaf("fact.nothing", "is", "empty"), True),
        (leaf("fact.nothing", "at_least", 0), False),
        (leaf("fact.nothing", "at_most", 9), False),
        (leaf("fact.nothing", "within", ("x",)), False),
        (leaf("fact.nothing", "not_in", ("x",)), True),
        (leaf("fact.nothing", "like", "*"), False),
        (leaf("fact.nothing.deeper", "is", "absent"), True),
        (leaf("fact.words", "within", ("x", "y", "z")), True),
        (leaf("fact.words", "within", ("x",)), False),
        (leaf("fact.words", "contains_all", ("x", "y")), True),
        (leaf("fact.words", "contains_any", ("z",)), False),
        (leaf("profile.level", "at_least", 3), False),
        (Leaf("fact.zero", "at_most", Value(param="limit")), True),
        (Leaf("fact.zero", "equals", Value(path="fact.zero")), True),
        # quantifiers
        (Items("no", "fact.empty", BAD), True),
        (Items("some", "fact.empty", BAD), False),
        (Items("no", "fact.good", BAD), True),
        (Items("no", "fact.mixed", BAD), False),
        (Items("some", "fact.mixed", BAD), True),
        (Items("no", "fact.good", None), False),
        (Items("no", "fact.sure_and_unsure", BAD), False),
        (Items("some", "fact.sure_and_unsure", BAD), True),
        (Result("pass", (Outcome.PASS,)), True),
        (Result("fail", (Outcome.PASS,)), False),
        (Result("notapplicable", (Outcome.PASS, Outcome.NOTAPPLICABLE)), True),
    ],
)
def test_a_condition_on_what_was_seen_is_true_or_false(condition: Condition, expected: bool) -> None:
    assert holds(condition, SCOPE) is expected


@pytest.mark.parametrize(
    "condition",
    [
        leaf("gone.anything", "is", "absent"),
        leaf("gone.anything", "is", "empty"),
        leaf("fact.unseen", "not_equals", 1),
        leaf("fact.unseen", "not_in", (1,)),
        Leaf("fact.zero", "equals", Value(path="fact.unseen")),
        Items("no", "fact.unsure", BAD),
        Items("some", "fact.unsure", BAD),
        Items("no", "fact.hole", BAD),
        Items("no", "gone.list", BAD),
        Items("some", "gone.list", None),
        Group("not", (leaf("fact.unseen", "equals", 1),)),
        Result("unknown", (Outcome.PASS,)),
    ],
)
def test_a_condition_on_what_was_not_seen_is_neither(condition: Condition) -> None:
    assert isinstance(holds(condition, SCOPE), Unobserved)


CONSTANTS = {True: leaf("fact.zero", "equals", 0), False: leaf("fact.zero", "equals", 1), None: leaf("fact.unseen", "equals", 0)}


@given(st.sampled_from(["all", "any"]), st.lists(st.sampled_from([True, False, None]), min_size=1, max_size=5))
def test_all_and_any_follow_kleene(kind: str, values: list[bool | None]) -> None:
    truth = holds(Group(kind, tuple(CONSTANTS[value] for value in values)), SCOPE)

    stop = kind == "any"
    expected = stop if stop in values else None if None in values else not stop
    assert (None if isinstance(truth, Unobserved) else truth) is expected


def test_every_predicate_that_can_be_written_can_be_judged() -> None:
    assert set(READABLE) == set(PREDICATES)


def test_of_a_joint_condition_each_value_stands_where_what_is_wanted_of_it_stands() -> None:
    daemon, scan, other = leaf("fact.nothing", "is", "true"), leaf("fact.nothing", "at_most", 7), leaf("fact.nothing", "is", "true")
    mixed = Group("any", (Group("all", (Group("any", (daemon, scan)), leaf("fact.zero", "at_least", 1))), other))
    alike = Group("any", (daemon, other))

    assert _seen(mixed, SCOPE, False) == (("-", "-", "0", "-"), "true or ≤ 7 and ≥ 1 or true")
    assert _seen(alike, SCOPE, False) == (("-",), "true")
