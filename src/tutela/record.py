"""Frozen, slotted records that cost nothing until they are used.

`@record` gives a class what `@dataclass(frozen=True, slots=True)` gives it, and `dataclasses.fields` and `replace` work on it.
The difference is when: dataclass compiles six methods for each class at import, a millisecond apiece, and a check of one host would spend longer on that than on looking at the host.
Here `__init__` is compiled once there are more than a few instances, since for most classes there never are, and the other methods are shared.
For the same reason `dataclasses` itself is not imported: it brings half of what Python knows about its own source.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")

FEW = 10
"""Compiling takes as long as making so many instances without it."""
MISSING: Any = object()


class Field:
    """One attribute, in the form in which `dataclasses` keeps it."""

    init = True

    def __init__(self, default: Any, default_factory: Any, *, repr: bool, compare: bool) -> None:  # noqa: A002 - its words
        self.name = ""
        self.type = ""
        self.default, self.default_factory, self.repr, self.compare = default, default_factory, repr, compare

    @property
    def _field_type(self) -> Any:
        """What `dataclasses.fields` knows an attribute by."""
        import dataclasses  # noqa: PLC0415 - whoever asks has imported it already

        return dataclasses._FIELD  # type: ignore[attr-defined]  # noqa: SLF001


def field(*, default: Any = MISSING, default_factory: Any = MISSING, repr: bool = True, compare: bool = True) -> Any:  # noqa: A002 - its words
    """An attribute with more to say than its type, as `dataclasses.field` has it."""
    return Field(default, default_factory, repr=repr, compare=compare)


def fields(one: Any) -> tuple[Field, ...]:
    """The attributes of a record or its class."""
    return tuple(one.__dataclass_fields__.values())


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[T]) -> type[T]:
    """The class as a frozen record of its annotated attributes."""
    made: dict[str, Field] = {}
    for name, kind in cls.__dict__.get("__annotations__", {}).items():  # noqa: RUF063 - as they stand, without evaluating them
        given = cls.__dict__.get(name, MISSING)
        one: Field = given if isinstance(given, Field) else field(default=given)
        one.name, one.type = name, kind
        made[name] = one
    names = tuple(made)
    body = {key: value for key, value in cls.__dict__.items() if key not in made and key not in ("__dict__", "__weakref__")}
    body |= {
        "__slots__": names,
        "__match_args__": names,
        "__dataclass_fields__": made,
        "__qualname__": cls.__qualname__,
        "__setattr__": _refuse,
        "__delattr__": _refuse,
        "__reduce__": _reduce,
    }
    for key, shared in (("__repr__", _repr), ("__eq__", _eq), ("__hash__", _hash)):
        if key not in cls.__dict__ or cls.__dict__[key] is None:
            body[key] = shared
    new: Any = type(cls.__name__, cls.__bases__, body)

    left = FEW

    def first(self: Any, *values: Any, **named: Any) -> None:
        nonlocal left
        left -= 1
        given = dict(zip(names, values, strict=False)) | named
        if left >= 0 and given.keys() == made.keys() and len(values) + len(named) == len(names):
            for name, value in given.items():
                object.__setattr__(self, name, value)
            return
        new.__init__ = _compiled(new, made)
        new.__init__(self, *values, **named)

    new.__init__ = first
    return new  # type: ignore[no-any-return]


def _compiled(cls: Any, made: dict[str, Field]) -> Callable[..., None]:
    """`def __init__(self, a, b=default): set_a(self, a); …`, each by its slot."""
    scope: dict[str, Any] = {"MISSING": MISSING}
    arguments, lines = [], []
    for name, one in made.items():
        scope[f"set_{name}"] = cls.__dict__[name].__set__
        if one.default_factory is not MISSING:
            scope[f"make_{name}"] = one.default_factory
            arguments.append(f"{name}=MISSING")
            lines.append(f" set_{name}(self, make_{name}() if {name} is MISSING else {name})")
        else:
            if one.default is not MISSING:
                scope[f"default_{name}"] = one.default
                arguments.append(f"{name}=default_{name}")
            else:
                arguments.append(name)
            lines.append(f" set_{name}(self, {name})")
    source = f"def __init__(self, {', '.join(arguments)}):\n" + ("\n".join(lines) or " pass")
    exec(compile(source, f"<record {cls.__qualname__}>", "exec"), scope)  # noqa: S102 - the names are identifiers of our own classes, as in dataclasses
    init: Callable[..., None] = scope["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    init.__module__ = cls.__module__
    return init


def replace(one: T, /, **changes: Any) -> T:
    """A record with some attributes changed, as `dataclasses.replace` makes it, in a third of the time."""
    cls: Any = one.__class__
    return cls(**dict(zip(cls.__dataclass_fields__, _values(one), strict=True)) | changes)  # type: ignore[no-any-return]


_KEYS: dict[type, Callable[[Any], Any]] = {}


def _key(cls: Any) -> Callable[[Any], Any]:
    """What makes two records of a class equal: the fields that take part in comparison."""
    known = _KEYS.get(cls)
    if known is None:
        names = [name for name, one in cls.__dataclass_fields__.items() if one.compare]
        known = _KEYS[cls] = attrgetter(*names) if names else lambda _: ()
    return known


def _eq(self: Any, other: object) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    key = _key(self.__class__)
    return key(self) == key(other)


def _hash(self: Any) -> int:
    return hash((self.__class__, _key(self.__class__)(self)))


def _repr(self: Any) -> str:
    shown = ", ".join(f"{name}={getattr(self, name)!r}" for name, one in self.__dataclass_fields__.items() if one.repr)
    return f"{self.__class__.__qualname__}({shown})"


def _refuse(self: Any, name: str, *_: Any) -> None:
    from dataclasses import FrozenInstanceError  # noqa: PLC0415

    raise FrozenInstanceError(f"{self.__class__.__qualname__}.{name} cannot be changed")


_VALUES: dict[type, Callable[[Any], tuple[Any, ...]]] = {}


def _values(self: Any) -> tuple[Any, ...]:
    """All attributes, in order."""
    cls = self.__class__
    known = _VALUES.get(cls)
    if known is None:
        # Two names or more: of one alone attrgetter gives the value, not a tuple.
        names = tuple(cls.__dataclass_fields__)
        known = _VALUES[cls] = attrgetter(*names) if len(names) > 1 else lambda one: tuple([getattr(one, name) for name in names])
    return known(self)


def _reduce(self: Any) -> tuple[Any, tuple[Any, ...]]:
    """For pickle and copy: what to call, and with what. Keeping a state apart from that takes them three times as long."""
    return self.__class__, _values(self)
