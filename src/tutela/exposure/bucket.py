"""A token bucket: how many packets, or connections, may leave now at a rate. No clock here."""

from __future__ import annotations

import sys

SLICE_S = 0.002
"""What is due for so long is sent in one go."""
FULL = 1024
"""A slice need not be larger."""


class Bucket:
    """Tokens for packets: `rate` a second, at most ten slices saved up, for a processor that was busy elsewhere."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        # The first slice need not be saved up for: somebody waits for the first line.
        self._tokens = 0.0 if rate == float("inf") else max(rate * SLICE_S, 1.0)
        self._at: float | None = None

    def allowed(self, now: float) -> int:
        """Packets that may be sent now."""
        if self.rate == float("inf"):
            return sys.maxsize
        if self._at is not None:
            self._tokens = min(self._tokens + (now - self._at) * self.rate, max(self.rate * SLICE_S * 10, 1.0))
        self._at = now
        return int(self._tokens) if self._tokens >= min(self.rate * SLICE_S, FULL) or self._tokens >= 1 > self.rate * SLICE_S else 0

    def spend(self, packets: int) -> None:
        """So many were sent."""
        self._tokens -= packets
