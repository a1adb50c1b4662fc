"""How packets leave this machine: source addresses, and the neighbour behind which a network lies.

The kernel is asked over rtnetlink(7); nothing is changed.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import time
from ipaddress import IPv4Address, IPv6Address, ip_address

from tutela.errors import ScanError, said_by_system
from tutela.exposure.netlink import ask, attributes
from tutela.language import Text
from tutela.record import record

Address = IPv4Address | IPv6Address
_GETADDR, _GETNEIGH, _GETROUTE = 22, 30, 26
_SIOCGIFHWADDR, _ARPHRD_ETHER = 0x8927, 1
_DST, _OIF, _GATEWAY = 1, 4, 5  # RTA_*
_IFA_ADDRESS, _IFA_LOCAL, _IFA_BROADCAST = 1, 2, 4
_NDA_DST, _NDA_LLADDR = 1, 2
_USABLE = 0x02 | 0x04 | 0x08 | 0x10 | 0x80  # NUD_REACHABLE | STALE | DELAY | PROBE | PERMANENT


@record
class Hop:
    """Hop(interface='eth0', own=b'…', neighbour=b'…'): the next machine on the way, by its Ethernet address"""

    interface: str
    own: bytes
    neighbour: bytes


def source_of(address: Address) -> Address:
    """The address from which this machine would speak to `address`.

    Raises ScanError when there is no route. Sends nothing: connect(2) of a UDP socket only asks the routing table.
    """
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))
            return ip_address(probe.getsockname()[0].partition("%")[0])
    except OSError as problem:
        why = said_by_system(problem)
        raise ScanError(
            Text(
                f"没有到 {address} 的路由：{why.zh}；请检查本机网络（ip route get {address}）",
                f"no route to {address}: {why.en}; look at this machine's network (ip route get {address})",
            )
        ) from None


def own_addresses() -> list[Address]:
    """All addresses of this machine."""
    found: list[Address] = []
    for message in ask(socket.NETLINK_ROUTE, _GETADDR, struct.pack("BBBBI", 0, 0, 0, 0, 0), dump=True):
        values = dict(attributes(message[8:]))
        raw = values.get(_IFA_LOCAL, values.get(_IFA_ADDRESS, b""))
        if len(raw) in (4, 16):
            found.append(ip_address(raw))
    return found


def own_broadcasts() -> list[IPv4Address]:
    """Addresses by which this machine speaks to all hosts of a network at once: no host has them, and the kernel sends nothing there unasked."""
    found: list[IPv4Address] = []
    for message in ask(socket.NETLINK_ROUTE, _GETADDR, struct.pack("BBBBI", socket.AF_INET, 0, 0, 0, 0), dump=True):
        values, bits = dict(attributes(message[8:])), message[1]
        raw = values.get(_IFA_ADDRESS, b"")
        # With 31 and 32 bits there is none: RFC 3021.
        if len(raw) == 4 and bits < 31:
            found.append(IPv4Address(int.from_bytes(raw, "big") | (1 << 32 - bits) - 1))
        if len(values.get(_IFA_BROADCAST, b"")) == 4:
            found.append(IPv4Address(values[_IFA_BROADCAST]))
    return found


def next_hop(address: Address, *, patience_s: float = 1.0) -> Hop | None:
    """The Ethernet neighbour through which `address` is reached, or None where there is none (loopback, tunnels, no answer)."""
    index, gateway = _route(address)
    if index is None:
        return None
    try:
        interface = socket.if_indextoname(index)
        # Not from /sys, which shows the network namespace of whoever mounted it. Asked of any socket: netdevice(7).
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            answer = fcntl.ioctl(any_socket, _SIOCGIFHWADDR, struct.pack("16sH14s", interface.encode(), 0, b""))
    except OSError:
        return None
    kind, own = struct.unpack("16xH6s8x", answer)
    if kind != _ARPHRD_ETHER:
        return None
    hop = gateway or address
    deadline = time.monotonic() + patience_s
    while True:
        neighbour = _neighbours(address.version, index).get(hop)
        if neighbour is not None:
            return Hop(interface, own, neighbour)
        if time.monotonic() > deadline:
            return None
        # Any packet makes the kernel ask who has the address; port 9 (discard) does no harm.
        with socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as knock:
            knock.setblocking(False)
            try:
                knock.sendto(b"", (str(hop), 9) if hop.version == 4 else (str(hop), 9, 0, index))
            except OSError:
                return None
        time.sleep(0.02)


def _route(address: Address) -> tuple[int | None, Address | None]:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    packed = address.packed
    body = struct.pack("BBBBBBBBI", family, len(packed) * 8, 0, 0, 0, 0, 0, 0, 0) + struct.pack("HH", 4 + len(packed), _DST) + packed
    index: int | None = None
    gateway: Address | None = None
    for message in ask(socket.NETLINK_ROUTE, _GETROUTE, body):
        for kind, value in attributes(message[12:]):
            if kind == _OIF:
                index = struct.unpack("I", value)[0]
            elif kind == _GATEWAY:
                gateway = ip_address(value)
    return index, gateway


def _neighbours(version: int, index: int) -> dict[Address, bytes]:
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    found: dict[Address, bytes] = {}
    for message in ask(socket.NETLINK_ROUTE, _GETNEIGH, struct.pack("BBHiHBB", family, 0, 0, 0, 0, 0, 0), dump=True):
        _, _, _, on, state, _, _ = struct.unpack("BBHiHBB", message[:12])
        values = dict(attributes(message[12:]))
        if on == index and state & _USABLE and _NDA_DST in values and len(values.get(_NDA_LLADDR, b"")) == 6:
            found[ip_address(values[_NDA_DST])] = values[_NDA_LLADDR]
    return found
