"""The host's network interfaces and addresses, and over which of them strangers come.

Source: ip-address(8), /proc/net/route and /proc/net/ipv6_route (proc(5)), sysctl net.ipv6.conf.*.disable_ipv6 and forwarding, net.ipv4.conf.*.route_localnet.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from ipaddress import IPv4Interface, IPv6Interface, ip_interface

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record, replace

ADDRESSES = "ip -o addr"
ROUTES = "/proc/net/route"
ROUTES6 = "/proc/net/ipv6_route"
DISABLED = ("/proc/sys/net/ipv6/conf/all/disable_ipv6", "/proc/sys/net/ipv6/conf/default/disable_ipv6")
FORWARD = ("/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding")
LOCALNET = "/proc/sys/net/ipv4/conf/*/route_localnet (interfaces)"
NEEDS = (ADDRESSES, ROUTES, ROUTES6, *DISABLED, *FORWARD, LOCALNET)

_INSIDE = re.compile(r"(docker|br-[0-9a-f]{12}$|veth|virbr|vnet|cni|flannel|cali|cilium|lxc|lxdbr|lxcbr|podman|cbr|kube-|nerdctl|incusbr|waydroid)")
"""Bridges and links to containers and guests of this very host."""
_TUNNEL = re.compile(r"(wg|tailscale|zt|nebula)")
"""Tunnels over which only peers with a known key can send."""


@record
class Address:
    """Address(interface='eth0', address=IPv4Interface('192.0.2.10/24'), scope='global')"""

    interface: str
    address: IPv4Interface | IPv6Interface
    scope: str
    """host | link | global, as ip(8) prints it."""


@record
class Interfaces:
    """Interfaces(addresses=(Address(…),), outside=('eth0',), …)"""

    addresses: tuple[Address, ...] | Unobserved
    outside: tuple[str, ...] | Unobserved
    """Interfaces over which a packet from elsewhere can come: with an address, not loopback, no link to own containers; a tunnel only when it carries the default route."""
    default_route: tuple[str, ...] | Unobserved
    ipv6_disabled: bool | Unobserved
    """net.ipv6.conf.{all,default}.disable_ipv6 are both 1, or the kernel has no IPv6."""
    forwards: tuple[bool | Unobserved, bool | Unobserved]
    """Whether the host forwards IPv4 and IPv6 packets."""
    localnet: tuple[str, ...] | Unobserved
    """Interfaces over which packets to 127/8 are taken from others; `all` is every one."""

    def has_family(self, family: int) -> bool | Unobserved:
        """Whether some interface beside loopback has an address of this family."""
        if isinstance(self.addresses, Unobserved):
            return self.addresses
        return any(one.address.version == family and not one.address.ip.is_loopback for one in self.addresses)


def parse(look: Look) -> Interfaces | Unobserved:
    """The fact; field by field."""
    addresses = _addresses(look)
    default = _default_routes(look)
    return Interfaces(
        addresses=addresses,
        outside=_outside(addresses, default),
        default_route=default,
        ipv6_disabled=_ipv6_disabled(look),
        forwards=(_switch(look, FORWARD[0]), _switch(look, FORWARD[1])),
        localnet=names if isinstance(names := look.lines(LOCALNET), Unobserved) else tuple(names),
    )


@record
class Placed:
    """The fact with each address moved to the nearest of `edges` below it: for what only asks between which edges an address lies.

    Addresses are other ones on every host; where they lie between the networks that rules mention is seldom different.
    """

    edges: tuple[tuple[int, ...], tuple[int, ...]]
    """Sorted; IPv4 and IPv6."""

    def __call__(self, look: Look) -> Interfaces | Unobserved:
        """The fact; one for each choice of edges."""
        seen = look.fact(parse)
        if isinstance(seen, Unobserved) or isinstance(seen.addresses, Unobserved):
            return seen
        placed = dict.fromkeys(replace(one, address=self._place(one.address)) for one in seen.addresses)
        return replace(seen, addresses=tuple(placed))

    def _place(self, address: IPv4Interface | IPv6Interface) -> IPv4Interface | IPv6Interface:
        edges = self.edges[0 if address.version == 4 else 1]
        at = bisect_right(edges, int(address.ip)) - 1
        return IPv4Interface(edges[at]) if address.version == 4 else IPv6Interface(edges[at])


def placed(values: Iterable[tuple[int, Iterable[tuple[int, int]]]]) -> Placed:
    """Of spans of addresses by family; nothing is moved into loopback or out of it."""
    edges: dict[int, set[int]] = {4: {0, 127 << 24, 128 << 24}, 6: {0, 1, 2}}
    for family, spans in values:
        for low, high in spans:
            edges[family] |= {low, high + 1}
    return Placed((tuple(sorted(edges[4])), tuple(sorted(edges[6]))))


_LINE = re.compile(r"[0-9]+: +([^ @]+)(?:@\S+)? +inet6? +([0-9a-fA-F.:]+)(?: peer ([0-9a-fA-F.:]+))?(?:/([0-9]{1,3}))?( .*)?")


def _addresses(look: Look) -> tuple[Address, ...] | Unobserved:
    lines = look.lines(ADDRESSES)
    if isinstance(lines, Unobserved):
        return lines
    found = []
    for line in lines:
        match = _LINE.match(line)
        if match is None:
            continue  # families other than IP
        scope = re.search(r" scope ([a-z]+)", match[5] or "")
        try:
            address = ip_interface(f"{match[2]}/{match[4]}" if match[4] and not match[3] else match[2])
        except ValueError:
            return Unobserved(Reason.FORMAT, ADDRESSES, Text(f"无法理解的地址 {match[2]!r}", f"an address that is not understood: {match[2]!r}"))
        found.append(Address(match[1], address, scope[1] if scope else "global"))
    return tuple(found)


def _default_routes(look: Look) -> tuple[str, ...] | Unobserved:
    lines = look.lines(ROUTES)
    if isinstance(lines, Unobserved):
        return lines
    found = [words[0] for words in (line.split() for line in lines[1:]) if len(words) >= 8 and words[1] == "00000000" and words[7] == "00000000"]
    lines6 = look.lines(ROUTES6)
    if not isinstance(lines6, Unobserved):
        rows = [line.split() for line in lines6]
        found += [row[9] for row in rows if len(row) == 10 and row[0] == "0" * 32 and row[1] == "00" and row[9] != "lo"]
    return tuple(dict.fromkeys(found))


def _outside(addresses: tuple[Address, ...] | Unobserved, default: tuple[str, ...] | Unobserved) -> tuple[str, ...] | Unobserved:
    if isinstance(addresses, Unobserved):
        return addresses
    routes = () if isinstance(default, Unobserved) else default
    names = dict.fromkeys(one.interface for one in addresses)
    return tuple(name for name in names if name != "lo" and (name in routes or not (_INSIDE.match(name) or _TUNNEL.match(name))))


def _ipv6_disabled(look: Look) -> bool | Unobserved:
    if all(look.source(name).status is Status.ABSENT for name in DISABLED):
        return True
    values = [_switch(look, name) for name in DISABLED]
    if False in values:
        return False
    return next((value for value in values if isinstance(value, Unobserved)), True)


def _switch(look: Look, name: str) -> bool | Unobserved:
    text = look.text(name)
    if isinstance(text, Unobserved):
        return text
    if text.strip() not in ("0", "1", "2"):
        return Unobserved(Reason.FORMAT, name, Text(f"不是 0 或 1：{text.strip()[:20]!r}", f"neither 0 nor 1: {text.strip()[:20]!r}"))
    return text.strip() != "0"
