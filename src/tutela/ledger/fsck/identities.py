"""Which record stands at which index."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from tempfile import SpooledTemporaryFile


class Identities(AbstractContextManager["Identities"]):
    """Which record stands at which index, on disk in parts by the first byte: each part is small enough to be looked through in memory."""

    KEY = 18
    _LINE = KEY + 6

    def __init__(self) -> None:
        self._parts: dict[int, SpooledTemporaryFile[bytes]] = {}

    def __exit__(self, *_: object) -> None:
        for part in self._parts.values():
            part.close()

    def add(self, identity: bytes, index: int) -> None:
        """One more."""
        first = identity[0]
        if first not in self._parts:
            self._parts[first] = SpooledTemporaryFile(max_size=1 << 15)  # noqa: SIM115 - closed in __exit__
        self._parts[first].write(identity[: self.KEY] + index.to_bytes(6, "big"))

    def part(self, first: int) -> Iterator[tuple[bytes, int]]:
        """Those whose identity begins with this byte, in the order in which they were added."""
        part = self._parts.get(first)
        if part is None:
            return
        part.seek(0)
        while lines := part.read(self._LINE << 10):
            for i in range(0, len(lines), self._LINE):
                yield lines[i : i + self.KEY], int.from_bytes(lines[i + self.KEY : i + self._LINE], "big")

    def repeated(self) -> Iterator[tuple[int, int]]:
        """Of each record that stands there again: its first index, and the later one."""
        for first in range(256):
            seen: dict[bytes, int] = {}
            for identity, index in self.part(first):
                if seen.setdefault(identity, index) != index:
                    yield seen[identity], index
