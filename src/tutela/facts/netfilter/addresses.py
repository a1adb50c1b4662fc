"""Sets of addresses as intervals of integers: what a walk keeps of "who can get here"."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network, summarize_address_range
from itertools import islice
from typing import Any

from tutela.record import record

BITS = {4: 32, 6: 128}


@record
class Addresses:
    """Addresses((10, 20), (30, 30)): sorted intervals with both ends included, never touching."""

    spans: tuple[tuple[int, int], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.spans)

    def __or__(self, other: Addresses) -> Addresses:
        if not self.spans or not other.spans:
            return self if self.spans else other
        if other.covers(self):
            return other
        if self.covers(other):
            return self
        few, many = (self, other) if len(self.spans) < len(other.spans) else (other, self)
        if len(few.spans) * 8 < len(many.spans):
            for low, high in few.spans:
                many = many.including(low, high)
            return many
        return union((*self.spans, *other.spans))

    def __and__(self, other: Addresses) -> Addresses:
        if not self.spans or not other.spans:
            return NOBODY
        if other.covers(self):
            return self
        if self.covers(other):
            return other
        few, many = (self, other) if len(self.spans) < len(other.spans) else (other, self)
        if len(few.spans) * 8 < len(many.spans):
            return Addresses(tuple(span for low, high in few.spans for span in many.within(low, high)))
        found = []
        left, right = self.spans, other.spans
        i = j = 0
        while i < len(left) and j < len(right):
            low, high = max(left[i][0], right[j][0]), min(left[i][1], right[j][1])
            if low <= high:
                found.append((low, high))
            if left[i][1] < right[j][1]:
                i += 1
            else:
                j += 1
        return Addresses(tuple(found))

    def __sub__(self, other: Addresses) -> Addresses:
        if not self.spans or not other.spans:
            return self
        if other.covers(self):
            return NOBODY
        if len(other.spans) * 8 < len(self.spans) or len(other.spans) == 1:
            left = self
            for low, high in other.spans:
                left = left.without(low, high)
            return left
        found = []
        j = 0
        cuts = other.spans
        for low, high in self.spans:
            while j < len(cuts) and cuts[j][1] < low:
                j += 1
            k = j
            while k < len(cuts) and cuts[k][0] <= high:
                if cuts[k][0] > low:
                    found.append((low, cuts[k][0] - 1))
                low = cuts[k][1] + 1
                k += 1
            if low <= high:
                found.append((low, high))
        return Addresses(tuple(found))

    def covers(self, other: Addresses) -> bool:
        """One interval that holds all of `other`: the common case, seen without walking through either. False proves nothing."""
        return len(self.spans) == 1 and (not other.spans or (self.spans[0][0] <= other.spans[0][0] and other.spans[-1][1] <= self.spans[0][1]))

    def within(self, low: int, high: int) -> list[tuple[int, int]]:
        """What lies in one interval: only its neighbourhood is touched."""
        first = bisect_left(self.spans, (low, low))
        if first and self.spans[first - 1][1] >= low:
            first -= 1
        last = bisect_left(self.spans, (high + 1, 0))
        return [(max(begin, low), min(end, high)) for begin, end in self.spans[first:last]]

    def without(self, low: int, high: int) -> Addresses:
        """The same without one interval: only its neighbourhood is touched."""
        first = last = bisect_left(self.spans, (low, low))
        if first and self.spans[first - 1][1] >= low:
            first = last = first - 1
        middle: list[tuple[int, int]] = []
        while last < len(self.spans) and self.spans[last][0] <= high:
            begin, end = self.spans[last]
            if begin < low:
                middle.append((begin, low - 1))
            if end > high:
                middle.append((high + 1, end))
            last += 1
        return self if first == last else Addresses((*self.spans[:first], *middle, *self.spans[last:]))

    def including(self, low: int, high: int) -> Addresses:
        """The same with one interval more: only its neighbourhood is touched."""
        first = last = bisect_left(self.spans, (low, low))
        if first and self.spans[first - 1][1] >= low - 1:
            first -= 1
            low = self.spans[first][0]
        while last < len(self.spans) and self.spans[last][0] <= high + 1:
            last += 1
        if last > first:
            high = max(high, self.spans[last - 1][1])
        return Addresses((*self.spans[:first], (low, high), *self.spans[last:]))

    def __contains__(self, address: object) -> bool:
        return any(low <= address <= high for low, high in self.spans) if isinstance(address, int) else False

    @property
    def count(self) -> int:
        """How many addresses."""
        return sum(high - low + 1 for low, high in self.spans)

    def prefixes(self, family: int, most: int = 32) -> tuple[str, ...]:
        """As prefixes in words, `most` of them, then an ellipsis: ('192.0.2.0/28', '198.51.100.7')."""
        words: list[str] = []
        for low, high in self.spans:
            ends: Any = ip_address(_packed(low, family)), ip_address(_packed(high, family))
            for network in islice(summarize_address_range(*ends), most + 1):
                words.append(str(network.network_address) if network.prefixlen == BITS[family] else str(network))
                if len(words) > most:
                    return (*words[:most], "…")
        return tuple(words)


NOBODY = Addresses()
EVERYONE = {family: Addresses(((0, (1 << bits) - 1),)) for family, bits in BITS.items()}


def union(spans: Iterable[tuple[int, int]]) -> Addresses:
    """The set of all these intervals."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(spans):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return Addresses(tuple(merged))


def of_networks(networks: Iterable[IPv4Network | IPv6Network], family: int) -> Addresses:
    """The addresses of those networks that are of `family`."""
    return union((int(one.network_address), int(one.broadcast_address)) for one in networks if one.version == family)


def of_words(words: str, family: int) -> Addresses | None:
    """`192.0.2.1`, `192.0.2.0/24`, `192.0.2.0/255.255.255.0`, `192.0.2.1-192.0.2.9`; None when it is no address.

    An address of the other family is an empty set: no packet of this family matches it.
    """
    try:
        first, dash, last = words.partition("-")
        if dash:
            low, high = ip_address(first), ip_address(last)
            if low.version != high.version or int(low) > int(high):
                return None
            return Addresses(((int(low), int(high)),)) if low.version == family else NOBODY
        return of_networks((ip_network(words, strict=False),), family)
    except ValueError:
        return None


def _packed(value: int, family: int) -> bytes:
    return value.to_bytes(BITS[family] // 8, "big")
