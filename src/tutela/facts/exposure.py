"""What can be reached from where: sockets and packet filter together (catalogue H.0.2).

`exposure.ports` holds one item for each (protocol, port, family, address) that something listens on, and one for each port that prerouting forwards (DNAT: published container ports).
Ask it like this:

    {some: exposure.ports, where: {path: .classes, contains: external}}
    {no: exposure.ports, where: {all: [{path: .process, in: [mysqld, mariadbd]}, {path: .classes, contains_any: [external, campus]}]}}

`classes` is Unobserved when a class is undecided (rules not readable, an expression that the walk does not know); `external`, `campus`, `admin` say it class by class.
A class is reached when one address of it gets through; `sources` says which ones do.
"""

from __future__ import annotations

from ipaddress import ip_address

from tutela.evidence import Unobserved
from tutela.facts import firewall, interfaces, sockets
from tutela.facts.firewall import quoted, strangers
from tutela.facts.interfaces import Interfaces
from tutela.facts.look import Look
from tutela.facts.netfilter.addresses import EVERYONE, NOBODY, Addresses, of_networks, union
from tutela.facts.netfilter.host import MAX_STEPS_IN_ALL, Host, Way, too_many
from tutela.facts.netfilter.rules import Verdict, mentioned
from tutela.facts.sockets import Socket
from tutela.record import record, replace
from tutela.site import ApprovedPort

NEEDS = (*sockets.NEEDS, *firewall.NEEDS, *interfaces.NEEDS)
ANY = {4: "0.0.0.0", 6: "::"}  # noqa: S104 - addresses that are seen, not bound
PROXIES = frozenset(["docker-proxy", "rootlessport", "rootlesskit", "conmon", "pasta", "pasta.avx2", "slirp4netns", "passt", "containerd-shim"])
"""Programs that hold a container's port on the host."""
MAX_FORWARDED = 512
"""Ports of one forwarded range that are listed one by one; of a wider one both ends stand for all."""
REST = 0
"""Stands among forwarded ports for all that no forwarding rule mentions: a rule may send on whatever comes to an address."""
LINK_LOCAL = union(((0xFE80 << 112, (0xFEC0 << 112) - 1),))


@record
class Port:
    """Port(port=3306, protocol='tcp', family='ipv4', address='0.0.0.0', process='mariadbd', unit='mariadb.service', local=False, classes=('loopback', 'admin'), external=False, …)"""

    port: int
    """0: forwarded, every port that no forwarding rule mentions."""
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
    """Prefixes that surely get here, without loopback: ('192.0.2.0/28', '198.51.100.7'); ('0.0.0.0/0',) is everyone, ('0.0.0.0/0', '!192.0.2.7') everyone but one."""
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

    @property
    def published(self) -> bool:
        """A container's: forwarded by DNAT, or held by the engine's own proxy."""
        return self.via == "dnat" or self.process in PROXIES


@record
class Exposure:
    """Exposure(ports=(Port(…), …))"""

    ports: tuple[Port, ...]
    """By port, protocol, family, address."""


def parse(look: Look) -> Exposure | Unobserved:
    """The fact; Unobserved when the sockets could not be seen."""
    found = look.fact(reached)
    return found if isinstance(found, Unobserved) else Exposure(tuple(one.port for one in found))


def reached(look: Look) -> tuple[Reached, ...] | Unobserved:
    """The ports with the exact sets of addresses that get to them, for facts that think further."""
    seen = look.fact(sockets.parse)
    if isinstance(seen, Unobserved):
        return seen
    reader = _Reader(look)
    ports = []
    for one in seen.listening:
        if reader.steps > MAX_STEPS_IN_ALL:
            ports.append(reader.undecided(one, too_many()))
            continue
        ports.append(replace(look.fact(_Met(replace(one, pid=None))), socket=one))
        reader.count(one)
    ports += reader.forwarded(seen.listening)
    return tuple(sorted(ports, key=lambda one: one.order))


@record
class Classes:
    """Who gets somewhere, by the site's source classes."""

    sure: Addresses
    maybe: Addresses
    doubt: Unobserved | None

    def reaches(self, these: Addresses) -> bool | Unobserved:
        """Whether some of these addresses gets through."""
        if self.sure & these:
            return True
        return self.doubt if self.doubt is not None and self.maybe & these else False


@record
class Reached:
    """A port, the socket that answers there (None: DNAT to elsewhere), and the addresses that get there."""

    port: Port
    socket: Socket | None
    classes: Classes

    @property
    def order(self) -> tuple[object, ...]:
        """By port, protocol, family, address."""
        one = self.port
        return (one.port, one.protocol, one.family, one.address, one.via, one.target or "", str(one.process))


@record
class _Met:
    """A fact of its own for each listening socket, whatever process holds it: hosts with the same one share who gets there."""

    socket: Socket

    def __call__(self, look: Look) -> Reached:
        return _Reader(look).socket(self.socket)


@record
class _Groups:
    """The addresses of each source class, by family."""

    admin: dict[int, Addresses]
    campus: dict[int, Addresses]
    external: dict[int, Addresses]
    undeclared: dict[int, Addresses]


def _groups(look: Look) -> _Groups:
    networks = look.site.networks
    admin = {f: of_networks(networks.admin or (), f) & strangers(f) for f in (4, 6)}
    campus = {f: of_networks(networks.campus or (), f) & strangers(f) - admin[f] for f in (4, 6)}
    external = {f: strangers(f) - admin[f] - campus[f] for f in (4, 6)}
    undeclared = {f: strangers(f) - admin[f] - of_networks(networks.clients, f) for f in (4, 6)}
    return _Groups(admin, campus, external, undeclared)


def _within(look: Look) -> dict[int, Addresses]:
    """Sources that can reach the host at all, by family."""
    found = look.fact(interfaces.parse)
    return {family: _comers(found, family) for family in (4, 6)}


def _comers(found: Interfaces | Unobserved, family: int) -> Addresses:
    """Over one family: none without an address, neighbours with link-local ones only."""
    everyone = strangers(family)
    if isinstance(found, Unobserved) or isinstance(found.addresses, Unobserved):
        return everyone
    if family == 6 and found.ipv6_disabled is True:
        return NOBODY
    own = [address for address in found.addresses if address.address.version == family and not address.address.ip.is_loopback]
    if not own:
        return NOBODY
    if family == 6 and all(address.address.ip.is_link_local for address in own):
        return everyone & LINK_LOCAL
    return everyone


class _Reader:
    """Sockets and forwarded ports of one look, with the classes of the site."""

    def __init__(self, look: Look) -> None:
        self.look = look
        filtering = look.fact(firewall.parse)
        self.host: Host | Unobserved = filtering if isinstance(filtering, Unobserved) else filtering.host
        self.within = look.fact(_within)
        self.groups = look.fact(_groups)
        self.steps = 0
        """What the answers so far take of MAX_STEPS_IN_ALL."""

    def socket(self, one: Socket) -> Reached:
        """A listening socket."""
        family = 4 if one.family == "ipv4" else 6
        classes = Classes(NOBODY, NOBODY, None) if one.local else self._reach(one, family)
        return Reached(self._port(one, family, classes), one, classes)

    def _reach(self, one: Socket, family: int) -> Classes:
        within = self.within[family]
        if not within:
            return Classes(NOBODY, NOBODY, None)
        if isinstance(self.host, Unobserved):
            return Classes(NOBODY, within, self.host)
        ways = self.host.ways(family, one.protocol, one.port, _destination(one), one.interface)
        if isinstance(ways, Unobserved):
            return Classes(NOBODY, within, ways)
        return _classes([way for way in ways if way.target is None], within)

    def count(self, one: Socket) -> None:
        """Count what the answer about a socket takes."""
        family = 4 if one.family == "ipv4" else 6
        if not one.local and self.within[family] and not isinstance(self.host, Unobserved):
            self.steps += self.host.steps(family, one.protocol, one.port, _destination(one), one.interface)

    def undecided(self, one: Socket, why: Unobserved, *, via: str = "socket") -> Reached:
        """A port of which nobody can say who gets there."""
        family = 4 if one.family == "ipv4" else 6
        classes = Classes(NOBODY, NOBODY, None) if one.local else Classes(NOBODY, self.within[family], why)
        return Reached(self._port(one, family, classes, via=via), one if via == "socket" else None, classes)

    def _port(self, one: Socket, family: int, reached: Classes, *, via: str = "socket", target: str | None = None) -> Port:
        external, campus, admin = (reached.reaches(group[family]) for group in (self.groups.external, self.groups.campus, self.groups.admin))
        doubt = next((answer for answer in (external, campus, admin) if isinstance(answer, Unobserved)), None)
        names = ("external", "campus", "admin")
        classes = tuple(name for name, answer in zip(names, (external, campus, admin), strict=True) if answer is True)
        approval = approval_of(self.look, one.port, one.protocol)
        return Port(
            port=one.port,
            protocol=one.protocol,
            family=one.family,
            address=one.address,
            process=one.process,
            unit=one.unit,
            local=one.local,
            classes=doubt if doubt is not None else (*classes, "loopback"),
            external=external,
            campus=campus,
            admin=admin,
            sources=doubt if doubt is not None else words(reached.sure, family),
            undeclared=reached.reaches(self.groups.undeclared[family]),
            via=via,
            target=target,
            approved=approval is not None,
            application=approval.application if approval else None,
        )

    # --- forwarded ports

    def forwarded(self, listening: tuple[Socket, ...]) -> list[Reached]:
        """Ports that prerouting sends elsewhere: published container ports, redirects."""
        if isinstance(self.host, Unobserved):
            return []
        found = []
        for family in (4, 6):
            within = self.within[family]
            for protocol, port in self._forwarded_ports(family):
                if not within:
                    continue
                if self.steps <= MAX_STEPS_IN_ALL:
                    ways = self.host.ways(family, protocol, port)
                    self.steps += self.host.steps(family, protocol, port)
                else:
                    ways = too_many()
                if isinstance(ways, Unobserved):
                    # Where it goes is not known; perhaps nothing listens here and nothing else would say so.
                    found.append(self.undecided(_forwarded(family, protocol, port, None), ways, via="dnat"))
                    continue
                for way in ways:
                    if way.target is not None:
                        found += self._forward(way, family, protocol, port, within, listening)
        return found

    def _forward(self, way: Way, family: int, protocol: str, port: int, within: Addresses, listening: tuple[Socket, ...]) -> list[Reached]:
        address, to_port = way.target or (0, 0)
        socket = None
        where = "localhost" if way.local else str(ip_address(address.to_bytes(4 if family == 4 else 16, "big")))
        words = f"{where}:{to_port}" if to_port else where
        if way.local:
            inside = family == 4 and address >> 24 == 127  # what listens on loopback answers too
            same = [one for one in listening if one.protocol == protocol and one.port == to_port and one.family == f"ipv{family}" and (inside or not one.local)]
            if not same:
                return []  # a redirect to a port where nothing listens
            socket = same[0]
        item = _forwarded(family, protocol, port, socket)
        classes = _classes([way], within)
        return [Reached(self._port(item, family, classes, via="dnat", target=words), socket, classes)]

    def _forwarded_ports(self, family: int) -> list[tuple[str, int]]:
        assert not isinstance(self.host, Unobserved)
        ruleset = self.host.ruleset
        tables = {base.key[:2] for base in ruleset.hooked("prerouting", family) if base.kind == "nat"}
        rules = [rule for key, chain in ruleset.chains.items() if key[:2] in tables for rule in chain]
        if not any(rule.verdict is Verdict.DNAT for rule in rules):
            return []
        spans = mentioned(rules, "dport")
        ports = {REST} | {low for low, _ in spans} | {high for _, high in spans}
        for low, high in spans:
            if high - low < MAX_FORWARDED:
                ports |= set(range(low, high + 1))
        return [(protocol, port) for port in sorted(ports) for protocol in ("tcp", "udp")]


def _destination(one: Socket) -> int | None:
    """The address that a socket is bound to; None for any."""
    return None if one.address in ANY.values() else int(ip_address(one.address))


def _forwarded(family: int, protocol: str, port: int, answering: Socket | None) -> Socket:
    """A forwarded port in the form of a socket; `answering` is this host's own at the other end."""
    return Socket(
        protocol=protocol,
        family=f"ipv{family}",
        address=ANY[family],
        port=port,
        interface=None,
        local=False,
        process=answering.process if answering else None,
        pid=answering.pid if answering else None,
        unit=answering.unit if answering else None,
        dual=False,
    )


def _classes(ways: list[Way], within: Addresses) -> Classes:
    sure, maybe = NOBODY, NOBODY
    doubts: tuple[str, ...] = ()
    for way in ways:
        sure, maybe = sure | (way.sure & within), maybe | (way.maybe & within)
        doubts += way.doubts
    maybe = maybe - sure
    return Classes(sure, maybe, quoted(doubts) if maybe else None)


def words(sure: Addresses, family: int) -> tuple[str, ...]:
    """Prefixes; what is nearly everyone stands as everyone and the exceptions: ('0.0.0.0/0', '!192.0.2.0/28')."""
    exceptions = strangers(family) - sure
    everyone = f"{ANY[family]}/0"
    if not exceptions:
        return (everyone,)
    listed = (sure & EVERYONE[family]).prefixes(family)
    left_out = exceptions.prefixes(family)
    return (everyone, *(f"!{prefix}" for prefix in left_out)) if len(left_out) + 1 < len(listed) else listed


def approval_of(look: Look, port: int, protocol: str) -> ApprovedPort | None:
    """The approval of a port on this host, if the site has one."""
    for one in look.site.approved_ports or ():
        if one.port == port and one.protocol == protocol:  # the site holds only this host's approvals
            return one
    return None
