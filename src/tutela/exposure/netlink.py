"""Questions to the kernel over netlink(7). Nothing is changed, and no right is needed."""

from __future__ import annotations

import socket
import struct

_REQUEST, _DUMP = 1, 0x300
_DONE, _ERROR = 3, 2
_MULTI = 2
_MOST = 65_536
_PATIENCE_S = 2.0


def ask(protocol: int, kind: int, body: bytes, *, dump: bool = False, most: int = _MOST) -> list[bytes]:
    """Bodies of the answers to one request of a protocol such as NETLINK_ROUTE, at most so many; none where the kernel says it is an error.

    `dump`: of all that the kernel has of the kind. Raises OSError where netlink is not to be had.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as link:
        link.settimeout(_PATIENCE_S)
        link.bind((0, 0))
        link.send(struct.pack("IHHII", 16 + len(body), kind, _REQUEST | (_DUMP if dump else 0), 1, 0) + body)
        bodies: list[bytes] = []
        while len(bodies) < most:
            raw = link.recv(1 << 16)
            at = 0
            while at + 16 <= len(raw):
                length, answer, flags, _, _ = struct.unpack_from("IHHII", raw, at)
                if answer in (_DONE, _ERROR) or length < 16:
                    return bodies
                bodies.append(raw[at + 16 : at + length])
                if not flags & _MULTI:
                    return bodies
                at += (length + 3) & ~3
        return bodies[:most]


def attributes(raw: bytes) -> list[tuple[int, bytes]]:
    """Attributes as kind and value, in their order; what does not fit is left out."""
    found, at = [], 0
    while at + 4 <= len(raw):
        length, kind = struct.unpack_from("HH", raw, at)
        if length < 4:
            break
        found.append((kind & 0x3FFF, raw[at + 4 : at + length]))
        at += (length + 3) & ~3
    return found
