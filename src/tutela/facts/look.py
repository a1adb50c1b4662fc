"""A look at one bundle: what facts read, remembered, so every verdict can name its evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast

from tutela.evidence import Bundle, Evidence, Reason, Status, Unobserved, observed
from tutela.facts.reference import Reference
from tutela.language import Text
from tutela.site import Site

if TYPE_CHECKING:
    from tutela.facts.memory import Memory

T = TypeVar("T")
Parse = Callable[["Look"], Any]

# What a fact may read besides sources and other facts; no source's name begins so.
_NOW, _META, _SITE, _COLLECTED, _NAMES, _TODAY, _ROOT = "\0now", "\0meta", "\0site", "\0collected", "\0names:", "\0today", "\0root"
_SUBJECT, _BY_SSH = "\0subject", "\0ssh"


class Known:
    """A fact as made. In a memory equal facts are one object, so that what rests on them need not be made again."""

    __slots__ = ("parts", "sources", "value", "weight")

    def __init__(self, value: Any, sources: frozenset[str], weight: int = 0) -> None:
        self.value = value
        self.sources = sources
        """Names of the sources in the bundle that the fact rested on, directly or through other facts."""
        self.weight = weight
        """Bytes, about."""
        self.parts: dict[str, Any] = {}
        """What tells an attribute of it from that of another; for a memory."""


Part = tuple[Parse, str]
"""An attribute of a fact; without a name, the sources it rested on."""
Read = str | Parse | Part
Reads = dict[Read, Any]
"""What was read, in order, and what was seen: a digest, names, a moment, another fact."""


def attribute(value: Any, name: str) -> Any:
    """What a path of a condition leads to; what was not seen or is not there has no attributes and stands for them."""
    if isinstance(value, Unobserved) or value is None:
        return value
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name)


class Look:
    """Everything a fact may use: one bundle, the site's declarations, reference data, the moment of judgement.

    `now` is when the bundle was collected unless the caller judges as of another time, so a replay gives the same bytes years later.
    """

    def __init__(self, bundle: Bundle, site: Site, reference: Reference, now: datetime | None = None, memory: Memory | None = None) -> None:
        self._bundle = bundle
        self._now = bundle.collected_at if now is None else now
        self._memory = memory
        self._site = site
        self.reference = reference
        self._reading: list[Reads] = []
        self._all_names = tuple(bundle.sources)
        self.sights: Reads = {} if memory is None else memory.begin(self)
        """What was read here so far, or stands as it stood in the bundle before; for a memory."""

    @property
    def now(self) -> datetime:
        """The moment of judgement, aware."""
        self._read(_NOW)
        return self._now

    @property
    def collected_at(self) -> datetime:
        """When the bundle was collected, by the clock of the collecting side."""
        self._read(_COLLECTED)
        return self._bundle.collected_at

    @property
    def today(self) -> date:
        """The day of judgement, UTC: for what counts in days, so that looks of one day can share the fact."""
        self._read(_TODAY)
        return self._now.date()

    @property
    def as_root(self) -> bool:
        """Whether root looked: then what is missing is really missing."""
        self._read(_ROOT)
        return self._as_root()

    @property
    def site(self) -> Site:
        """What is declared for this host."""
        self._read(_SITE)
        return self._site

    @property
    def subject(self) -> str:
        """How the host is called by whoever asked. No fact of the host reads it; what people declare is by subject."""
        self._read(_SUBJECT)
        return self._bundle.subject

    @property
    def by_ssh(self) -> bool:
        """Whether the look came over SSH: then some SSH server runs there."""
        self._read(_BY_SSH)
        return self._over_ssh()

    def source(self, name: str) -> Evidence:
        """The evidence called `name` (a path or a command line); status `missing` if the bundle has none."""
        self._read(name)
        return self._bundle[name]

    def text(self, name: str) -> str | Unobserved:
        """The content as text; bytes that are no UTF-8 stay visible as escapes."""
        evidence = self.source(name)
        if evidence.status is Status.MISSING:
            self._read(_META)
            meta = self._bundle.meta
            if "unreachable" in meta:
                return Unobserved(Reason.STALE, self._bundle.subject, Text(meta.get("unreachable_zh", meta["unreachable"]), meta["unreachable"]))
        content = observed(evidence)
        return content if isinstance(content, Unobserved) else content.decode("utf-8", "backslashreplace")

    def text_or_none(self, name: str) -> str | Unobserved | None:
        """Like `text`, with None when the host established that there is no such file or command."""
        return None if self.source(name).status is Status.ABSENT else self.text(name)

    def lines(self, name: str) -> list[str] | Unobserved:
        """The lines of `text`. Split at newlines only: a host's form feed or U+2028 must not make lines."""
        text = self.text(name)
        return text if isinstance(text, Unobserved) else text.split("\n") if text else []

    def names(self, prefix: str) -> Iterator[str]:
        """Names of all sources that begin with `prefix`, in the order they were collected."""
        self._read(_NAMES + prefix)
        return iter(self._names(prefix))

    def fact(self, parse: Callable[[Look], T]) -> T:
        """The fact that `parse` makes, made once."""
        known = self._made(parse)
        if self._reading:
            self._reading[-1][parse] = known
        value: T = known.value
        return value

    def part(self, parse: Parse, name: str) -> Any:
        """One attribute of a fact. Who asks for no more stands as long as that attribute does, whatever becomes of the others."""
        known = self._made(parse)
        self._note((parse, name), known)
        return attribute(known.value, name)

    def sources_of(self, parse: Parse) -> frozenset[str]:
        """Names of the sources in the bundle that the fact rested on, directly or through other facts."""
        known = self._made(parse)
        self._note((parse, ""), known)
        return known.sources

    def _made(self, parse: Parse) -> Known:
        known: Known | None = self.sights.get(parse)
        if known is None:
            known = self.sights[parse] = self._known(parse)
        return known

    def _note(self, part: Part, known: Known) -> None:
        if self._reading and part not in self._reading[-1]:
            self._reading[-1][part] = known if self._memory is None else self.seen(part)

    def seen(self, read: Read) -> Any:
        """What a read gives here, to compare with another look's."""
        found = self.sights.get(read)
        if found is None:
            if isinstance(read, str):
                found = self._sight(read)
            elif isinstance(read, tuple):
                found = cast("Memory", self._memory).sight_of(self._made(read[0]), read[1])
            else:
                found = self._known(read)
            self.sights[read] = found
        return found

    def unlike(self, other: Look) -> list[Read]:
        """What the other look read besides facts, as far as it may give something else here."""
        here, there = self._bundle.sources, other._bundle.sources
        # Frames that were read before are the same objects, so nothing needs to be compared.
        found: list[Read] = [name for name, evidence in here.items() if there.get(name) is not evidence]
        others = [_NOW, _COLLECTED, _TODAY, _ROOT, _SITE, _SUBJECT, _BY_SSH, _META]
        if self._all_names != other._all_names:
            found += there.keys() - here.keys()
            others += [read for read in other.sights if isinstance(read, str) and read.startswith(_NAMES)]
        return found + [read for read in others if read in other.sights and other.sights[read] != self._sight(read)]

    def _known(self, parse: Parse) -> Known:
        if self._memory is not None:
            known = self._memory.recall(parse, self)
            if known is not None:
                return known
        self._reading.append({})
        try:
            value = parse(self)
        finally:
            reads = self._reading.pop()
        direct = [read for read in reads if isinstance(read, str) and read in self._bundle.sources]
        facts = (read[0] if isinstance(read, tuple) else read for read in reads if not isinstance(read, str))
        sources = frozenset(direct).union(*(self.sights[fact].sources for fact in facts))
        if self._memory is None:
            return Known(value, sources)
        return self._memory.keep(parse, reads, value, sources)

    def _sight(self, name: str) -> Any:
        if name == _NOW:
            return self._now
        if name == _COLLECTED:
            return self._bundle.collected_at
        if name == _TODAY:
            return self._now.date()
        if name == _ROOT:
            return self._as_root()
        if name == _SITE:
            return self._site.digest, self._site.variant
        if name == _SUBJECT:
            return self._bundle.subject
        if name == _BY_SSH:
            return self._over_ssh()
        if name == _META:
            # Only a host that could not be reached shows anything of it: why, and its own name.
            meta = self._bundle.meta
            return (meta["unreachable"], meta.get("unreachable_zh"), self._bundle.subject) if "unreachable" in meta else ()
        if name.startswith(_NAMES):
            return self._names(name[len(_NAMES) :])
        evidence = self._bundle.sources.get(name)
        return _NOT_THERE if evidence is None else evidence.digest

    def _as_root(self) -> bool:
        return b"uid=0" in self._bundle["meta"].content.split(b"\n")

    def _over_ssh(self) -> bool:
        return self._bundle.meta.get("transport") == "ssh"

    def _names(self, prefix: str) -> tuple[str, ...]:
        if self._memory is not None:
            return self._memory.named(self._all_names, prefix)
        return begin_with(self._all_names, prefix)

    def _read(self, name: str) -> None:
        if self._reading:
            reads = self._reading[-1]
            if name not in reads:
                reads[name] = None if self._memory is None else self.seen(name)


_NOT_THERE = "missing"


def begin_with(names: tuple[str, ...], prefix: str) -> tuple[str, ...]:
    """Those names that begin with `prefix`."""
    return tuple(name for name in names if name.startswith(prefix))
