"""What a scan leaves in a bundle: the name of the source, and how ports are listed (docs/spec/scan.md).

One source is what one place saw of one address. It comes from elsewhere, so no host may hand one in about itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

PREFIX = "scan of "
"""Begins the names of sources whose vantage is the centre; nothing that a probe says may be called so."""
FROM_ELSEWHERE = (PREFIX, "knock test from the centre")
"""Beginnings of all names of sources that somebody else than the host brings."""
MAGIC = "tutela-scan 1"
NONE = "-"
"""Where ports are listed: none were asked."""


def scan_name(address: str, vantage: str) -> str:
    """`scan of 192.0.2.10 from 203.0.113.7`; the vantage is its address, or what the user called it when nothing was seen from there."""
    return f"{PREFIX}{address} from {vantage}"


def spans(ports: Iterable[int]) -> str:
    """`22,80-90`: sorted, each once; `-` for none."""
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in _runs(ports)) or NONE


def _runs(ports: Iterable[int]) -> Iterator[tuple[int, int]]:
    low = high = -1
    for port in sorted(set(ports)):
        if port != high + 1:
            if low >= 0:
                yield low, high
            low = port
        high = port
    if low >= 0:
        yield low, high
