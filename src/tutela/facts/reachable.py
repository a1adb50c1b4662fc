"""Declared, listening, reachable: each port once, with what the site approved, what the host says, and what was measured from where.

Three answers to one question stand side by side and none overrules another here; the checks say which disagreement is a fault.
"""

from __future__ import annotations

from tutela.evidence import Unobserved
from tutela.facts import exposure, outside
from tutela.facts.look import Look
from tutela.facts.outside import ITSELF, flaw
from tutela.record import record

NEEDS = (*exposure.NEEDS, *outside.NEEDS)
MOST = 512
"""Ports that are listed."""


@record
class JoinedPort:
    """JoinedPort(port=443, protocol='tcp', declared='Web site', listening=('nginx',), host=('external', 'campus'), open_from=('external',), closed_from=('campus',), unclear_from=(), service='https', …)"""

    port: int
    protocol: str
    declared: str | None
    """The application of its approval; None: not declared."""
    listening: tuple[str, ...] | None
    """Programs, `?` where none could be named; None: by its own word nothing listens."""
    host: tuple[str, ...] | Unobserved
    """Classes of addresses that get there, by the host's rules."""
    open_from: tuple[str, ...]
    """Classes of places that measured it open."""
    closed_from: tuple[str, ...]
    """Classes of places that asked and got no connection."""
    unclear_from: tuple[str, ...]
    """Classes of places that asked, and whose silence does not show it closed: over UDP, and in a scan that was cut short, or did not get through."""
    service: str | None
    """What answered."""
    asked_bytes: int | None
    """UDP: bytes that the answer which is largest for its question was asked with."""
    answered_bytes: int | None


@record
class Reachable:
    """Reachable(ports=(JoinedPort(…),), looked=('external',), udp=(), unasked=())"""

    ports: tuple[JoinedPort, ...] | Unobserved
    looked: tuple[str, ...]
    """Classes of places that looked."""
    udp: tuple[str, ...]
    """Those that asked over UDP."""
    unasked: tuple[str, ...]
    """Those that found open ports and did not ask what answers there."""


def parse(look: Look) -> Reachable:
    """The fact."""
    measured = look.fact(outside.parse)
    places = tuple(place for place in measured.places if place.vantage != ITSELF)
    looked = tuple(sorted({place.vantage for place in places}))
    udp = tuple(sorted({place.vantage for place in places if place.udp}))
    unasked = tuple(sorted({place.vantage for place in places if place.open and not place.scan.identified}))
    said = look.fact(exposure.parse)
    if isinstance(said, Unobserved):
        return Reachable(said, looked, udp, unasked)
    keys = {(port.port, port.protocol) for port in said.ports if not port.local}
    keys |= {(one.port, one.protocol) for place in places for one in place.open}
    keys |= {(one.port, one.protocol) for one in look.site.approved_ports or ()}
    found = []
    for port, protocol in sorted(keys)[:MOST]:
        mine = [one for one in said.ports if (one.port, one.protocol) == (port, protocol) and not one.local]
        doubt = next((one.classes for one in mine if isinstance(one.classes, Unobserved)), None)
        reached = {name for one in mine if not isinstance(one.classes, Unobserved) for name in one.classes if name != "loopback"}
        answers = [(place.vantage, one) for place in places for one in place.open if (one.port, one.protocol) == (port, protocol)]
        largest = max((one for _, one in answers), key=lambda one: one.amplification, default=None)
        opened = {vantage for vantage, _ in answers}
        asked = [place for place in places if any(low <= port <= high for low, high in (place.scan.tcp if protocol == "tcp" else place.scan.udp))]
        closed = {place.vantage for place in asked if protocol == "tcp" and flaw(place, frozenset([port])) is None} - opened
        approval = exposure.approval_of(look, port, protocol)
        found.append(
            JoinedPort(
                port=port,
                protocol=protocol,
                declared=None if approval is None else approval.application,
                listening=tuple(dict.fromkeys(one.process if isinstance(one.process, str) else "?" for one in mine)) if mine else None,
                host=doubt if doubt is not None else tuple(sorted(reached)),
                open_from=tuple(sorted(opened)),
                closed_from=tuple(sorted(closed)),
                unclear_from=tuple(sorted({place.vantage for place in asked} - opened - closed)),
                service=next((one.service for _, one in answers if one.service is not None), None),
                asked_bytes=None if largest is None else largest.asked_bytes,
                answered_bytes=None if largest is None else largest.answered_bytes,
            )
        )
    return Reachable(tuple(found), looked, udp, unasked)
