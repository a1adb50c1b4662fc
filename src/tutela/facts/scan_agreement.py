"""What a scan from elsewhere found open and the host itself says is closed to that place (catalogue H-025).

Measured "open" wins over the host's word; measured "closed" says nothing, since there are other places to look from.
That nothing contradicts is only shown by scans of every TCP port on every address of the host that strangers can name.
"""

from __future__ import annotations

from ipaddress import ip_address

from tutela.evidence import Unobserved
from tutela.facts import exposure, interfaces, outside
from tutela.facts.exposure import ANY, Reached
from tutela.facts.look import Look
from tutela.facts.outside import BEHIND_NAT, ITSELF, Place
from tutela.facts.scans import Found
from tutela.record import record

NEEDS = (*outside.NEEDS, *exposure.NEEDS)


@record
class Denied:
    """Denied(vantage='external', source='203.0.113.7', address='192.0.2.10', protocol='tcp', port=4444, service=None, host='nothing listens')"""

    vantage: str
    source: str
    address: str
    protocol: str
    port: int
    service: str | None
    host: str
    """What the host says: nothing listens | closed to this place"""


@record
class ScanAgreement:
    """ScanAgreement(denied=())"""

    denied: tuple[Denied | Unobserved, ...] | Unobserved


def parse(look: Look) -> ScanAgreement:
    """The fact."""
    seen = look.fact(outside.parse)
    if not seen.places:
        assert isinstance(seen.data_ports, Unobserved)
        return ScanAgreement(seen.data_ports)
    said = look.fact(exposure.reached)
    if isinstance(said, Unobserved):
        return ScanAgreement(said)
    mine = _own(look)
    found = [_denied(place, one, said, mine) for place in seen.places if place.vantage != ITSELF for one in place.open]
    holes = outside.unlooked(look, seen.places, outside.EVERY_PORT, neutral=False)
    return ScanAgreement((*(one for one in found if one is not None), *holes))


def _own(look: Look) -> frozenset[str]:
    seen = look.fact(interfaces.parse)
    known = () if isinstance(seen, Unobserved) or isinstance(seen.addresses, Unobserved) else seen.addresses
    return frozenset(str(one.address.ip) for one in known)


def _denied(place: Place, one: Found, said: tuple[Reached, ...], mine: frozenset[str]) -> Denied | Unobserved | None:
    source, address = ip_address(place.source), ip_address(place.address)
    # Which of the host's addresses a translated one stands for is not known: a socket of any of them will do.
    bound = {ANY[address.version], place.address} if place.address in mine else None
    same = [
        reached
        for reached in said
        if (reached.port.port, reached.port.protocol, reached.port.family) == (one.port, one.protocol, f"ipv{address.version}")
        and not reached.port.local
        and (bound is None or reached.port.address in bound)
    ]
    if not same:
        return Denied(place.vantage, place.source, place.address, one.protocol, one.port, one.service, "nothing listens")
    if place.vantage == BEHIND_NAT or any(int(source) in reached.classes.sure for reached in same):
        return None
    doubt = next((reached.classes.doubt for reached in same if reached.classes.doubt is not None and int(source) in reached.classes.maybe), None)
    return doubt if doubt is not None else Denied(place.vantage, place.source, place.address, one.protocol, one.port, one.service, "closed to this place")
