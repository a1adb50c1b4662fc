"""What can be reached from where: sockets and packet filter together (catalogue H.0.2).

`exposure.ports` holds one item for each (protocol, port, family, address) that something listens on, and one for each port that prerouting forwards (DNAT: published container ports).
Ask it like this:

    {some: exposure.ports, where: {path: .classes, contains: external}}
    {no: exposure.ports, where: {all: [{path: .process, in: [mysqld, mariadbd]}, {path: .classes, contains_any: [external, campus]}]}}

`classes` is Unobserved when a class is undecided (rules not readable, an expression that the walk does not know); `external`, `campus`, `admin` say it class by class.
A class is reached when one address of it gets through; `sources` says which ones do.
"""

from __future__ import annotations

from dataclasses import dataclass

from tutela.evidence import Reason, Unobserved
from tutela.facts import sockets
from tutela.facts.look import Look
from tutela.facts.sockets import Socket
from tutela.language import Text
from tutela.site import ApprovedPort

NEEDS = (*sockets.NEEDS,)


@dataclass(frozen=True, slots=True)
class Port:
    """Port(port=3306, protocol='tcp', family='ipv4', address='0.0.0.0', process='mariadbd', unit='mariadb.service', local=False, classes=('loopback', 'admin'), external=False, …)"""

    port: int
    protocol: str
    """tcp | udp"""
    family: str
    """ipv4 | ipv6"""
    address: str
    """Where it is bound: `0.0.0.0`, `::`, `127.0.0.1`, an address of the host. For `dnat`: the destination address that is forwarded, `0.0.0.0` and `::` for any."""
    process: str | Unobserved | None
    """Name of the listening program; None: the kernel itself, or a DNAT target elsewhere."""
    unit: str | None
    """`mariadb.service`"""
    local: bool
    """Bound to loopback only."""
    classes: tuple[str, ...] | Unobserved
    """Of external, campus, admin, loopback: the source classes from which a packet gets here."""
    external: bool | Unobserved
    """Some address that is neither loopback nor in the admin or campus networks of the site gets here."""
    campus: bool | Unobserved
    """Some campus address outside the admin networks gets here."""
    admin: bool | Unobserved
    sources: tuple[str, ...] | Unobserved
    """Prefixes that surely get here, without loopback: ('192.0.2.0/28', '198.51.100.7'); ('0.0.0.0/0',) is everyone."""
    undeclared: bool | Unobserved
    """Some address outside the site's admin networks and declared clients gets here."""
    via: str
    """socket | dnat"""
    target: str | None
    """Where DNAT sends it: `172.17.0.2:80`."""
    approved: bool
    """The site's approved ports name it (port, protocol, this host)."""
    application: str | None
    """The application of that approval."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """Exposure(ports=(Port(…), …))"""

    ports: tuple[Port, ...]
    """By port, protocol, family, address."""


def parse(look: Look) -> Exposure | Unobserved:
    """The fact; Unobserved when the sockets could not be seen."""
    seen = look.fact(sockets.parse)
    if isinstance(seen, Unobserved):
        return seen
    return Exposure(tuple(_port(look, one) for one in seen.listening))


def _port(look: Look, socket: Socket) -> Port:
    doubt = Unobserved(Reason.NO_DATA, "firewall", Text("防火墙规则尚未计算", "the firewall is not computed yet"))
    approval = approval_of(look, socket.port, socket.protocol)
    return Port(
        port=socket.port,
        protocol=socket.protocol,
        family=socket.family,
        address=socket.address,
        process=socket.process,
        unit=socket.unit,
        local=socket.local,
        classes=("loopback",) if socket.local else doubt,
        external=False if socket.local else doubt,
        campus=False if socket.local else doubt,
        admin=False if socket.local else doubt,
        sources=() if socket.local else doubt,
        undeclared=False if socket.local else doubt,
        via="socket",
        target=None,
        approved=approval is not None,
        application=approval.application if approval else None,
    )


def approval_of(look: Look, port: int, protocol: str) -> ApprovedPort | None:
    """The approval of a port on this host, if the site has one."""
    for one in look.site.approved_ports or ():
        if one.port == port and one.protocol == protocol:  # the site holds only this host's approvals
            return one
    return None
