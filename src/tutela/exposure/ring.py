"""Answers from the network card, read without a system call: a packet(7) receive ring seen as one numpy array.

A filter in the kernel lets through only TCP segments to our source ports and ICMP "destination unreachable".
See the kernel's Documentation/networking/packet_mmap.rst (TPACKET_V2: frames of fixed size) and filter.rst.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import socket
import struct

import numpy as np
import numpy.typing as npt

FRAME = 256
"""Bytes of a frame: 80 of header, then at most 176 of the packet, enough for what an ICMP error quotes."""
BLOCK = 1 << 20
_HEADER = 80
SNAP = FRAME - _HEADER
_SOL_PACKET, _RX_RING, _STATISTICS, _VERSION = 263, 5, 6, 10
_TPACKET_V2 = 1
_LOOK = 1024
"""Frames looked at in one go."""
_USER = 1
"""tp_status: the frame is ours to read."""
_SO_ATTACH_FILTER = 26
_ETHERTYPE = {4: 0x0800, 6: 0x86DD}


class Ring:
    """The packets that arrive for one IP version, since the ring was made. Needs CAP_NET_RAW."""

    def __init__(self, version: int, ports: tuple[int, int], *, frames: int = 32768) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        try:
            self._socket.setsockopt(_SOL_PACKET, _VERSION, _TPACKET_V2)
            size = frames * FRAME
            self._socket.setsockopt(_SOL_PACKET, _RX_RING, struct.pack("IIII", BLOCK, size // BLOCK, FRAME, frames))
            self._attach(_filter4(*ports) if version == 4 else _filter6(*ports))
            self._map = mmap.mmap(self._socket.fileno(), size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
            self._bind(_ETHERTYPE[version])
        except OSError:
            self._socket.close()
            raise
        self._frames: npt.NDArray[np.uint8] = np.frombuffer(self._map, np.uint8).reshape(frames, FRAME)
        words = self._frames.view(np.uint32)
        self._status, self._seconds, self._nanoseconds = words[:, 0], words[:, 4], words[:, 5]
        self._at = 0

    def take(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
        """The packets that wait, (n, 176) bytes from the IP header on, and when each arrived (seconds since 1970).

        Beyond the end of a packet there are zeros. At most one ring full: who floods us must not keep us here.
        """
        if not self._status[self._at] & _USER:
            return _NOTHING, _NEVER
        parts, times = [], []
        for _ in range(len(self._status) // _LOOK):
            ready = self._status[self._at : self._at + _LOOK] & _USER
            count = len(ready) if ready.all() else int(ready.argmin())
            if count:
                piece = slice(self._at, self._at + count)
                parts.append(self._frames[piece, _HEADER:].copy())
                times.append(self._seconds[piece] + self._nanoseconds[piece] * 1e-9)
                # The kernel writes as many bytes as a packet has; the last packet's must not stand behind them.
                self._frames[piece, _HEADER:] = 0
                self._status[piece] = 0
                self._at = (self._at + count) % len(self._status)
            if count < len(ready):
                break
        if len(parts) == 1:
            return parts[0], times[0]
        return (np.concatenate(parts), np.concatenate(times)) if parts else (_NOTHING, _NEVER)

    def fileno(self) -> int:
        """For poll(2)."""
        return self._socket.fileno()

    def lost(self) -> int:
        """Packets that found the ring full since the last call."""
        _, drops = struct.unpack("II", self._socket.getsockopt(_SOL_PACKET, _STATISTICS, 8))
        return int(drops)

    def close(self) -> None:
        """Give the ring back; arrays that `take` gave stay valid."""
        del self._frames, self._status, self._seconds, self._nanoseconds
        self._socket.close()
        with contextlib.suppress(BufferError):
            self._map.close()

    def _attach(self, program: list[tuple[int, int, int, int]]) -> None:
        code = b"".join(struct.pack("HBBI", *one) for one in program)
        buffer = ctypes.create_string_buffer(code, len(code))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(program), ctypes.addressof(buffer)))

    def _bind(self, ethertype: int) -> None:
        # All interfaces; Python's bind() wants the name of one. One type of packet, or we would see our own leave as well.
        address = struct.pack("HHiHBB8s", socket.AF_PACKET, socket.htons(ethertype), 0, 0, 0, 0, bytes(8))
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.bind(self._socket.fileno(), address, len(address)) != 0:
            number = ctypes.get_errno()
            raise OSError(number, "bind")


_NOTHING: npt.NDArray[np.uint8] = np.empty((0, SNAP), np.uint8)
_NEVER: npt.NDArray[np.float64] = np.empty(0)

# Classic BPF: (code, jump if true, jump if false, k).
_LDB, _LDH, _LDXB_MSH, _LDH_X, _LDB_X = 0x30, 0x28, 0xB1, 0x48, 0x50
_JEQ, _JGE, _JGT, _JSET, _RET = 0x15, 0x35, 0x25, 0x45, 0x06


def _filter4(first: int, last: int) -> list[tuple[int, int, int, int]]:
    return [
        (_LDB, 0, 0, 9),  # protocol
        (_JEQ, 0, 6, 6),  # TCP, else to 8
        (_LDH, 0, 0, 6),
        (_JSET, 9, 0, 0x1FFF),  # a later fragment: drop
        (_LDXB_MSH, 0, 0, 0),
        (_LDH_X, 0, 0, 2),  # destination port
        (_JGE, 0, 6, first),
        (_JGT, 5, 4, last),
        (_JEQ, 0, 4, 1),  # ICMP
        (_LDXB_MSH, 0, 0, 0),
        (_LDB_X, 0, 0, 0),
        (_JEQ, 0, 1, 3),  # destination unreachable
        (_RET, 0, 0, SNAP),
        (_RET, 0, 0, 0),
    ]


def _filter6(first: int, last: int) -> list[tuple[int, int, int, int]]:
    return [
        (_LDB, 0, 0, 6),  # next header
        (_JEQ, 0, 3, 6),
        (_LDH, 0, 0, 42),
        (_JGE, 0, 5, first),
        (_JGT, 4, 3, last),
        (_JEQ, 0, 3, 58),  # ICMPv6
        (_LDB, 0, 0, 40),
        (_JEQ, 0, 1, 1),  # destination unreachable
        (_RET, 0, 0, SNAP),
        (_RET, 0, 0, 0),
    ]
