"""TCP SYN segments as numpy rows, one packet a row, made for thousands of destinations at once.

A SYN looks like the one that Linux sends (RFC 9293, with the options of RFC 7323 and RFC 2018), since filters on the way drop SYNs without options.
"""

from __future__ import annotations

import struct
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

U8: TypeAlias = npt.NDArray[np.uint8]
U16: TypeAlias = npt.NDArray[np.uint16]
U32: TypeAlias = npt.NDArray[np.uint32]

WINDOW = 64240
HOPS = 64
TCP_SIZE = 40
"""Header and options of our SYN, bytes."""
# Maximum segment size, selective acknowledgement, time stamps, padding, window scale, in the order of Linux.
_OPTIONS4 = struct.pack("!BBH BB BBII B BBB", 2, 4, 1460, 4, 2, 8, 10, 0, 0, 1, 3, 3, 7)
_OPTIONS6 = struct.pack("!BBH BB BBII B BBB", 2, 4, 1440, 4, 2, 8, 10, 0, 0, 1, 3, 3, 7)
_STAMP = 28
"""Where in the TCP header our time stamp stands."""


class SynPackets:
    """Rows of SYN packets from one source address and port. Every row is a whole IP packet.

    `rows[:n]` after `fill` are n packets; the array is used again by the next `fill`.
    """

    def __init__(self, source: bytes, source_port: int, capacity: int) -> None:
        self.source_port = source_port
        self.head = 20 if len(source) == 4 else 40
        tcp = struct.pack("!HHIIBBHHH", source_port, 0, 0, 0, TCP_SIZE // 4 << 4, 0x02, WINDOW, 0, 0)
        if len(source) == 4:
            header = struct.pack("!BBHHHBBH", 0x45, 0, self.head + TCP_SIZE, 0, 0x4000, HOPS, 6, 0) + source + bytes(4)
            packet, self._to = header + tcp + _OPTIONS4, 16
            # The kernel fills in the checksum of a raw socket's header, but not of a whole frame's.
            self._header_sum = _words(header)
        else:
            header = struct.pack("!IHBB", 6 << 28, TCP_SIZE, 6, HOPS) + source + bytes(16)
            packet, self._to = header + tcp + _OPTIONS6, 24
            self._header_sum = 0
        self._tcp_sum = _words(source) + _words(struct.pack("!HH", 6, TCP_SIZE)) + _words(packet[self.head :])
        self.rows: U8 = np.tile(np.frombuffer(packet, np.uint8), (capacity, 1))
        self._words32, self._words16 = self.rows.view(np.uint32), self.rows.view(np.uint16)

    def fill(self, destinations: U8, ports: U16, sequences: U32, stamp: int) -> int:
        """Make one packet for each destination, given as (n, 4 or 16) bytes; returns n, at most the capacity."""
        count, to, tcp = len(ports), self._to // 4, self.head // 4
        words32, words16 = self._words32[:count], self._words16[:count]
        # All in the byte order of the wire.
        addresses = np.ascontiguousarray(destinations).view(np.uint32)
        asked, numbers, stamped = ports.astype(">u2").view(np.uint16), sequences.astype(">u4").view(np.uint32), np.array(stamp, ">u4").view(np.uint32)
        words32[:, to : to + addresses.shape[1]] = addresses
        words16[:, 2 * tcp + 1] = asked
        words32[:, tcp + 1] = numbers
        words32[:, tcp + _STAMP // 4] = stamped
        address_sum = addresses.sum(axis=1, dtype=np.uint64)
        words16[:, 2 * tcp + 8] = _checksum(address_sum + asked + numbers + stamped + self._tcp_sum)
        if self.head == 20:
            words16[:, 5] = _checksum(address_sum + self._header_sum)
        return count


def reset_packet(source: bytes, source_port: int, destination: bytes, port: int, sequence: int) -> bytes:
    """A RST that takes back a half-open connection, where a filter of this machine keeps the kernel from sending it."""
    tcp = struct.pack("!HHIIBBHHH", source_port, port, sequence, 0, 0x50, 0x04, 0, 0, 0)
    total = _words(source) + _words(destination) + _words(struct.pack("!HH", 6, len(tcp))) + _words(tcp)
    tcp = tcp[:16] + _checksum(np.array([total], np.uint64)).tobytes() + tcp[18:]
    if len(source) == 4:
        # Length and checksum of the header are filled in by the kernel: raw(7).
        return struct.pack("!BBHHHBBH", 0x45, 0, 40, 0, 0x4000, HOPS, 6, 0) + source + destination + tcp
    return struct.pack("!IHBB", 6 << 28, len(tcp), 6, HOPS) + source + destination + tcp


def _words(raw: bytes) -> int:
    """Their sum as it stands in memory: the checksum comes out in the byte order in which the words go in (RFC 1071, section 2)."""
    return int(np.frombuffer(raw, np.uint16).sum())


def _checksum(total: npt.NDArray[np.uint64]) -> U16:
    """RFC 1071: fold the carries, complement. A 32-bit word counts as its two halves."""
    total = (total >> 32) + (total & 0xFFFFFFFF)
    for _ in range(3):
        total = (total >> 16) + (total & 0xFFFF)
    return (~total).astype(np.uint16)
