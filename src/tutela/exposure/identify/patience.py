"""An event loop in which nobody's time runs out while this program is held up: by a busy machine, by whoever reads its results, or stopped with ^Z."""

from __future__ import annotations

import asyncio
import selectors
import time

LONGEST_S = 0.2
"""From one look at the connections to the next no more than this counts, however long it took."""


class PatientLoop(asyncio.SelectorEventLoop):
    """Its clock goes on only when the connections were looked at. To be woken more often than LONGEST_S, or its clock falls behind."""

    def __init__(self) -> None:
        self._looks = _Looks()
        super().__init__(self._looks)

    def time(self) -> float:
        """Seconds, as far as they count."""
        return self._looks.counted_s


class _Looks(selectors.EpollSelector):
    def __init__(self) -> None:
        super().__init__()
        self.counted_s = 0.0
        self._at = time.monotonic()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(timeout)
        before, self._at = self._at, time.monotonic()
        self.counted_s += min(self._at - before, LONGEST_S)
        return ready
