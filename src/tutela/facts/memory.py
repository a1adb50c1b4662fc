"""Facts of earlier bundles, remembered for judging many."""

from __future__ import annotations

import hashlib
import pickle
from typing import Any, cast

from tutela.facts.look import Known, Look, Parse, Read, Reads, attribute, begin_with


class _Fork:
    """A fact reads this next, and what it sees decides what comes then: another fork, or the fact."""

    __slots__ = ("branches", "read")

    def __init__(self, read: Read) -> None:
        self.read = read
        self.branches: dict[Any, _Fork | Known] = {}


class _Generation:
    """What was remembered in one stretch of time."""

    def __init__(self) -> None:
        self.facts: dict[Parse, _Fork | Known] = {}
        self.values: dict[tuple[Parse, bytes, frozenset[str]], Known] = {}
        self.sources: dict[frozenset[str], frozenset[str]] = {}
        """Equal sets of names are one object too."""
        self.readers: dict[Read, set[Read]] = {}
        """What is read -> the facts that read it on some host; a fact -> its parts that are read."""
        self.noted: dict[Parse, set[Read]] = {}
        """A fact -> what it reads on some host."""
        self.weight = 0

    def note(self, parse: Parse, reads: Reads) -> None:
        """Remember what a fact reads."""
        noted = self.noted.setdefault(parse, set())
        for read in reads.keys() - noted:
            noted.add(read)
            self.readers.setdefault(read, set()).add(parse)
            if isinstance(read, tuple):
                self.readers.setdefault(read[0], set()).add(read)
            self.weight += 100

    def add(self, parse: Parse, reads: Reads, known: Known) -> None:
        """Remember what a fact was after these reads."""
        self.weight += 100 * (1 + len(reads))
        place, key = cast("dict[Any, _Fork | Known]", self.facts), cast("Any", parse)
        for read, seen in reads.items():
            fork = place.get(key)
            if not isinstance(fork, _Fork) or fork.read != read:
                fork = place[key] = _Fork(read)
            place, key = fork.branches, seen
        place[key] = known


class Memory:
    """Facts of earlier bundles, for judging many: hosts of a fleet are mostly alike.

    A fact is a pure function of what it reads. Each fact's reads are kept as a tree: the first thing it reads, for each value of that
    what it reads next, and at the end the fact. A look that sees the same all the way gets the same fact.
    Facts read other facts; one that is made again and comes out equal is the same object as before, so nothing behind it is made again.

    One memory serves one edition of the content. What was not used for a while is forgotten: two generations are kept,
    what is found in the older moves to the younger, and when the younger has grown to `size` it becomes the older.
    """

    def __init__(self, size: int = 16 << 20) -> None:
        self.size = size
        """Bytes of one generation, about."""
        self.young, self.old = _Generation(), _Generation()
        self.names: dict[tuple[tuple[str, ...], str], tuple[str, ...]] = {}
        self.news: dict[Parse, tuple[int, int]] = {}
        """How often in a row a fact was unlike all before, and its bytes."""
        self.missed: dict[Parse, int] = {}
        """How often in a row what a fact reads was not what it had read on any host before."""
        self.last: tuple[Look, _Generation] | None = None
        """The look before, and the generation that knows all its facts."""
        self.judges: Any = None
        """What judging keeps for its rulebook."""

    def begin(self, look: Look) -> Reads:
        """What stands in this look as it stood in the one before: bundles of one host, or of hosts alike, often follow one another.

        What is unlike goes, and every fact that reads it, and what reads those; it is recalled or made again when asked for.
        """
        last, self.last = self.last, (look, self.young)
        if last is None or last[1] is not self.young:
            return {}
        same, readers = last[0].sights.copy(), self.young.readers
        unlike = look.unlike(last[0])
        while unlike:
            read = unlike.pop()
            if same.pop(read, None) is not None:
                unlike += readers.get(read, ())
        return same

    def recall(self, parse: Parse, look: Look) -> Known | None:
        """The fact, if this look would read the same as an earlier one."""
        seen, sights = look.seen, look.sights
        place = self.young.facts.get(parse)
        while place.__class__ is _Fork:
            # A bundle is judged by a thousand such steps, so what was seen already is not asked for by a call.
            sight = sights.get(place.read)
            place = place.branches.get(seen(place.read) if sight is None else sight)
        if place is not None:
            self.missed.pop(parse, None)
            return cast("Known", place)
        place = self.old.facts.get(parse)
        reads: Reads = {}
        while isinstance(place, _Fork):
            reads[place.read] = seen(place.read)
            place = place.branches.get(reads[place.read])
        if place is not None:
            self.missed.pop(parse, None)
            self._add(parse, reads, place, place.weight)
        return place

    def keep(self, parse: Parse, reads: Reads, value: Any, sources: frozenset[str]) -> Known:
        """Remember a fact with what it read."""
        sources = self._sources(sources)
        self.missed[parse] = self.missed.get(parse, 0) + 1
        news, weight = self.news.get(parse, (0, 0))
        content = _essence(parse, value) if news < _ALWAYS_NEW or news % _ALWAYS_NEW == 0 else None
        if content is None:
            self.news[parse] = (news + 1, weight)
            known = Known(value, sources, weight)
            self._add(parse, reads, known, weight)
            return known
        key = (parse, hashlib.sha256(content).digest(), sources)
        known_here = self.young.values.get(key)
        before = known_here or self.old.values.get(key)
        known = before or Known(value, sources, len(content))
        self.news[parse] = (0 if before else news + 1, len(content))
        self.young.values[key] = known
        self._add(parse, reads, known, 0 if known_here else known.weight)
        return known

    def sight_of(self, known: Known, name: str) -> Any:
        """What tells an attribute of a fact, or its sources, from those of another."""
        if not name:
            return known.sources
        sight = known.parts.get(name)
        if sight is None:
            content = _pickled(attribute(known.value, name))
            sight = known.parts[name] = (known if content is None else content, known.sources)
            self.young.weight += len(content or b"")
        return sight

    def _sources(self, names: frozenset[str]) -> frozenset[str]:
        found = self.young.sources.get(names)
        if found is None:
            found = self.young.sources[names] = self.old.sources.get(names, names)
            self.young.weight += 64 * len(names)
        return found

    def named(self, names: tuple[str, ...], prefix: str) -> tuple[str, ...]:
        """Those of a bundle's names that begin with `prefix`."""
        found = self.names.get((names, prefix))
        if found is None:
            if len(self.names) >= _MAX_NAMES:
                self.names.clear()
            found = self.names[names, prefix] = begin_with(names, prefix)
        return found

    def _add(self, parse: Parse, reads: Reads, known: Known, weight: int) -> None:
        self.young.note(parse, reads)
        missed = self.missed.get(parse, 0)
        if missed < _ALWAYS_NEW or missed % _ALWAYS_NEW == 0:
            self.young.add(parse, reads, known)
        self.young.weight += weight
        if self.young.weight > self.size:
            self.young, self.old = _Generation(), self.young


_MAX_NAMES = 1024
_ALWAYS_NEW = 32
"""A fact that was new so often, such as the list of packages, is only now and then compared with earlier ones.

What reads such things, a moment or a list of processes, is only now and then remembered with what it read: it will hardly be read again.
"""


def _essence(parse: Parse, value: Any) -> bytes | None:
    """Bytes that are the same only for equal facts.

    A parser may have an `essence` of its own, which leaves out what it always gives.
    """
    essence = getattr(parse, "essence", None)
    return _pickled(value if essence is None else essence(value))


def _pickled(value: Any) -> bytes | None:
    """Not equality itself: True equals 1, and mappings in another order are equal, but they print differently."""
    try:
        return pickle.dumps(value)
    except (pickle.PicklingError, RecursionError, TypeError, AttributeError):
        return None
