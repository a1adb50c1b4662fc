"""What comes back to a SYN, read from many packets at once: (n, 176) bytes from the IP header on.

Nothing here is trusted: a packet that is cut, of another kind or of a strange shape gives no reply, and the caller holds each one against its cookie.
TCP: RFC 9293; ICMP errors quote the packet they are about: RFC 792, RFC 4443.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tutela.exposure.ring import SNAP

SYN_ACK, RESET, UNREACHABLE = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Replies:
    """Columns of n answers."""

    kind: npt.NDArray[np.uint8]
    """SYN_ACK, RESET or UNREACHABLE."""
    code: npt.NDArray[np.uint8]
    """Of an ICMP error, else 0."""
    address: npt.NDArray[np.uint8]
    """(n, 4 or 16): the host that was asked."""
    port: npt.NDArray[np.uint16]
    """That was asked."""
    our_port: npt.NDArray[np.uint16]
    sequence: npt.NDArray[np.uint32]
    """The sequence number of our SYN that the answer names."""
    at: npt.NDArray[np.float64]
    """When it arrived, seconds since 1970."""


def read(rows: npt.NDArray[np.uint8], at: npt.NDArray[np.float64], version: int) -> Replies:
    """The answers among the packets, in the order they came: TCP first, then ICMP."""
    if version == 4:
        inner = (rows[:, 0] & 0x0F).astype(np.intp) * 4
        sound = (rows[:, 0] >> 4 == 4) & (inner >= 20)
        protocol, icmp_protocol, source, unreachable = rows[:, 9], 1, slice(12, 16), 3
    else:
        inner = np.full(len(rows), 40, np.intp)
        sound = rows[:, 0] >> 4 == 6
        protocol, icmp_protocol, source, unreachable = rows[:, 6], 58, slice(8, 24), 1
    tcp = np.flatnonzero(sound & (protocol == 6))
    head = _from(rows[tcp], inner[tcp], 20)
    flags = head[:, 13]
    kind = np.where(flags & 0x17 == 0x12, SYN_ACK, np.where(flags & 0x16 == 0x14, RESET, 0)).astype(np.uint8)
    answers: tuple[npt.NDArray[Any], ...] = (
        kind,
        np.zeros_like(kind),
        rows[tcp][:, source],
        _u16(head, 0),
        _u16(head, 2),
        _u32(head, 8) - np.uint32(1),
        at[tcp],
    )

    icmp = np.flatnonzero(sound & (protocol == icmp_protocol))
    message = _from(rows[icmp], inner[icmp], SNAP - 60)
    quoted = message[:, 8:]
    if version == 4:
        quoted_inner = (quoted[:, 0] & 0x0F).astype(np.intp) * 4
        fits = (quoted[:, 0] >> 4 == 4) & (quoted_inner >= 20) & (quoted[:, 9] == 6)
        asked = quoted[:, 16:20]
    else:
        quoted_inner = np.full(len(icmp), 40, np.intp)
        fits = (quoted[:, 0] >> 4 == 6) & (quoted[:, 6] == 6)
        asked = quoted[:, 24:40]
    head = _from(quoted, quoted_inner, 8)
    kind = np.where(fits & (message[:, 0] == unreachable), UNREACHABLE, 0).astype(np.uint8)
    errors: tuple[npt.NDArray[Any], ...] = (kind, message[:, 1], asked, _u16(head, 2), _u16(head, 0), _u32(head, 4), at[icmp])

    wanted = np.concatenate((answers[0], errors[0])) > 0
    return Replies(*(np.concatenate((one, other))[wanted] for one, other in zip(answers, errors, strict=True)))


def _from(rows: npt.NDArray[np.uint8], start: npt.NDArray[np.intp], size: int) -> npt.NDArray[np.uint8]:
    """`size` bytes of each row from its own `start` on; zeros beyond the end."""
    if len(rows) == 0:
        return np.empty((0, size), np.uint8)
    if (start == start[0]).all() and start[0] + size <= rows.shape[1]:
        return np.ascontiguousarray(rows[:, start[0] : start[0] + size])
    columns = start[:, None] + np.arange(size)
    beyond = columns >= rows.shape[1]
    taken: npt.NDArray[np.uint8] = np.take_along_axis(rows, np.where(beyond, 0, columns), 1)
    taken[beyond] = 0
    return taken


def _u16(rows: npt.NDArray[np.uint8], at: int) -> npt.NDArray[np.uint16]:
    return rows[:, at].astype(np.uint16) << np.uint16(8) | rows[:, at + 1]


def _u32(rows: npt.NDArray[np.uint8], at: int) -> npt.NDArray[np.uint32]:
    return _u16(rows, at).astype(np.uint32) << np.uint32(16) | _u16(rows, at + 2)
