"""Where a tree lies in files, by C2SP tlog-tiles: https://c2sp.org/tlog-tiles

    tile/<level>/<number>[.p/<width>]     up to 256 hashes; at level 0 those of entries, above those of full tiles of the level below
    tile/entries/<number>[.p/<width>]     the same entries themselves, each behind its length (uint16, big endian)

A number is written in groups of three digits, all but the last behind an x: 1234067 is x001/x234/067.
A tile of fewer than 256 hashes is partial and says how many in its name, so every file, once named by a checkpoint, stays as it is.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from tutela.language import Text
from tutela.ledger.merkle import EMPTY_ROOT, HASH_BYTES, fold, root_of, subtrees
from tutela.ledger.refused import DamagedError, MisuseError
from tutela.record import record

HEIGHT = 8
WIDTH = 256
TILE_BYTES = WIDTH * HASH_BYTES
MAX_ENTRY_BYTES = 0xFFFF
MAX_BUNDLE_BYTES = WIDTH * (2 + MAX_ENTRY_BYTES)
ENTRIES = -1
"""The "level" of the entry bundles, which are named as tiles are."""

_LENGTH = struct.Struct(">H")


@record
class Tile:
    """One file of the log: `level` (or ENTRIES), its number within the level, and how many hashes or entries it holds."""

    level: int
    number: int
    width: int

    @property
    def path(self) -> str:
        """Below the log's folder or URL."""
        groups = [f"{self.number % 1000:03}"]
        rest = self.number // 1000
        while rest:
            groups.append(f"x{rest % 1000:03}")
            rest //= 1000
        level = "entries" if self.level == ENTRIES else str(self.level)
        partial = f".p/{self.width}" if self.width < WIDTH else ""
        return f"tile/{level}/{'/'.join(reversed(groups))}{partial}"

    @property
    def partial(self) -> bool:
        """Whether there is room in it."""
        return self.width < WIDTH


def levels(size: int) -> int:
    """How many levels of tiles a tree of `size` has: 0 for none, 1 up to 255 entries, 2 from 256 on."""
    return (size.bit_length() + HEIGHT - 1) // HEIGHT


def tile_at(level: int, number: int, size: int) -> Tile:
    """The tile as a tree of `size` has it; raises MisuseError beyond its end."""
    held = size >> HEIGHT * max(level, 0)
    width = min(held - number * WIDTH, WIDTH)
    if number < 0 or width <= 0:
        raise MisuseError(
            Text(
                f"{size} 条的日志没有第 {level} 层的第 {number} 个瓦片",
                f"a log of {size} entries has no tile {number} at level {level}",
            )
        )
    return Tile(level, number, width)


def tiles_of(size: int) -> Iterator[Tile]:
    """Every tile of hashes that a tree of `size` has, level by level."""
    for level in range(levels(size)):
        for number in range(-(-(size >> HEIGHT * level) // WIDTH)):
            yield tile_at(level, number, size)


def edge_of(size: int) -> Iterator[Tile]:
    """The partial tiles on the right edge of a tree of `size`, one a level at most: they alone give its root."""
    for level in range(levels(size)):
        held = size >> HEIGHT * level
        if held % WIDTH:
            yield Tile(level, held // WIDTH, held % WIDTH)


def root_of_edge(size: int, hashes: Mapping[int, Sequence[bytes]]) -> bytes:
    """The root of a tree of `size` from its edge's hashes by level."""
    parts: list[bytes] = []
    for level in reversed(range(levels(size))):
        held = hashes.get(level, ())
        parts += (root_of(held[start:end]) for start, end in subtrees(0, len(held)))
    return fold(parts) if parts else EMPTY_ROOT


def hashes_in(content: bytes, tile: Tile) -> list[bytes]:
    """The hashes a tile's file holds; raises DamagedError if the length is not the one its name says."""
    if len(content) != tile.width * HASH_BYTES:
        raise DamagedError(
            Text(
                f"{tile.path} 应有 {tile.width * HASH_BYTES} 字节，实有 {len(content)} 字节",
                f"{tile.path} has {len(content)} bytes, not {tile.width * HASH_BYTES}",
            )
        )
    return [content[i : i + HASH_BYTES] for i in range(0, len(content), HASH_BYTES)]


def bundle_of(entries: Iterable[bytes]) -> bytes:
    """The file that holds these entries; raises MisuseError for one that is too long."""
    parts = []
    for entry in entries:
        if len(entry) > MAX_ENTRY_BYTES:
            raise MisuseError(
                Text(f"一条记录最多 {MAX_ENTRY_BYTES} 字节，这条有 {len(entry)}", f"an entry has {len(entry)} bytes, and {MAX_ENTRY_BYTES} at most")
            )
        parts.append(_LENGTH.pack(len(entry)) + entry)
    return b"".join(parts)


def entries_in(content: bytes, tile: Tile) -> list[bytes]:
    """The entries a bundle's file holds; raises DamagedError unless they fill it exactly."""
    found: list[bytes] = []
    at = 0
    while at + 2 <= len(content) and len(found) < tile.width:
        end = at + 2 + (content[at] << 8 | content[at + 1])
        found.append(content[at + 2 : end])
        at = end
    if len(found) != tile.width or at != len(content):
        raise DamagedError(
            Text(
                f"{tile.path} 不是恰好 {tile.width} 条记录（{len(content)} 字节）",
                f"{tile.path} does not hold exactly {tile.width} entries ({len(content)} bytes)",
            )
        )
    return found


class Tree:
    """A tree of `size` whose tiles are read when they are needed; `read` gives the content of a tile's file.

    Nothing here trusts a tile: what is built from them is checked against a signed root by whoever asks.
    """

    KEPT = 64
    """Tiles that are remembered; proofs in the same region share most of theirs."""

    def __init__(self, size: int, read: Callable[[Tile], bytes]) -> None:
        self.size = size
        self._read = read
        self._kept: dict[tuple[int, int], list[bytes]] = {}

    def hash_of(self, start: int, end: int) -> bytes:
        """The hash over the entries `start <= i < end`, a range of a proof."""
        if not 0 <= start < end <= self.size:
            raise MisuseError(Text(f"没有 {start} 到 {end} 这一段，日志有 {self.size} 条", f"no entries from {start} to {end} in a log of {self.size}"))
        return fold([self._complete(first, last) for first, last in subtrees(start, end)])

    def _complete(self, start: int, end: int) -> bytes:
        """The hash of a complete subtree: some hashes next to each other in one tile."""
        height = (end - start).bit_length() - 1
        level = height // HEIGHT
        first = start >> HEIGHT * level
        count = 1 << height % HEIGHT
        held = self._tile(level, first // WIDTH)
        return root_of(held[first % WIDTH : first % WIDTH + count])

    def _tile(self, level: int, number: int) -> list[bytes]:
        found = self._kept.get((level, number))
        if found is None:
            if len(self._kept) >= self.KEPT:
                del self._kept[next(iter(self._kept))]
            tile = tile_at(level, number, self.size)
            found = self._kept[level, number] = hashes_in(self._read(tile), tile)
        return found

    def root(self) -> bytes:
        """The root over all entries."""
        return self.hash_of(0, self.size) if self.size else EMPTY_ROOT
