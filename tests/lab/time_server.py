"""A time server for the lab's hosts, run as a program in the centre's namespace.

It tells the machine's own time, so that chronyd in a host has something to agree with. It answers
as RFC 5905 (section 7.3) lays out a server's packet, as stratum 2, and nothing else.
"""

from __future__ import annotations

import socket
import struct
import sys
import time

_PORT = 123
_SINCE_1900 = 2_208_988_800
"""Seconds between the NTP era and the Unix epoch."""
_HEADER = struct.Struct("!BBbbII4s")
_LENGTH = 48


def answer(request: bytes, received: float, now: float) -> bytes | None:
    """The reply to a client's packet, or None for anything else."""
    is_client = len(request) >= _LENGTH and request[0] & 7 == 3
    if not is_client:
        return None
    version = request[0] >> 3 & 7
    header = _HEADER.pack(version << 3 | 4, 2, 6, -20, 0, 65, b"LAB\0")
    times = [_stamp(received - 1), request[40:48], _stamp(received), _stamp(now)]
    return header + b"".join(times)


def _stamp(seconds: float) -> bytes:
    whole = int(seconds)
    return struct.pack("!II", whole + _SINCE_1900, int((seconds - whole) * 2**32))


def serve(address: str) -> None:
    """Answer for ever."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, _PORT))
        while True:
            request, client = server.recvfrom(512)
            reply = answer(request, time.time(), time.time())
            if reply is not None:
                server.sendto(reply, client)


if __name__ == "__main__":
    serve(sys.argv[1])
