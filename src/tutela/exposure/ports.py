"""Ports: which, and in what order they are asked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tutela.errors import ScanError
from tutela.language import Text

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

ALL = range(1, 65536)
POPULAR = (
    22, 80, 443, 3306, 5432, 6379, 27017, 9200, 11211, 2375, 2376, 8080, 3389, 21, 23, 25, 445, 139, 135, 111, 2049, 873, 5900, 1433, 1521, 8443,
    53, 110, 143, 993, 995, 465, 587, 389, 636, 88, 5000, 5001, 5601, 5672, 15672, 8000, 8008, 8081, 8088, 8888, 9000, 9001, 9090, 9092, 9100,
    9300, 2181, 2379, 2380, 6443, 10250, 10255, 1883, 8883, 5985, 5986, 6000, 7001, 7000, 8500, 50070, 61616, 4444, 2222,
)  # fmt: skip
"""Where the answers of most servers are, and those that matter most: asked first."""
FRAGILE = frozenset({*range(9100, 9108), 102, 502, 1911, 2404, 4840, 4911, 20000, 20547, 44818, 47808, 515, 631, 623})
"""Printers print what they are sent, and controllers of machines may stop: these ports get a SYN and never a byte."""
_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")


def parse(words: str) -> tuple[int, ...]:
    """`all`, `popular`, or numbers and ranges: `22,80,8000-8099`. Raises ScanError."""
    if words == "all":
        return tuple(ALL)
    if words == "popular":
        return POPULAR
    found: dict[int, None] = {}
    for word in words.split(","):
        match = _RANGE.fullmatch(word.strip())
        first = int(match[1]) if match else 0
        last = int(match[2] or match[1]) if match else 0
        if not 1 <= first <= last <= 65535:
            raise ScanError(
                Text(
                    f"端口 {word.strip()!r} 不能识别；请写 all、popular，或 22,80,8000-8099 这样的列表（1–65535）",
                    f"ports {word.strip()!r} not understood; write all, popular, or a list like 22,80,8000-8099 (1-65535)",
                )
            )
        found.update(dict.fromkeys(range(first, last + 1)))
    return tuple(found)


DECOYS = 8
TOO_MANY = 1000
"""So many open ports on one host are no services."""
_FEW, _MOST = 30, 0.75


def too_many(asked: int) -> int:
    """More open ports than this, of so many that were all asked, are likely no services: something answers in the host's place."""
    return min(TOO_MANY, max(_FEW, int(_MOST * asked)))


def in_order(ports: tuple[int, ...], chance: np.random.Generator) -> tuple[npt.NDArray[np.uint16], int]:
    """The ports as they are asked, and how many decoys come first.

    Decoys are ports on which hardly any server listens: where they answer, something answers on every port, and one knows before the first line is printed.
    Then the popular ones; the others as chance has it, since filters look for patterns.
    """
    # numpy is not part of every installation, and only SYN scans need it.
    import numpy as np  # noqa: PLC0415

    wanted = np.zeros(65536, np.bool_)
    wanted[np.array(ports, np.intp)] = True
    popular = [port for port in POPULAR if wanted[port]]
    wanted[popular] = False
    rest = np.flatnonzero(wanted).astype(np.uint16)
    chance.shuffle(rest)
    decoys = np.flatnonzero(rest > 1024)[: DECOYS if len(rest) > 1000 else 0]
    return np.concatenate((rest[decoys], np.array(popular, np.uint16), np.delete(rest, decoys))), len(decoys)
