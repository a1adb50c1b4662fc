"""How often must a silent port be asked? Enough that, at the loss measured on this very path, none is likely to be missed."""

from __future__ import annotations

import math

FEWEST, MOST = 2, 8
"""Rounds."""
MISSED = 0.001
"""Open ports that a scan may be expected to miss, with loss at its upper bound."""
_Z = 1.645


def upper_bound(lost: int, asked: int) -> float:
    """The loss of a round trip that 95 % of samples like this one stay below (Wilson's score interval, one-sided); 1.0 without a sample."""
    if asked == 0:
        return 1.0
    share, square = lost / asked, _Z * _Z
    middle = share + square / (2 * asked)
    spread = _Z * math.sqrt(share * (1 - share) / asked + square / (4 * asked * asked))
    return min(1.0, (middle + spread) / (1 + square / asked))


def rounds_needed(lost: int, asked: int, open_ports: int) -> int:
    """Rounds after which fewer than `MISSED` of the open ports are expected to have lost every one.

    Without any answer nothing can be measured; then silence is asked once more than usual.
    """
    if asked == 0:
        return FEWEST + 1
    bound = upper_bound(lost, asked)
    if bound >= 1:
        return MOST
    return min(MOST, max(FEWEST, math.ceil(math.log(MISSED / max(open_ports, 1)) / math.log(bound))))


def shut_out(lost: int, asked: int) -> bool:
    """Most questions to ports that had answered before were not answered any more: whoever asks is kept out now, and what answered before shows nothing of what followed."""
    return asked >= 3 and lost * 2 > asked


def expected_missed(lost: int, asked: int, open_ports: int, rounds: int) -> float:
    """Open ports that `rounds` rounds are expected to have missed, with loss at its upper bound."""
    return float(max(open_ports, 1) * upper_bound(lost, asked) ** rounds)
