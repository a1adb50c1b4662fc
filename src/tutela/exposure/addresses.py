"""Many addresses in little room: as bytes, and as ranges. A /16 is 256 KiB here; as objects it would be ten million bytes and most of a second."""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import overload

from tutela.exposure.model import Address

Network = IPv4Network | IPv6Network
WIDTH = {4: 4, 6: 16}
"""Bytes of an address."""


class Addresses(Sequence[Address]):
    """A sequence of addresses, IPv4 before IPv6, that makes an object only of those looked at."""

    __slots__ = ("_four", "_six")

    def __init__(self, four: bytes = b"", six: bytes = b"") -> None:
        self._four, self._six = four, six

    @classmethod
    def of(cls, addresses: Iterable[Address]) -> Addresses:
        """The same addresses, packed."""
        if isinstance(addresses, Addresses):
            return addresses
        all_of_them = tuple(addresses)
        return cls(
            b"".join(one.packed for one in all_of_them if one.version == 4),
            b"".join(one.packed for one in all_of_them if one.version == 6),
        )

    @classmethod
    def of_ranges(cls, ranges: Iterable[tuple[int, int, int]]) -> Addresses:
        """All addresses of ranges, each (version, first, last)."""
        four, six = array("I"), bytearray()
        for version, first, last in ranges:
            if version == 4:
                four.extend(range(first, last + 1))
            else:
                six += b"".join(number.to_bytes(16, "big") for number in range(first, last + 1))
        if sys.byteorder == "little":
            four.byteswap()
        return cls(four.tobytes(), bytes(six))

    def packed(self, version: int) -> bytes:
        """Those of one version, one after the other in network byte order."""
        return self._four if version == 4 else self._six

    def numbers(self, version: int) -> list[int]:
        """Those of one version as numbers."""
        if version == 6:
            return [int.from_bytes(self._six[at : at + 16], "big") for at in range(0, len(self._six), 16)]
        four = array("I", self._four)
        if sys.byteorder == "little":
            four.byteswap()
        return four.tolist()

    def __len__(self) -> int:
        return len(self._four) // 4 + len(self._six) // 16

    @overload
    def __getitem__(self, place: int) -> Address: ...
    @overload
    def __getitem__(self, place: slice) -> Addresses: ...
    def __getitem__(self, place: int | slice) -> Address | Addresses:
        if isinstance(place, slice):
            return Addresses.of(self[one] for one in range(*place.indices(len(self))))
        if place < 0:
            place += len(self)
        fours = len(self._four) // 4
        if 0 <= place < fours:
            return IPv4Address(self._four[place * 4 : place * 4 + 4])
        place -= fours
        if 0 <= place < len(self._six) // 16:
            return IPv6Address(self._six[place * 16 : place * 16 + 16])
        raise IndexError(place)

    def __iter__(self) -> Iterator[Address]:
        for at in range(0, len(self._four), 4):
            yield IPv4Address(self._four[at : at + 4])
        for at in range(0, len(self._six), 16):
            yield IPv6Address(self._six[at : at + 16])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Addresses) and self._four == other._four and self._six == other._six

    def __hash__(self) -> int:
        return hash((self._four, self._six))

    def __repr__(self) -> str:
        return f"Addresses({', '.join(map(str, self)) if len(self) <= 4 else f'{len(self)} of them'})"


class Ranges:
    """A set of addresses as sorted ranges that do not overlap."""

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        self._firsts: dict[int, list[int]] = {4: [], 6: []}
        self._lasts: dict[int, list[int]] = {4: [], 6: []}
        for network in networks:
            self.add(network.version, int(network.network_address), int(network.broadcast_address))

    def add(self, version: int, first: int, last: int) -> list[tuple[int, int]]:
        """Take a range in; returns what of it was new."""
        new = self.outside(version, first, last)
        for one, other in new:
            at = bisect_left(self._firsts[version], one)
            self._firsts[version].insert(at, one)
            self._lasts[version].insert(at, other)
        return new

    def outside(self, version: int, first: int, last: int) -> list[tuple[int, int]]:
        """The parts of a range that are not in the set."""
        firsts, lasts = self._firsts[version], self._lasts[version]
        parts = []
        at = bisect_left(lasts, first)
        while first <= last and at < len(firsts) and firsts[at] <= last:
            if first < firsts[at]:
                parts.append((first, firsts[at] - 1))
            first = lasts[at] + 1
            at += 1
        if first <= last:
            parts.append((first, last))
        return parts

    def __contains__(self, address: Address) -> bool:
        at = bisect_right(self._firsts[address.version], int(address)) - 1
        return at >= 0 and int(address) <= self._lasts[address.version][at]

    def bounds(self, version: int) -> tuple[list[int], list[int]]:
        """First and last addresses of the ranges, as numbers, sorted."""
        return self._firsts[version], self._lasts[version]

    def __bool__(self) -> bool:
        return bool(self._firsts[4] or self._firsts[6])
