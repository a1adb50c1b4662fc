"""Whether a host answers an ICMP echo request: where every port is silent, that alone tells a closed host from a way that does not exist.

Sources: icmp(7) for sockets without privilege (net.ipv4.ping_group_range), raw(7) where they are not allowed; RFC 792, RFC 4443.
"""

from __future__ import annotations

import secrets
import select
import socket
import struct
import time
from contextlib import closing

from tutela.exposure.model import Address

WAIT_S = 1.0
TRIES = 2
MOST_DATAGRAMS = 1000
"""Looked at for each request: a raw socket gets the ICMP of everybody."""
_KINDS = {4: (socket.AF_INET, socket.IPPROTO_ICMP, 8, 0), 6: (socket.AF_INET6, socket.IPPROTO_ICMPV6, 128, 129)}
"""Family, protocol, echo request, echo reply."""


def answers_echo(address: Address) -> bool | None:
    """True when it does, False when it does not, None when this machine may not ask."""
    family, protocol, request, reply = _KINDS[address.version]
    word = secrets.token_bytes(16)
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            one = socket.socket(family, kind, protocol)
        except OSError:
            continue
        with closing(one):
            one.setblocking(False)
            return any(_answered(one, str(address), _packet(request, number, word), reply, word) for number in range(1, TRIES + 1))
    return None


def _answered(one: socket.socket, address: str, packet: bytes, reply: int, word: bytes) -> bool:
    try:
        one.sendto(packet, (address, 0))
    except OSError:
        return False
    poll = select.poll()
    poll.register(one, select.POLLIN)
    end = time.monotonic() + WAIT_S
    for _ in range(MOST_DATAGRAMS):
        # When time is up, what came until then is read all the same: this program may have been busy.
        if not poll.poll(max(end - time.monotonic(), 0) * 1000):
            break
        try:
            said, sender = one.recvfrom(2048)
        except OSError:
            continue
        # A raw socket of IPv4 gives the IP header too.
        body = said[(said[0] & 15) * 4 :] if one.type == socket.SOCK_RAW and one.family == socket.AF_INET and said else said
        if str(sender[0]).partition("%")[0] == address and body[:1] == bytes([reply]) and body[8:] == word:
            return True
    return False


def _packet(request: int, number: int, word: bytes) -> bytes:
    # The kernel fills in the identifier of unprivileged sockets, and the checksum of ICMPv6.
    identifier = int.from_bytes(word[:2], "big")
    head = struct.pack("!BBHHH", request, 0, 0, identifier, number)
    total = sum(struct.unpack(f"!{len(head + word) // 2}H", head + word))
    total = (total >> 16) + (total & 0xFFFF)
    return struct.pack("!BBHHH", request, 0, ~(total + (total >> 16)) & 0xFFFF, identifier, number) + word
