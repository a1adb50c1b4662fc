"""Where a tree lies in files (C2SP tlog-tiles) and how it is hashed (RFC 6962): the second time in this program, and by other ways."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256

from tutela.ledger.log import Source
from tutela.ledger.refused import MissingError

WIDTH = 256
HASH_BYTES = 32
ENTRIES = -1
TILE_BYTES = WIDTH * HASH_BYTES
BUNDLE_BYTES = WIDTH * (2 + 0xFFFF)


def path_of(level: int, number: int, width: int = WIDTH) -> str:
    """Where a tile, or at level ENTRIES a bundle, lies."""
    digits = str(number)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    *above, last = (digits[i : i + 3] for i in range(0, len(digits), 3))
    folders = "".join(f"x{one}/" for one in above)
    return f"tile/{'entries' if level == ENTRIES else level}/{folders}{last}" + (f".p/{width}" if width < WIDTH else "")


_PATH = re.compile(r"tile/(entries|[0-9]{1,2})/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([0-9]{1,3}))?", re.ASCII)


def place_of(path: str) -> tuple[int, int, int] | None:
    """The level, number and width that a path tells; None if it is no tile's."""
    found = _PATH.fullmatch(path)
    if not found:
        return None
    level = ENTRIES if found[1] == "entries" else int(found[1])
    number, width = int(found[2].replace("x", "").replace("/", "")), int(found[3] or WIDTH)
    return (level, number, width) if path_of(level, number, width) == path and width > 0 and level < 64 else None


def hash_over(row: Sequence[bytes]) -> bytes:
    """The hash of the tree over complete subtrees of one height, the last of which may be smaller."""
    while len(row) > 1:
        pairs = [sha256(b"\1" + left + right).digest() for left, right in zip(row[::2], row[1::2], strict=False)]
        row = [*pairs, row[-1]] if len(row) % 2 else pairs
    return row[0]


def root_over(rows: Sequence[Sequence[bytes]]) -> bytes:
    """The root of a tree from what is left over at its right edge: a row of hashes a level, the lowest first."""
    below: list[bytes] = []
    for row in rows:
        if row or below:
            below = [hash_over([*row, *below])]
    return below[0] if below else sha256(b"").digest()


def read(source: Source, level: int, number: int, width: int) -> bytes:
    """A file's content; the full one stands for a partial one that is gone, as it does once a log has grown."""
    limit = BUNDLE_BYTES if level == ENTRIES else TILE_BYTES
    try:
        return source.read(path_of(level, number, width), limit)
    except MissingError:
        if width == WIDTH:
            raise
        try:
            full = source.read(path_of(level, number), limit)
        except MissingError:
            pass
        else:
            return beginning(level, full, width)
        raise


def beginning(level: int, content: bytes, width: int) -> bytes:
    """The first hashes of a tile, or entries of a bundle."""
    if level != ENTRIES:
        return content[: width * HASH_BYTES]
    return b"".join(len(one).to_bytes(2, "big") + one for one in (unpacked(content) or [])[:width])


def unpacked(bundle: bytes) -> list[bytes] | None:
    """The entries of a bundle, each behind its length; None unless they fill it."""
    found, rest = [], memoryview(bundle)
    while rest:
        length = int.from_bytes(rest[:2], "big")
        if len(rest) < 2 + length:
            return None
        found.append(bytes(rest[2 : 2 + length]))
        rest = rest[2 + length :]
    return found
