"""The last question before a packet leaves: is its target still ours to ask, and is it still time?

The lists are read again when their files change: who opts out in the middle of a long sweep is not asked any more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tutela.errors import ScanError
from tutela.exposure.addresses import Network, Ranges
from tutela.exposure.model import Address
from tutela.exposure.targets import read_networks
from tutela.exposure.window import Windows

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tutela.exposure.guard import Guard

LOOK_S = 1.0
"""How often the files of those who opted out are looked at. A changed file is read when it has not changed for so long: it may be half written."""
PATIENCE_S = 10.0
"""How long a list may stay unreadable before the scan ends."""
LAST_MOMENT_S, MARGIN_S = 0.05, 0.2
"""Before the end of a window: no packet is handed to the kernel; the scan ends, and takes back what it half opened."""
_Seen = tuple[int, int, int] | None


class Gate:
    """Gate(allowed, paths of those who opted out, windows): `permits` and `permits_one` are asked right before sending.

    An address that opted out once stays out for the whole scan. Raises ScanError.
    """

    def __init__(
        self,
        allowed: Sequence[Network] | None = None,
        opt_out: Sequence[Path] = (),
        windows: Windows | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.windows = windows
        self._clock = clock
        self._allowed = allowed
        self._paths = opt_out
        self._seen = [_look(path) for path in opt_out]
        self._fresh = list(self._seen)
        self._opted_out: dict[Network, None] = {}
        for path in opt_out:
            self._opted_out.update(dict.fromkeys(read_networks(path)))
        self._looked = self._sound = clock()
        self._build()

    def _build(self) -> None:
        self.opted_out = Ranges(self._opted_out)
        self._ours = None if self._allowed is None else Ranges(self._allowed)
        self._guard: Guard | None = None

    def permits(self, addresses: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
        """For rows of 4 or 16 bytes: may each be asked now?"""
        self.refresh()
        if self._guard is None:
            # numpy is not part of every installation.
            from tutela.exposure.guard import Guard  # noqa: PLC0415

            self._guard = Guard(self._allowed, self._opted_out)
        permitted = self._guard.permits(addresses)
        if not self._in_time(LAST_MOMENT_S):
            permitted[:] = False
        return permitted

    def permits_one(self, address: Address) -> bool:
        """May it be asked now?"""
        self.refresh()
        return self._in_time(LAST_MOMENT_S) and address not in self.opted_out and (self._ours is None or address in self._ours)

    def closes(self) -> bool:
        """The window ends in a moment, or has ended: no new question makes sense."""
        return not self._in_time(MARGIN_S)

    def _in_time(self, margin_s: float) -> bool:
        return self.windows is None or self.windows.open_s() > margin_s

    def refresh(self) -> None:
        """Read lists that changed, at most once a second. Raises ScanError when one cannot be read for long."""
        now = self._clock()
        if now - self._looked < LOOK_S:
            return
        self._looked = now
        failed: ScanError | None = None
        for place, path in enumerate(self._paths):
            seen = _look(path)
            settled, self._fresh[place] = seen == self._fresh[place], seen
            if seen == self._seen[place] and seen is not None:
                continue
            try:
                networks = read_networks(path)
            except ScanError as problem:
                failed = problem
                continue
            if settled:
                self._seen[place] = seen
                self._opted_out.update(dict.fromkeys(networks))
                self._build()
        if failed is None:
            self._sound = now
        elif now - self._sound > PATIENCE_S:
            raise failed


def _look(path: Path) -> _Seen:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
