"""The beginning of a long text, in whole sentences: a command is never cut in the middle."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_END = re.compile(r"(?<=。)(?!$)|(?<=\.) (?=[A-Z]|\w+: )")
_SENTENCE = ("。", ".")
MORE = "…"


def beginning(lines: Sequence[str], taken_by: Callable[[Sequence[str]], int], most: int) -> list[str]:
    """As many sentences as take up at most `most`, one at least, and a mark when something is left out.

    What is longer by one stays whole, since the mark would take that room.
    """
    if taken_by(lines) <= most + 1:
        return list(lines)
    taken: list[str] = []
    for line in lines:
        before = taken
        for end in [*(found.start() for found in _END.finditer(line)), len(line)]:
            longer = [*before, line[:end]]
            if taken and taken_by(longer) > most:
                return _marked(taken)
            taken = longer
    return taken


def _marked(lines: list[str]) -> list[str]:
    """The mark stands behind a sentence, but below a command: whoever copies a line gets the command alone."""
    last = lines[-1]
    if not last.endswith(_SENTENCE):
        return [*lines, MORE]
    return [*lines[:-1], f"{last}{MORE}" if last.endswith("。") else f"{last} {MORE}"]
