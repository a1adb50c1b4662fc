"""A record is the same whether its `__init__` was compiled yet or not."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from dataclasses import asdict, is_dataclass
from dataclasses import fields as dataclass_fields
from dataclasses import replace as dataclass_replace

import pytest

from tutela.record import FEW, field, fields, record, replace


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


def test_records_are_dataclasses_to_whoever_asks() -> None:
    made = fresh()(1, [2])

    assert is_dataclass(made)
    assert [one.name for one in dataclass_fields(made)] == [one.name for one in fields(made)] == ["one", "two"]
    assert dataclass_replace(made, one=3) == replace(made, one=3) == type(made)(3, [2])
    assert asdict(made) == {"one": 1, "two": [2]}


def test_what_takes_long_to_import_is_not() -> None:
    said = subprocess.run([sys.executable, "-c", "import sys, tutela.record; print(*sys.modules)"], capture_output=True, text=True, check=True).stdout

    assert not {"dataclasses", "inspect"} & set(said.split())


@record
class Nested:
    one: int
    others: tuple[object, ...] = ()


@record
class Alone:
    one: object


def test_a_record_is_copied_and_pickled_with_all_that_is_in_it() -> None:
    made = Nested(1, (Nested(2), Alone(Alone(None)), Alone(())))

    assert pickle.loads(pickle.dumps(made)) == copy.deepcopy(made) == copy.copy(made) == made
