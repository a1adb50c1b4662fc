"""The last look before a packet leaves: nothing goes to an address that opted out, or that is not ours, whatever the lists said when the scan began."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from tutela.exposure.addresses import WIDTH, Network, Ranges


class Guard:
    """Guard(allowed, opted_out): `permits` says for thousands of addresses at once which may be asked.

    Without `allowed` every address may be asked that has not opted out.
    """

    def __init__(self, allowed: Iterable[Network] | None = None, opted_out: Iterable[Network] = ()) -> None:
        self.allowed = None if allowed is None else Ranges(allowed)
        self.opted_out = Ranges(opted_out)
        self._tables = {version: [_Table(self.opted_out, version, inside=False)] for version in WIDTH}
        if self.allowed is not None:
            for version, tables in self._tables.items():
                tables.append(_Table(self.allowed, version, inside=True))

    def permits(self, addresses: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
        """For rows of 4 or 16 bytes: may each be asked?"""
        permitted: npt.NDArray[np.bool_] = np.ones(len(addresses), np.bool_)
        for table in self._tables[4 if addresses.shape[1] == 4 else 6]:
            table.narrow(addresses, permitted)
        return permitted


class _Table:
    """Ranges as sorted byte strings, which compare as the addresses do."""

    def __init__(self, ranges: Ranges, version: int, *, inside: bool) -> None:
        self._width, self._inside = WIDTH[version], inside
        firsts, lasts = ranges.bounds(version)
        self._firsts, self._lasts = self._bytes(firsts), self._bytes(lasts)

    def narrow(self, addresses: npt.NDArray[np.uint8], permitted: npt.NDArray[np.bool_]) -> None:
        if len(self._firsts) == 0:
            if self._inside:
                permitted[:] = False
            return
        keys = np.ascontiguousarray(addresses).view(f"S{self._width}")[:, 0]
        at = np.searchsorted(self._firsts, keys, "right") - 1
        among = (at >= 0) & (keys <= self._lasts[at])
        permitted &= among if self._inside else ~among

    def _bytes(self, numbers: list[int]) -> npt.NDArray[Any]:
        return np.array([number.to_bytes(self._width, "big") for number in numbers], f"S{self._width}")
