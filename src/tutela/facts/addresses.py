"""Which addresses the host uses, and which of them nobody assigned to it.

Source: ip-address(8) through the fact `interfaces`; assigned is what the site declares (`networks.assigned`).
Bridges to the host's own containers and tunnels carry addresses that nobody else on the network sees; they are left out.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address

from tutela.evidence import Reason, Unobserved
from tutela.facts import interfaces
from tutela.facts.interfaces import ADDRESSES, Address
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record
from tutela.site.model import Network

NEEDS = interfaces.NEEDS
_GENERATED = re.compile(r" (temporary|dynamic|mngtmpaddr)( |\\|$)")


@record
class Used:
    """Used(address='192.0.2.10', interface='eth0', assigned=True)"""

    address: str
    interface: str
    assigned: bool | Unobserved


@record
class Addresses:
    """Addresses(used=(Used(address='192.0.2.10', interface='eth0', assigned=True),))"""

    used: tuple[Used, ...]
    """Global addresses on interfaces that the network sees."""


def parse(look: Look) -> Addresses | Unobserved:
    """The fact; unknown where the site does not say what was assigned."""
    seen = look.fact(interfaces.parse)
    if isinstance(seen, Unobserved):
        return seen
    if isinstance(seen.addresses, Unobserved):
        return seen.addresses
    if isinstance(seen.outside, Unobserved):
        return seen.outside
    assigned = look.site.networks.assigned
    if assigned is None:
        return Unobserved(Reason.NO_ANSWER, "networks.assigned", Text("站点没有登记分配给本机的地址", "the site does not say which addresses were assigned"))
    generated = _generated(look)
    outside = seen.outside
    used = [
        Used(str(one.address.ip), one.interface, _assigned(one, assigned, generated))
        for one in seen.addresses
        if one.scope == "global" and one.interface in outside and not one.address.ip.is_loopback
    ]
    return Addresses(tuple(used))


def _assigned(one: Address, assigned: tuple[Network, ...], generated: frozenset[str]) -> bool | Unobserved:
    ip = one.address.ip
    if any(ip.version == network.version and ip in network for network in assigned):
        return True
    if isinstance(ip, IPv6Address) and str(ip) in generated and not any(network.version == 6 for network in assigned):
        why = Text("自动生成的 IPv6 地址，而站点没有登记 IPv6 前缀", "an IPv6 address that was made automatically, and the site declares no IPv6 prefix")
        return Unobserved(Reason.NO_ANSWER, str(ip), why)
    return False


def _generated(look: Look) -> frozenset[str]:
    """IPv6 addresses that the host formed itself from a prefix a router announced."""
    lines = look.lines(ADDRESSES)
    if isinstance(lines, Unobserved):
        return frozenset()
    words = (line.split() for line in lines if " inet6 " in line and _GENERATED.search(line))
    return frozenset(row[3].partition("/")[0] for row in words if len(row) > 3)
