"""Connections that this machine has already: how long a round trip to an address takes, before anything is sent to it.

The kernel is asked over sock_diag(7), which any user may; it tells of this network namespace alone.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv6Address, ip_address

from tutela.exposure import tcp_info
from tutela.exposure.model import Address, Request
from tutela.exposure.netlink import ask, attributes

_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY = 4, 20
_BYTECODE, _PEER_IS, _ANY_PORT = 1, 8, -1  # INET_DIAG_REQ_BYTECODE, INET_DIAG_BC_D_COND
_INFO = 2
_MESSAGE = 72
"""Bytes of struct inet_diag_msg."""
_PEER = slice(24, 40)
MOST = 256
"""Connections that are looked at; a proxy may have many thousands to one address."""


def seeded(request: Request) -> Request:
    """The request with the round trip of a connection that stands: where it asks one address, for what is measured on one says nothing of another."""
    return replace(request, rtt_s=trip_s(request.addresses[0])) if len(request.addresses) == 1 else request


def trip_s(address: Address) -> float | None:
    """The longest of the round trips of the established connections to the address, in seconds; None where there is none, or the kernel does not tell."""
    # A socket for IPv6 may hold a connection over IPv4.
    families = (socket.AF_INET, socket.AF_INET6) if address.version == 4 else (socket.AF_INET6,)
    try:
        answers = [message for family in families for message in ask(_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, question(family, address), dump=True, most=MOST)]
    except OSError:
        return None
    return longest_s(answers, address)


def question(family: int, address: Address) -> bytes:
    """Asks for established connections to this address: struct inet_diag_req_v2, and a program that the kernel runs over its sockets."""
    wanted = struct.pack("BBBxI48x", family, socket.IPPROTO_TCP, 1 << (_INFO - 1), 1 << tcp_info.ESTABLISHED)
    packed = address.packed
    condition = struct.pack("BBxxi", socket.AF_INET if address.version == 4 else socket.AF_INET6, 8 * len(packed), _ANY_PORT) + packed
    length = 4 + len(condition)
    # Two ways lead on: to the end of the program, which means yes, and past it, which means no.
    program = struct.pack("BBH", _PEER_IS, length, length + 4) + condition
    return wanted + struct.pack("HH", 4 + len(program), _BYTECODE) + program


def longest_s(answers: Iterable[bytes], address: Address) -> float | None:
    """The longest of the round trips that the answers (struct inet_diag_msg with attributes) tell of connections to the address."""
    trips = []
    for answer in answers:
        info = tcp_info.read(dict(attributes(answer[_MESSAGE:])).get(_INFO, b""))
        if info is not None and info.rtt_s is not None and info.state == tcp_info.ESTABLISHED and _peer(answer) == address:
            trips.append(info.rtt_s)
    return max(trips, default=None)


def _peer(answer: bytes) -> Address | None:
    raw = answer[_PEER]
    if len(raw) < 16:
        return None
    if answer[0] == socket.AF_INET:
        return ip_address(raw[:4])
    address = IPv6Address(raw)
    return address.ipv4_mapped or address
