"""Packets past the kernel's socket layer: an AF_XDP socket that only sends, a quarter cheaper for each packet than sendmmsg(2) on a packet socket.

See the kernel's Documentation/networking/af_xdp.rst. In copy mode it needs nothing of the driver and takes nothing from what the card receives.
Not every kernel has it, and one interface serves one program at a time: whoever uses this must be able to do without.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import socket
import struct
import time

import numpy as np
import numpy.typing as npt

_AF_XDP, _SOL_XDP, _COPY = 44, 283, 2
_OFFSETS, _SEND_RING, _MEMORY, _FILL_RING, _DONE_RING, _BUDGET = 1, 3, 4, 5, 6, 9
_SEND_PAGE, _DONE_PAGE = 0x80000000, 0x180000000
"""Where in the socket's file the rings lie, as mmap(2) sees it."""
_CHUNK = 2048
"""The kernel's unit of this memory: no frame may cross from one into the next."""
_FRAME = 128
_BUSY = {0, errno.EAGAIN, errno.EBUSY, errno.ENOBUFS, errno.EINTR}
_PATIENCE_S = 1.0
"""A card that took nothing for so long takes nothing any more."""
_AGAIN_S = 0.1
"""After a close the kernel frees the interface for the next within some 20 ms."""
_LIBC = ctypes.CDLL(None, use_errno=True)


class Express:
    """Sends frames of one size by one interface; all begin with `head`. Needs CAP_NET_RAW; raises OSError where it cannot be had.

    `count`, a power of two, is how many may be on their way.
    """

    def __init__(self, interface: str, head: bytes, size: int, count: int) -> None:
        self._count, self._head = count, len(head)
        self._steps = np.arange(count)
        self._socket = socket.socket(_AF_XDP, socket.SOCK_RAW, 0)
        self._maps = [mmap.mmap(-1, count * _FRAME)]
        try:
            memory = np.frombuffer(self._maps[0], np.uint8)
            self._socket.setsockopt(_SOL_XDP, _MEMORY, struct.pack("QQIIII", memory.ctypes.data, len(memory), _CHUNK, 0, 0, 0))
            for ring in (_FILL_RING, _DONE_RING, _SEND_RING):
                self._socket.setsockopt(_SOL_XDP, ring, struct.pack("I", count))
            with contextlib.suppress(OSError):
                # Since Linux 6.17 one system call takes as many as one likes, before 32.
                self._socket.setsockopt(_SOL_XDP, _BUDGET, struct.pack("I", count))
            # Of each of four rings: its producer, its consumer, its entries, its flags.
            at = struct.unpack("16Q", self._socket.getsockopt(_SOL_XDP, _OFFSETS, 128))
            sending = self._ring(_SEND_PAGE, at[6] + count * 16)
            done = self._ring(_DONE_PAGE, at[14] + count * 8)
            name = struct.pack("HHIII", _AF_XDP, _COPY, socket.if_nametoindex(interface), 0, 0)
            deadline = time.monotonic() + _AGAIN_S
            while _LIBC.bind(self._socket.fileno(), name, len(name)) != 0:
                if ctypes.get_errno() != errno.EBUSY or time.monotonic() > deadline:
                    raise OSError(ctypes.get_errno(), "bind")
                time.sleep(0.002)
        except OSError:
            self.close()
            raise
        self._given, self._taken = (sending[start : start + 4].view(np.uint32) for start in at[4:6])
        self._done, self._seen = (done[start : start + 4].view(np.uint32) for start in at[12:14])
        entries = sending[at[6] : at[6] + count * 16].view(np.uint64).reshape(count, 2)
        self._given_places, self._done_places = entries[:, 0], done[at[14] : at[14] + count * 8].view(np.uint64)
        entries[:, 1] = size
        self._frames = memory.reshape(count, _FRAME)
        self._frames[:, : len(head)] = np.frombuffer(head, np.uint8)
        self._free = self._steps

    def send(self, rows: npt.NDArray[np.uint8]) -> int:
        """Hand over rows, at most half of `count`; returns how many the kernel took. After fewer than all, this is of no use any more."""
        self._take_back(len(rows))
        if len(self._free) < len(rows):
            return 0
        mine, self._free = self._free[: len(rows)], self._free[len(rows) :]
        self._frames[mine, self._head : self._head + rows.shape[1]] = rows
        begin = int(self._given[0])
        self._given_places[(begin + self._steps[: len(rows)]) % self._count] = mine * _FRAME
        end = self._given[0] = np.uint32((begin + len(rows)) & 0xFFFFFFFF)
        before, deadline = self._taken[0], time.monotonic() + _PATIENCE_S
        while self._taken[0] != end:
            sent = _LIBC.sendto(self._socket.fileno(), None, 0, socket.MSG_DONTWAIT, None, 0)
            if self._taken[0] != before:
                before, deadline = self._taken[0], time.monotonic() + _PATIENCE_S
            elif (sent < 0 and ctypes.get_errno() not in _BUSY) or time.monotonic() > deadline:
                break
            else:
                time.sleep(0.0003)
        return (int(self._taken[0]) - begin) & 0xFFFFFFFF

    def _take_back(self, wanted: int) -> None:
        """Frames that have left may be used again; wait until there are enough."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            begin, end = int(self._seen[0]), int(self._done[0])
            back = self._done_places[(begin + self._steps[: (end - begin) & 0xFFFFFFFF]) % self._count] // _FRAME
            self._free = np.concatenate((self._free, back.astype(np.intp)))
            self._seen[0] = end
            if len(self._free) >= wanted or time.monotonic() > deadline:
                return
            time.sleep(0.0003)

    def close(self) -> None:
        """Give socket and memory back."""
        for name in ("_given", "_taken", "_done", "_seen", "_given_places", "_done_places", "_frames"):
            self.__dict__.pop(name, None)
        self._socket.close()
        for one in self._maps:
            with contextlib.suppress(BufferError):
                one.close()

    def _ring(self, page: int, size: int) -> npt.NDArray[np.uint8]:
        self._maps.append(mmap.mmap(self._socket.fileno(), size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, offset=page))
        return np.frombuffer(self._maps[-1], np.uint8)
