"""Send many packets with few system calls: on a raw IP socket, or as whole Ethernet frames past the queueing layer.

A raw IP socket leaves routing, loopback, VLANs and neighbours to the kernel, for IPv4 and IPv6.
Frames to one neighbour are several times as fast; they are for large sweeps through one gateway.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import socket
import struct
import time
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tutela.exposure.express import Express
from tutela.exposure.routes import Hop

MOST = 1024
"""Packets in one sendmmsg(2): UIO_MAXIOV."""
_SOL_PACKET, _QDISC_BYPASS = 263, 20
_ETHERNET = 14
_LIBC = ctypes.CDLL(None, use_errno=True)
_MESSAGE = np.dtype(
    {"names": ["name", "namelen", "iov", "iovlen"], "formats": ["u8", "u4", "u8", "u8"], "offsets": [0, 8, 16, 24], "itemsize": 64},
)
_BUSY = {errno.EAGAIN, errno.ENOBUFS, errno.EINTR}


class Sender(Protocol):
    """Sends rows of IP packets."""

    @property
    def refused_with(self) -> int:
        """The error number of the last refusal."""

    def send(self, rows: npt.NDArray[np.uint8], destinations: npt.NDArray[np.uint8]) -> list[int]:
        """Hand the packets to the kernel; returns the rows that it refused (no route, a local filter)."""

    def close(self) -> None:
        """Give the socket back."""


class RawSender:
    """Whole IP packets through the kernel's routing. Needs CAP_NET_RAW."""

    def __init__(self, version: int) -> None:
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        # IPPROTO_RAW sends only: it receives nothing, and the header is ours (raw(7)).
        self._socket = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        name = struct.pack("HH4s8s", family, 0, bytes(4), bytes(8)) if version == 4 else struct.pack("HHI16sI", family, 0, 0, bytes(16), 0)
        self._names: npt.NDArray[np.uint8] = np.tile(np.frombuffer(name, np.uint8), (MOST, 1))
        self._address = slice(4, 8) if version == 4 else slice(8, 24)
        self._messages = _Messages(self._names)

    def send(self, rows: npt.NDArray[np.uint8], destinations: npt.NDArray[np.uint8]) -> list[int]:
        """Send each row to its destination's address."""
        refused: list[int] = []
        for at in range(0, len(rows), MOST):
            part = rows[at : at + MOST]
            self._names[: len(part), self._address] = destinations[at : at + MOST]
            refused += [at + row for row in self._messages.send(self._socket.fileno(), part)]
        return refused

    @property
    def refused_with(self) -> int:
        """The error number of the last refusal."""
        return self._messages.refused_with

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()


class FrameSender:
    """Whole Ethernet frames to one neighbour: by express where that can be had, else with sendmmsg(2) on a packet socket. Needs CAP_NET_RAW."""

    def __init__(self, version: int, hop: Hop) -> None:
        ethertype = 0x0800 if version == 4 else 0x86DD
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(_SOL_PACKET, _QDISC_BYPASS, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        self._socket.bind((hop.interface, 0))
        size = _ETHERNET + (60 if version == 4 else 80)
        head = hop.neighbour + hop.own + struct.pack("!H", ethertype)
        self._frames: npt.NDArray[np.uint8] = np.tile(np.frombuffer(head + bytes(size - _ETHERNET), np.uint8), (MOST, 1))
        self._messages = _Messages(None)
        self._express: Express | None = None
        with contextlib.suppress(OSError):
            self._express = Express(hop.interface, head, size, 2 * MOST)

    def send(self, rows: npt.NDArray[np.uint8], destinations: npt.NDArray[np.uint8]) -> list[int]:
        """Send each row to the neighbour, whatever its destination."""
        _ = destinations
        refused: list[int] = []
        for start in range(0, len(rows), MOST):
            part, at = rows[start : start + MOST], start
            if self._express is not None:
                taken = self._express.send(part)
                if taken == len(part):
                    continue
                # What keeps it from going on, the other socket tells.
                part, at = part[taken:], at + taken
                self._express.close()
                self._express = None
            frames = self._frames[: len(part)]
            frames[:, _ETHERNET:] = part
            refused += [at + row for row in self._messages.send(self._socket.fileno(), frames)]
        return refused

    @property
    def refused_with(self) -> int:
        """The error number of the last refusal."""
        return self._messages.refused_with

    def close(self) -> None:
        """Give the sockets back."""
        if self._express is not None:
            self._express.close()
        self._socket.close()


class _Messages:
    """The vector of struct mmsghdr, whose addresses stay the same as long as the rows stay where they are."""

    def __init__(self, names: npt.NDArray[np.uint8] | None) -> None:
        self._vectors = np.zeros((MOST, 2), np.uint64)
        self._headers = np.zeros(MOST, _MESSAGE)
        steps = np.arange(MOST, dtype=np.uint64)
        self._headers["iov"] = self._vectors.ctypes.data + steps * 16
        self._headers["iovlen"] = 1
        if names is not None:
            self._headers["name"] = names.ctypes.data + steps * names.shape[1]
            self._headers["namelen"] = names.shape[1]
        self._steps = steps
        self._of = (0, 0)
        self.refused_with = 0

    def send(self, descriptor: int, rows: npt.NDArray[np.uint8]) -> list[int]:
        """Send all rows; returns those that the kernel refused."""
        at = 0
        refused: list[int] = []
        while at < len(rows):
            sent, problem = self._some(descriptor, rows, at)
            at += max(sent, 0)
            if sent >= 0:
                continue
            if problem in _BUSY:
                # The card's queue is full; it empties by itself.
                time.sleep(0.0003)
                continue
            self.refused_with = problem
            refused.append(at)
            at += 1
        return refused

    def _some(self, descriptor: int, rows: npt.NDArray[np.uint8], start: int) -> tuple[int, int]:
        """Packets sent from row `start` on, or -1 and the error number of that row."""
        here = (rows.ctypes.data, rows.shape[1])
        if here != self._of:
            self._vectors[:, 0] = here[0] + self._steps * rows.strides[0]
            self._vectors[:, 1] = here[1]
            self._of = here
        sent = _LIBC.sendmmsg(descriptor, ctypes.c_void_p(self._headers.ctypes.data + start * 64), len(rows) - start, 0)
        return sent, ctypes.get_errno() if sent < 0 else 0
