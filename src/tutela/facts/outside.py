"""What was measured from elsewhere, never the host's word: which ports answered, seen from which class of addresses.

Source: the scans in the bundle (docs/spec/scan.md). The class of a place is what the site's networks make of its own address:
admin and client were singled out to get in, campus and external were not, so only the latter two say what strangers reach.
A scan of more than eight days ago says nothing any more (freshness.centre_scan_days).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from tutela.evidence import Reason, Unobserved
from tutela.facts import exposure, interfaces, scans
from tutela.facts.cluster_services import PORTS as CLUSTER_PORTS
from tutela.facts.elasticsearch import SERVICE as ELASTICSEARCH
from tutela.facts.look import Look
from tutela.facts.memcached import SERVICE as MEMCACHED
from tutela.facts.mongodb import SERVICE as MONGODB
from tutela.facts.mysql import SERVICE as MYSQL
from tutela.facts.other_services import TABLE
from tutela.facts.postgresql import SERVICE as POSTGRESQL
from tutela.facts.redis import SERVICE as REDIS
from tutela.facts.scans import Found, Scan
from tutela.language import Text
from tutela.record import record

NEEDS = (*scans.NEEDS, *interfaces.NEEDS)
FRESH = timedelta(days=8)
CLOCKS = timedelta(hours=1)
"""A scan may be so much younger than the host's own look: hosts of a fleet are scanned one after the other."""
MOST_MISSED = 0.1
"""Open ports that loss may have hidden; beyond it a scan does not show that nothing is open."""
EVERY_PORT = frozenset(range(1, 65536))
DATA_PORTS = frozenset(
    [
        111,
        2049,
        *CLUSTER_PORTS,
        *(port for one in (ELASTICSEARCH, MEMCACHED, MONGODB, MYSQL, POSTGRESQL, REDIS) for port in one.ports),
        *(port for engine in TABLE for port in engine.ports),
    ]
)
"""Ports of H-060 to H-067, NFS and rpcbind."""
DATA_SERVICES = frozenset(
    ["mysql", "mariadb", "mssql", "oracle", "kafka", "postgresql", "redis", "mongodb", "elasticsearch", "memcached", "etcd", "docker", "kubelet", "kubernetes", "zookeeper", "couchdb", "clickhouse", "cassandra", "rsync", "smb", "nfs", "rpcbind"]
)  # fmt: skip
"""Names that the identification of services gives to them, whatever their port."""
EXTERNAL, CAMPUS, ADMIN, CLIENT, ITSELF, BEHIND_NAT = "external", "campus", "admin", "client", "itself", "behind-nat"
_PRIVATE = tuple(ip_network(one) for one in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "fc00::/7", "fe80::/10"))

NOBODY_LOOKED = Unobserved(
    Reason.NO_VANTAGE, "scan", Text("没有从外部探测过：只有主机自己的说法", "nobody looked from outside; there is only the host's own word")
)
TOO_OLD = Unobserved(Reason.NO_DATA, "scan", Text("最近 8 天内没有从外部探测过", "nobody looked from outside within the last 8 days"))


@record
class Place:
    """A scan that still counts, and what its place is to this host: Place(vantage='campus', source='198.51.100.7', address='192.0.2.10', udp=False, scan=Scan(…))"""

    vantage: str
    """external | campus | admin | client | itself | behind-nat"""
    source: str
    """Address that it looked from."""
    address: str
    """Address that it looked at."""
    udp: bool
    """Whether any UDP port was asked."""
    scan: Scan

    @property
    def open(self) -> tuple[Found, ...]:
        """What answered and is this host's; where something answers on every port, only what told what it is."""
        return tuple(one for one in self.scan.open if not self.scan.everything or one.service is not None)


@record
class OpenPort:
    """OpenPort(vantage='external', source='203.0.113.7', address='192.0.2.10', protocol='tcp', port=3306, data_service=True, …)"""

    vantage: str
    """external | campus | admin | client | itself | behind-nat"""
    source: str
    address: str
    protocol: str
    port: int
    service: str | None
    """What answered, where somebody asked."""
    without_authentication: bool | None
    """It answers questions about its data to anybody."""
    data_service: bool
    """A data service or share by what answered, or a port on which they usually listen."""
    approved: bool
    """The site's approved ports name it (port, protocol, this host)."""


@record
class Outside:
    """Outside(places=(Place(…),), open=(OpenPort(…),), data_ports=(OpenPort(…),))"""

    places: tuple[Place, ...]
    """Scans that count; empty when nobody looked, or not within eight days."""
    open: tuple[OpenPort, ...]
    """What they found open. Empty also when nobody looked: it adds to the host's word and never stands alone."""
    data_ports: tuple[OpenPort | Unobserved, ...] | Unobserved
    """Data services and shares that strangers reach; with a hole where a class of addresses or an address of the host was not looked at."""


def parse(look: Look) -> Outside:
    """The fact."""
    known = look.fact(scans.parse)
    if not known.seen:
        return Outside((), (), known.unseen[0] if known.unseen else NOBODY_LOOKED)
    places = _places(look, known.seen)
    if not places:
        return Outside((), (), _ahead(look, known.seen) or TOO_OLD)
    found = tuple(_open_port(look, place, one) for place in places for one in place.open)
    strangers = tuple(one for one in found if one.data_service and one.vantage in (EXTERNAL, CAMPUS))
    return Outside(places, found, (*strangers, *unasked(places), *unlooked(look, places, DATA_PORTS, neutral=True)))


def unasked(places: tuple[Place, ...]) -> tuple[Unobserved, ...]:
    """Open ports that strangers reach and that nobody asked what answers there: it may be data, on whatever port."""
    asked = {(place.address, one.protocol, one.port) for place in places if place.scan.identified for one in place.open}
    holes = []
    for place in places:
        ports = [
            one.port for one in place.open if one.protocol == "tcp" and one.port not in DATA_PORTS and (place.address, one.protocol, one.port) not in asked
        ]
        if place.vantage in (EXTERNAL, CAMPUS) and ports:
            listed = ", ".join(map(str, ports[:5])) + (", …" if ports[5:] else "")
            zh = f"从 {place.source} 看 {place.address} 的端口 {listed} 开放，但没有询问是什么服务"
            en = f"ports of {place.address} are open to {place.source}, and nobody asked what answers there: {listed}"
            holes.append(Unobserved(Reason.NO_DATA, f"scan of {place.address}", Text(zh, en)))
    return tuple(holes)


def unlooked(look: Look, places: tuple[Place, ...], ports: frozenset[int], *, neutral: bool) -> tuple[Unobserved, ...]:
    """Holes in what scans show about these TCP ports: own addresses of the host, and classes of places, for which no scan shows that what it did not find is closed.

    With `neutral` each address is to be looked at from outside and, where the site has one, from the campus; without it, one look from anywhere else is enough.
    """
    mine = own(look)
    if isinstance(mine, Unobserved):
        return (mine,)
    campus = bool(look.site.networks.campus)
    public = tuple(one for one in mine if not is_private(one))
    wanted: list[tuple[str | None, str | None]] = []
    if not neutral:
        wanted += [(address, None) for address in public] or [(None, None)]
    else:
        wanted += [(address, EXTERNAL) for address in public]
        wanted += [(address, CAMPUS) for address in mine if campus]
        if not public and not (mine and campus):
            # Only private addresses: what leads to them from beyond, if anything does, is an address of somebody else's.
            wanted.append((None, EXTERNAL))
    missing = [(address, vantage) for address, vantage in wanted if not any(_shows(place, address, vantage, ports) for place in places)]
    return (_hole(look, places, missing, ports),) if missing else ()


def _shows(place: Place, address: str | None, vantage: str | None, ports: frozenset[int]) -> bool:
    if (address is not None and place.address != address) or (vantage is not None and place.vantage != vantage) or place.vantage == ITSELF:
        return False
    return flaw(place, ports) is None


def flaw(place: Place, ports: frozenset[int]) -> Text | None:
    """Why a scan does not show that those of these TCP ports that it did not find are closed."""
    scan = place.scan
    if not scan.whole:
        return Text("探测没有做完", "the scan was cut short")
    if not scan.asked(ports):
        return Text("没有问到全部有关端口", "not all ports that matter were asked")
    if scan.everything:
        return Text("有设备在所有端口上应答", "something answers on every port")
    if not scan.answered:
        return Text("没有收到任何应答，不知道路径是否通", "not one answer came, so whether there is a way at all is not known")
    if scan.missed is not None and scan.missed > MOST_MISSED:
        return Text("丢包太多", "too many answers were lost")
    return None


def _hole(look: Look, places: tuple[Place, ...], missing: list[tuple[str | None, str | None]], ports: frozenset[int]) -> Unobserved:
    address, vantage = missing[0]
    for place in places:
        if (address is None or place.address == address) and (vantage is None or place.vantage == vantage) and place.vantage != ITSELF:
            why = flaw(place, ports)
            if why is not None:
                return Unobserved(
                    Reason.NO_DATA, f"scan of {place.address}", Text(f"从 {place.source} 的探测：{why.zh}", f"the scan from {place.source}: {why.en}")
                )
    failed = look.fact(scans.parse).unseen
    if failed:
        return failed[0]
    zh = {None: "别处", EXTERNAL: "校外（external）", CAMPUS: "校园内中立位置（campus）"}[vantage]
    en = {None: "elsewhere", EXTERNAL: "outside (external)", CAMPUS: "a neutral place in the campus"}[vantage]
    listed = sorted({one or "-" for one, place in missing if place == vantage} - {"-"})[:3]
    at = ", ".join(listed)
    return Unobserved(Reason.NO_VANTAGE, "scan", Text(f"没有从{zh}探测过 {at or '本机'}", f"nobody looked at {at or 'this host'} from {en}"))


def own(look: Look) -> tuple[str, ...] | Unobserved:
    """Addresses of the host on which packets from elsewhere arrive."""
    seen = look.fact(interfaces.parse)
    if isinstance(seen, Unobserved):
        return seen
    if isinstance(seen.addresses, Unobserved):
        return seen.addresses
    if isinstance(seen.outside, Unobserved):
        return seen.outside
    return tuple(
        dict.fromkeys(
            str(one.address.ip)
            for one in seen.addresses
            if one.interface in seen.outside and not one.address.ip.is_loopback and not one.address.ip.is_link_local
        )
    )


def _places(look: Look, seen: Iterable[Scan]) -> tuple[Place, ...]:
    fresh = [one for one in seen if -CLOCKS <= look.now - one.at <= FRESH]
    if not fresh:
        return ()
    interface = look.fact(interfaces.parse)
    every = () if isinstance(interface, Unobserved) or isinstance(interface.addresses, Unobserved) else interface.addresses
    mine = {str(one.address.ip) for one in every}
    return tuple(Place(vantage_of(look, one, mine), one.vantage, one.address, bool(one.udp), one) for one in fresh)


def vantage_of(look: Look, scan: Scan, mine: set[str]) -> str:
    """What the place of a scan is to this host."""
    source = ip_address(scan.vantage)
    if source.is_loopback or scan.vantage == scan.address or scan.vantage in mine:
        return ITSELF
    networks = look.site.networks
    for name, declared in ((ADMIN, networks.admin), (CLIENT, networks.clients), (CAMPUS, networks.campus)):
        if any(_within(source, network) for network in declared or ()):
            return name
    # From a private address to a public one somebody translates, and the host sees an address that nobody here knows.
    return BEHIND_NAT if is_private(scan.vantage) and not is_private(scan.address) else EXTERNAL


def is_private(address: str) -> bool:
    """RFC 1918, RFC 6598, RFC 4193 and link-local: addresses that end at somebody's border."""
    one = ip_address(address)
    return any(_within(one, network) for network in _PRIVATE)


def _within(address: object, network: IPv4Network | IPv6Network) -> bool:
    return getattr(address, "version", 0) == network.version and address in network


def _ahead(look: Look, seen: tuple[Scan, ...]) -> Unobserved | None:
    """A scan from the future: some clock is wrong, so its age is not known."""
    if all(look.now - one.at > FRESH for one in seen):
        return None
    return Unobserved(Reason.CLOCK, "scan", Text("探测时间晚于判定时间：时钟不可信", "a scan is younger than the moment of judgement: some clock is wrong"))


def _open_port(look: Look, place: Place, one: Found) -> OpenPort:
    return OpenPort(
        vantage=place.vantage,
        source=place.source,
        address=place.address,
        protocol=one.protocol,
        port=one.port,
        service=one.service,
        without_authentication=one.without_authentication,
        # Over UDP "without authentication" is also said of what holds no data, as a resolver or a clock.
        data_service=one.port in DATA_PORTS or one.service in DATA_SERVICES or (one.protocol == "tcp" and one.without_authentication is True),
        approved=exposure.approval_of(look, one.port, one.protocol) is not None,
    )
