"""How many connections a stateful filter on the way must remember because of us.

Each port that stays silent is an entry in its table for about two minutes (Linux: nf_conntrack_tcp_timeout_syn_sent, 120 s), and a full table stops everybody's traffic.
"""

from __future__ import annotations

from collections import deque

LIFE_S = 150.0
"""An entry's life: 120 s from the last question to the port, and the rounds before it."""


class Entries:
    """A budget of `most` entries at a time. Time is given, in seconds."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._alive: deque[list[float]] = deque()
        """[the second in which they began, how many]"""
        self._total = 0

    def left(self, now: float) -> int:
        """So many new ports may be asked now."""
        while self._alive and self._alive[0][0] + LIFE_S < now:
            self._total -= int(self._alive.popleft()[1])
        return max(self.most - self._total, 0)

    def began(self, count: int, now: float) -> None:
        """So many ports were asked for the first time."""
        second = float(int(now))
        if not self._alive or self._alive[-1][0] != second:
            self._alive.append([second, 0])
        self._alive[-1][1] += count
        self._total += count

    def answered(self, count: int) -> None:
        """So many of those ports answered: their entries end soon. Most likely they are the newest."""
        for one in reversed(self._alive):
            ended = min(count, int(one[1]))
            one[1] -= ended
            self._total -= ended
            count -= ended
            if count == 0:
                return
