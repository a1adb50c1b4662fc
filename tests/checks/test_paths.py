"""Every path that a shipped check names exists in the fact's type: a slip of the pen must not wait for a host to show it."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import pytest

from tests import scenes
from tutela.checks import Check
from tutela.checks.model import Condition, Group, Items, Leaf
from tutela.facts.registry import parser
from tutela.site import Site

CONTENT = scenes.content()


def members(kind: Any) -> list[Any]:
    """The alternatives of a union, without None."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return [part for part in typing.get_args(kind) if part is not type(None)]
    return [kind]


def step(kinds: list[Any], name: str) -> list[Any]:
    """Types of the attribute `name`, over all dataclasses among `kinds`."""
    found: list[Any] = []
    for kind in kinds:
        if is_dataclass(kind) and name in {field.name for field in fields(kind)}:
            found += members(typing.get_type_hints(kind)[name])
        elif isinstance(kind, type) and isinstance(getattr(kind, name, None), property):
            found += members(typing.get_type_hints(getattr(kind, name).fget)["return"])
        elif typing.get_origin(kind) in (dict, Mapping):
            found += members(typing.get_args(kind)[1])
    return found


def elements(kinds: list[Any]) -> list[Any]:
    """Types of the elements of the collections among `kinds`."""
    found: list[Any] = []
    for kind in kinds:
        arguments = [part for part in typing.get_args(kind) if part is not Ellipsis]
        if arguments:
            found += members(arguments[-1])
    return found


def types_at(path: str, item: list[Any]) -> list[Any]:
    if path.startswith("."):
        kinds, parts = item, path[1:].split(".")
    else:
        root, *parts = path.split(".")
        if root == "profile":
            return [int]
        kinds = [Site] if root == "site" else members(typing.get_type_hints(parser(root))["return"])
    for part in parts:
        kinds = step(kinds, part)
    return kinds


def lost(condition: Condition, item: list[Any]) -> Iterator[str]:
    if isinstance(condition, Leaf):
        for path in (condition.path, condition.value.path):
            if path is not None and not types_at(path, item):
                yield path
    elif isinstance(condition, Items):
        kinds = types_at(condition.path, item)
        inner = elements(kinds)
        if not inner:
            yield condition.path
        for name in condition.show:
            if not types_at("." + name, inner):
                yield f"{condition.path}[].{name}"
        if condition.where is not None:
            yield from lost(condition.where, inner)
    elif isinstance(condition, Group):
        for part in condition.parts:
            yield from lost(part, item)


@pytest.mark.parametrize("check", CONTENT.checks.values(), ids=lambda check: check.id)
def test_every_path_of_a_check_exists_in_its_fact(check: Check) -> None:
    conditions = [one.condition for one in check.expect]
    conditions += [rule.condition for rules in (check.not_applicable, check.unknown, check.severity_rules, check.notes) for rule in rules]

    assert [path for condition in conditions for path in lost(condition, [])] == []
