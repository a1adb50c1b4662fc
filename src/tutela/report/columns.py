"""Columns of a terminal: how wide text is, where it may break, tables.

Source: UAX #11 (East Asian Width), and the line-start and line-end rules of Chinese typesetting (GB/T 15834).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

NOT_FIRST = frozenset("，。、；：？！）》】」』”’…—％,.;:?!)]}%")
NOT_LAST = frozenset("（《【「『“‘([{")
_LATIN = re.compile(r"( *)([^ ]+)")


def width(words: str) -> int:
    """Columns that printable text takes; ambiguous characters count as one."""
    return len(words) if words.isascii() else sum(_width(char) for char in words)


def _width(char: str) -> int:
    if char < "\u0300":
        return 1
    if unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def wrapped(words: str, columns: int, *, first: str = "", rest: str = "", whole: bool = False) -> Iterator[str]:
    """Lines of at most `columns`, the first behind `first`, the others behind `rest`.

    Latin words break at spaces, Chinese between characters but never before closing or after opening punctuation.
    A piece that is too long alone is cut; with `whole` it stays, so that a command can be copied.
    """
    line, used, lead = first, width(first), True
    for blank, piece in _pieces(words):
        size = width(piece)
        gap = "" if lead else blank
        if not lead and used + len(gap) + size > columns:
            yield line
            line, used, gap = rest, width(rest), ""
        if not whole:
            while size > columns - used - len(gap) and columns > width(rest) + 2:
                head = _cut(piece, columns - used - len(gap))
                yield line + gap + head
                piece = piece[len(head) :]
                size = width(piece)
                line, used, gap = rest, width(rest), ""
        line += gap + piece
        used += len(gap) + size
        lead = False
    yield line


def _cut(piece: str, columns: int) -> str:
    """The longest beginning that fits; one character at least."""
    used = 0
    for count, char in enumerate(piece):
        used += _width(char)
        if used > columns and count:
            return piece[:count]
    return piece


def _pieces(words: str) -> Iterator[tuple[str, str]]:
    """(space before, unbreakable piece)."""
    if words.isascii():
        yield from _LATIN.findall(words)
        return
    blank, piece = "", ""
    for char in words:
        if char == " ":
            if piece:
                yield blank, piece
                blank, piece = "", ""
            blank += char
            continue
        joint = piece and char not in NOT_FIRST and piece[-1] not in NOT_LAST and (_width(char) == 2 or _width(piece[-1]) == 2)
        if joint:
            yield blank, piece
            blank, piece = "", ""
        piece += char
    if piece:
        yield blank, piece


def padded(words: str, columns: int, *, right: bool = False) -> str:
    """The words filled with spaces to `columns`."""
    fill = " " * max(0, columns - width(words))
    return fill + words if right else words + fill


def shortened(words: str, columns: int) -> str:
    """The words, or their beginning and an ellipsis."""
    return words if width(words) <= columns else _cut(words, columns - 1) + "…"


def table(rows: Sequence[Sequence[str]], *, right: Sequence[int] = (), indent: str = "  ", gap: str = "  ") -> Iterator[str]:
    """Rows in columns as wide as their widest cell; columns in `right` are flush right."""
    widths = [max(width(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row in rows:
        yield (indent + gap.join(padded(cell, widths[at], right=at in right) for at, cell in enumerate(row))).rstrip()
