"""Foreign text made harmless: what a host calls itself, or answers, never steers a terminal, a browser or a spreadsheet."""

from __future__ import annotations


def inert(words: str) -> str:
    r"""The words on one line, with every control, bidirectional and invisible character shown as an escape.

    `a\x1b[2Jb` becomes the ten plain characters `a\x1b[2Jb`; Chinese stays Chinese.
    """
    if words.isprintable():
        return words
    return "".join(char if char.isprintable() else _escape(char) for char in words)


def inert_lines(words: str) -> list[str]:
    """The same for text of several lines, such as a remedy: the line ends stay."""
    return [inert(line) for line in words.split("\n")]


def _escape(char: str) -> str:
    # The ideographic space is layout, not a trick.
    return "  " if char == "\u3000" else char.encode("unicode_escape").decode()
