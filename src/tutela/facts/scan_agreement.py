"""What a scan from outside found open and the host itself says is closed (catalogue H-025).

Measured "open" wins over the host's word; measured "closed" says nothing, since there are other places to look from.
"""

from __future__ import annotations

from ipaddress import ip_address

from tutela.evidence import Unobserved
from tutela.facts import exposure, outside
from tutela.facts.exposure import Exposure
from tutela.facts.look import Look
from tutela.facts.outside import OpenPort
from tutela.record import record

NEEDS = (*outside.NEEDS, *exposure.NEEDS)


@record
class Denied:
    """Denied(vantage='external', address='192.0.2.10', protocol='tcp', port=4444, host='nothing listens')"""

    vantage: str
    address: str
    protocol: str
    port: int
    host: str
    """What the host says: nothing listens | closed to this place"""


@record
class ScanAgreement:
    """ScanAgreement(denied=())"""

    denied: tuple[Denied | Unobserved, ...] | Unobserved


def parse(look: Look) -> ScanAgreement:
    """The fact."""
    measured = look.fact(outside.parse).open
    if isinstance(measured, Unobserved):
        return ScanAgreement(measured)
    said = look.fact(exposure.parse)
    if isinstance(said, Unobserved):
        return ScanAgreement(said)
    found = [_denied(one, said) for one in measured]
    return ScanAgreement(tuple(one for one in found if one is not None))


def _denied(one: OpenPort, said: Exposure) -> Denied | Unobserved | None:
    family = f"ipv{ip_address(one.address).version}"
    same = [port for port in said.ports if port.port == one.port and port.protocol == one.protocol and port.family == family and not port.local]
    if not same:
        return Denied(one.vantage, one.address, one.protocol, one.port, "nothing listens")
    answers = [port.external if one.vantage == "external" else port.campus for port in same]
    if any(answer is True for answer in answers):
        return None
    doubt = next((answer for answer in answers if isinstance(answer, Unobserved)), None)
    return doubt if doubt is not None else Denied(one.vantage, one.address, one.protocol, one.port, "closed to this place")
