"""A record is the same whether its `__init__` was compiled yet or not."""

from __future__ import annotations

from dataclasses import field

import pytest

from tutela.record import FEW, record


def fresh() -> type:
    @record
    class Pair:
        one: int
        two: list[int] = field(default_factory=list)

    return Pair


@pytest.mark.parametrize("before", [0, FEW + 1], ids=["the first", "one of many"])
def test_an_instance_has_what_it_was_given_and_its_defaults(before: int) -> None:
    pair = fresh()
    made = [pair(number, [number]) for number in range(before)]

    assert [(one.one, one.two) for one in made] == [(number, [number]) for number in range(before)]
    assert pair(1, [2]) == pair(two=[2], one=1) == pair(1, two=[2])
    assert pair(1) == pair(1, [])
    assert pair(1).two is not pair(1).two


@pytest.mark.parametrize("before", [0, FEW + 1], ids=["the first", "one of many"])
@pytest.mark.parametrize(("values", "named"), [((), {}), ((1, [], 3), {}), ((1,), {"one": 1}), ((1,), {"three": 3}), ((1, []), {"two": []})])
def test_wrong_arguments_are_refused(before: int, values: tuple[object, ...], named: dict[str, object]) -> None:
    pair = fresh()
    for number in range(before):
        pair(number)

    with pytest.raises(TypeError):
        pair(*values, **named)


def test_what_is_made_cannot_be_changed() -> None:
    made = fresh()(1, [])

    with pytest.raises(AttributeError):
        made.one = 2
