"""A look at one bundle: what facts read, remembered, so every verdict can name its evidence."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import Any, TypeVar, cast

from tutela.evidence import Bundle, Evidence, Reason, Status, Unobserved, observed
from tutela.facts.reference import Reference
from tutela.language import Text
from tutela.site import Site

T = TypeVar("T")

# What a fact may read besides sources; no source's name begins so.
_NOW, _META, _SITE, _COLLECTED, _NAMES, _TODAY, _ROOT = "\0now", "\0meta", "\0site", "\0collected", "\0names:", "\0today", "\0root"


class Memory:
    """Facts of earlier bundles, for judging many: hosts of a fleet are mostly alike.

    A fact is a pure function of what it read, so a fact made once holds for every bundle in which the same reads give the same bytes.
    One memory serves one edition of the content; it forgets the longest unused.
    """

    def __init__(self, size: int = 4096) -> None:
        self.size = size
        self.plans: dict[Callable[[Look], Any], list[tuple[str, ...]]] = {}
        self.facts: OrderedDict[tuple[Any, ...], Any] = OrderedDict()

    def recall(self, parse: Callable[[Look], Any], look: Look) -> tuple[Any, frozenset[str]] | None:
        """The fact and what it read, if this look would read the same."""
        for plan in self.plans.get(parse, ()):
            key = (parse, plan, *map(look.seen, plan))
            if key in self.facts:
                self.facts.move_to_end(key)
                return self.facts[key], frozenset(plan)
        return None

    def keep(self, parse: Callable[[Look], Any], look: Look, value: Any, read: frozenset[str]) -> None:
        """Remember a fact with what it read."""
        plan = tuple(sorted(read))
        plans = self.plans.setdefault(parse, [])
        if plan not in plans:
            if len(plans) >= 8:
                return
            plans.append(plan)
        self.facts[parse, plan, *map(look.seen, plan)] = value
        if len(self.facts) > self.size:
            self.facts.popitem(last=False)


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
        self._facts: dict[Callable[[Look], Any], tuple[Any, frozenset[str]]] = {}
        self._reading: list[set[str]] = []

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
        known = self._facts.get(parse)
        if known is None:
            known = self._memory.recall(parse, self) if self._memory is not None else None
            if known is None:
                self._reading.append(set())
                try:
                    value = parse(self)
                finally:
                    read = frozenset(self._reading.pop())
                known = (value, read)
                if self._memory is not None:
                    self._memory.keep(parse, self, value, read)
            self._facts[parse] = known
        if self._reading:
            self._reading[-1] |= known[1]
        return cast("T", known[0])

    def sources_of(self, parse: Callable[[Look], Any]) -> frozenset[str]:
        """Names of the sources that the fact rested on, directly or through other facts."""
        self.fact(parse)
        return frozenset(name for name in self._facts[parse][1] if not name.startswith("\0"))

    def seen(self, name: str) -> Any:
        """What a read gave, to compare with another look's."""
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
        if name == _META:
            return self._bundle.meta.get("unreachable")
        if name.startswith(_NAMES):
            return self._names(name[len(_NAMES) :])
        evidence = self._bundle[name]
        return evidence.status, evidence.rc, evidence.content

    def _as_root(self) -> bool:
        return b"uid=0" in self._bundle["meta"].content.split(b"\n")

    def _names(self, prefix: str) -> tuple[str, ...]:
        return tuple(name for name in self._bundle.sources if name.startswith(prefix))

    def _read(self, name: str) -> None:
        if self._reading:
            self._reading[-1].add(name)
