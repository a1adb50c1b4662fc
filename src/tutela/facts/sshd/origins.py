"""From where an account can log in: sets of addresses, parts of them in doubt.

Much or little is counted in addresses of IPv4 and in networks of /64 of IPv6, which is what one customer has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network

from tutela.evidence import Unobserved
from tutela.evidence.observed import any_of
from tutela.facts.netfilter.addresses import NOBODY, Addresses, of_networks
from tutela.record import record

ALLOWED = {4: 256, 6: 256}
"""Derived default ssh.allowed_size: a /24 in total; of IPv6 as many networks of /64."""


@record
class Origins:
    """Origins(sure=Addresses(…), possible=Addresses(…), doubt=None): addresses of one family from which an account gets in."""

    sure: Addresses
    possible: Addresses
    """With the sure ones."""
    doubt: Unobserved | None
    """Why it is not known whether it gets in from the others."""

    def beyond(self, these: Addresses) -> bool | Unobserved:
        """Whether it gets in from anywhere else."""
        if self.sure - these:
            return True
        return (self.doubt or True) if self.possible - these else False


Both = Mapping[int, Origins]
"""By family, 4 and 6."""


def count(addresses: Addresses, family: int) -> int:
    """Addresses of IPv4; networks of /64 of IPv6, each begun one counted."""
    if family == 4:
        return addresses.count
    return sum((high >> 64) - (low >> 64) + 1 for low, high in addresses.spans)


def total(every: Iterable[Origins], family: int) -> int | Unobserved:
    """How many addresses all these are together; a doubt counts only when it changes the number."""
    sure = possible = NOBODY
    doubt: Unobserved | None = None
    for one in every:
        sure, possible = sure | one.sure, possible | one.possible
        doubt = doubt or one.doubt
    least, most = count(sure, family), count(possible, family)
    if doubt is None or not possible - sure:
        return least
    # Where all that is possible is few, or what is sure is many already, the rest decides nothing.
    return most if most <= ALLOWED[family] else least if least > ALLOWED[family] else doubt


def restricted(ipv4: int | Unobserved, ipv6: int | Unobserved) -> bool | Unobserved:
    """Whether these totals are few."""
    if (isinstance(ipv4, int) and ipv4 > ALLOWED[4]) or (isinstance(ipv6, int) and ipv6 > ALLOWED[6]):
        return False
    return next((one for one in (ipv4, ipv6) if isinstance(one, Unobserved)), True)


def beyond(both: Both, networks: Iterable[IPv4Network | IPv6Network]) -> bool | Unobserved:
    """Whether any lies in none of these networks."""
    networks = tuple(networks)
    return any_of(both[family].beyond(of_networks(networks, family)) for family in (4, 6))


def network(words: str) -> IPv4Network | IPv6Network | None:
    """The network that words name, if they name one."""
    try:
        return ip_network(words, strict=False)
    except ValueError:
        return None
