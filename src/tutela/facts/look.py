"""A look at one bundle: what facts read, remembered, so every verdict can name its evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, TypeVar, cast

from tutela.evidence import Bundle, Evidence, Reason, Status, Unobserved, observed
from tutela.facts.reference import Reference
from tutela.language import Text
from tutela.site import Site

T = TypeVar("T")


class Look:
    """Everything a fact may use: one bundle, the site's declarations, reference data, the moment of judgement.

    `now` is when the bundle was collected unless the caller judges as of another time, so a replay gives the same bytes years later.
    """

    def __init__(self, bundle: Bundle, site: Site, reference: Reference, now: datetime | None = None) -> None:
        self.bundle = bundle
        self.site = site
        self.reference = reference
        self.now = bundle.collected_at if now is None else now
        self._facts: dict[Callable[[Look], Any], tuple[Any, frozenset[str]]] = {}
        self._reading: list[set[str]] = []

    def source(self, name: str) -> Evidence:
        """The evidence called `name` (a path or a command line); status `missing` if the bundle has none."""
        if self._reading:
            self._reading[-1].add(name)
        return self.bundle[name]

    def text(self, name: str) -> str | Unobserved:
        """The content as text; bytes that are no UTF-8 stay visible as escapes."""
        evidence = self.source(name)
        if evidence.status is Status.MISSING and "unreachable" in self.bundle.meta:
            meta = self.bundle.meta
            return Unobserved(Reason.STALE, self.bundle.subject, Text(meta.get("unreachable_zh", meta["unreachable"]), meta["unreachable"]))
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
        for name in self.bundle.sources:
            if name.startswith(prefix):
                yield name

    def fact(self, parse: Callable[[Look], T]) -> T:
        """The fact that `parse` makes, made once."""
        known = self._facts.get(parse)
        if known is None:
            self._reading.append(set())
            try:
                value = parse(self)
            finally:
                read = frozenset(self._reading.pop())
            known = self._facts[parse] = (value, read)
        if self._reading:
            self._reading[-1] |= known[1]
        return cast("T", known[0])

    def sources_of(self, parse: Callable[[Look], Any]) -> frozenset[str]:
        """Names of the sources that the fact rested on, directly or through other facts."""
        self.fact(parse)
        return self._facts[parse][1]
