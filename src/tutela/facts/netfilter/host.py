"""Walks for one host: from which addresses a port is reached, over every interface and address it could come to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from tutela.evidence import Reason, Unobserved
from tutela.facts.interfaces import Interfaces
from tutela.facts.netfilter.addresses import EVERYONE, NOBODY, Addresses, of_networks, union
from tutela.facts.netfilter.rules import MAX_STEPS, Arrival, Packet, Rule, Ruleset, State, Verdict, Walk, WalkTooLongError, mentioned, reach
from tutela.language import Text
from tutela.record import record, replace

MAX_STEPS_IN_ALL = 1_000_000
"""Rules looked at for all the ports of one question, a few seconds."""
MAX_WALKS = 64
"""Combinations of interface and destination address for one port; a host that needs more is not decided."""


MAX_KNOWN = 4096
"""Ports and addresses whose ways are kept. A memory keeps one host for all with the same rules, and each may listen elsewhere."""


@record
class Way:
    """Who gets to one destination: the host's own port, or where DNAT sends it."""

    target: tuple[int, int] | None
    """Address and port after DNAT; None: the port itself."""
    local: bool
    """The destination is the host itself."""
    sure: Addresses
    maybe: Addresses
    doubts: tuple[str, ...]


class Host:
    """The packet filter of one host together with its interfaces."""

    def __init__(self, ruleset: Ruleset, interfaces: Interfaces | Unobserved) -> None:
        self.ruleset = ruleset
        self.interfaces = None if isinstance(interfaces, Unobserved) else interfaces
        rules = list(ruleset.rules())
        self._iif = {str(word) for word in mentioned(rules, "iif")} | {base.device for base in ruleset.bases if base.device is not None}
        self._minds_destination = next(destinations(rules), None) is not None
        ports = [span for name in ("dport", "dport_tcp", "dport_udp", "original_dport") for span in mentioned(rules, name)]
        self._ports = None if any(rule.verdict is Verdict.DNAT for rule in rules) else union(ports)
        """Ports that rules tell apart; None: where a packet goes may depend on any."""
        self._other = 0
        """The port that was walked for all that no rule mentions."""
        self._spent = 0
        self._known: dict[tuple[int, str, int, int | None, str | None], tuple[tuple[Way, ...] | Unobserved, int]] = {}

    def __repr__(self) -> str:
        return f"Host({len(self.ruleset.bases)} base chains, {sum(map(len, self.ruleset.chains.values()))} rules)"

    def ways(self, family: int, protocol: str, port: int, to: int | None = None, device: str | None = None) -> tuple[Way, ...] | Unobserved:
        """All ways of a packet to `port`, at address `to` or at any own address, over any interface or over `device` alone."""
        return self._answer(family, protocol, port, to, device)[0]

    def steps(self, family: int, protocol: str, port: int, to: int | None = None, device: str | None = None) -> int:
        """How many rules that answer takes, whether it is known already or not: for whoever asks about many ports and has to stop somewhere."""
        return self._answer(family, protocol, port, to, device)[1]

    def _answer(self, family: int, protocol: str, port: int, to: int | None, device: str | None) -> tuple[tuple[Way, ...] | Unobserved, int]:
        if self._ports is not None and port not in self._ports:
            self._other = port = self._other or port  # for the rules they are all one
        key = (family, protocol, port, to, device)
        if key not in self._known:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._spent = 0
            self._known[key] = self._walk_all(*key), self._spent
        return self._known[key]

    def _walk_all(self, family: int, protocol: str, port: int, to: int | None, device: str | None) -> tuple[Way, ...] | Unobserved:
        destinations = [to] if to is not None else self._destinations(family)
        if isinstance(destinations, Unobserved):
            return destinations
        devices = [device] if device is not None else self._devices()
        if len(destinations) * len(devices) > MAX_WALKS:
            return _undecided("接口与地址组合过多", "too many combinations of interfaces and addresses")
        found: dict[tuple[tuple[int, int] | None, bool], Way] = {}
        for destination in destinations:
            for iif in devices:
                packet = Packet(family, protocol, port, destination, iif, original_port=port, original_to=destination)
                try:
                    ways = self._walk(packet)
                except WalkTooLongError:
                    self._spent = MAX_STEPS
                    return _undecided("规则集过大或循环调用", "the rule set is too large, or calls itself")
                for way in ways:
                    known = found.get((way.target, way.local))
                    found[way.target, way.local] = way if known is None else _both(known, way)
        return tuple(found.values())

    def _walk(self, packet: Packet) -> list[Way]:
        walk = Walk(self.ruleset, self._spent)
        everyone = EVERYONE[packet.family]
        arrivals, lost = [Arrival(packet, State(everyone))], State()
        for hook in ("ingress", "prerouting"):
            arrivals, dropped = walk.through(hook, arrivals)
            lost = lost | dropped
        ways = []
        if not any(not arrival.packet.dnat for arrival in arrivals):
            arrivals.append(Arrival(packet, State()))  # everything went elsewhere: nobody reaches the port itself
        for arrival in arrivals:
            local, oif = self._destination(arrival.packet)
            here = replace(arrival.packet, to_local=local, oif=oif)
            passed, dropped = walk.through("input" if local else "forward", [Arrival(here, arrival.state)])
            accepted = State()
            for one in passed:
                accepted = accepted | one.state
            if not local and not self._forwards(packet.family):
                accepted = State()
            doubts = list(walk.doubts)
            if packet.family == 4 and here.dnat and here.to >> 24 == 127:
                names = self.interfaces.localnet if self.interfaces is not None else _undecided("没有采集接口", "interfaces were not collected")
                if isinstance(names, Unobserved):
                    accepted = accepted.doubted()
                    dropped = dropped | accepted
                    doubts.append("route_localnet")
                elif packet.iif not in names and "all" not in names:
                    accepted = State()  # packets from outside to 127/8 are dropped as martians
            # What prerouting dropped on a doubtful way counts as dropped on the ways that go on.
            got = reach(accepted, dropped | lost, doubts)
            target = (here.to, here.port) if here.dnat else None
            ways.append(Way(target, local, got.sure, got.maybe, got.doubts if got.maybe else ()))
        self._spent = walk.steps
        return ways

    def _destination(self, packet: Packet) -> tuple[bool, str | None]:
        """Whether a packet stays here, and else the interface it leaves by."""
        if not packet.dnat or packet.to_local or (packet.family == 4 and packet.to >> 24 == 127):
            return True, None
        addresses = self.interfaces.addresses if self.interfaces is not None else ()
        if isinstance(addresses, Unobserved):
            addresses = ()
        same = [one for one in addresses if one.address.version == packet.family]
        if any(int(one.address.ip) == packet.to for one in same):
            return True, None
        for one in same:
            if packet.to in of_networks((one.address.network,), packet.family):
                return False, one.interface
        return False, "?"

    def _forwards(self, family: int) -> bool:
        """Unknown counts as yes: then the forward chain alone decides."""
        switch = self.interfaces.forwards[0 if family == 4 else 1] if self.interfaces is not None else True
        return switch is not False

    def _destinations(self, family: int) -> list[int] | Unobserved:
        """Own addresses to try; a single one where no rule looks at the destination."""
        addresses = self.interfaces.addresses if self.interfaces is not None else Unobserved(Reason.NO_DATA, "ip -o addr", Text("没有采集", "not collected"))
        if isinstance(addresses, Unobserved):
            return addresses if self._minds_destination else [0]
        own = [int(one.address.ip) for one in addresses if one.address.version == family and not one.address.ip.is_loopback]
        return list(dict.fromkeys(own)) if self._minds_destination and own else own[:1] or [0]

    def _devices(self) -> list[str]:
        """One interface of each kind that the rules tell apart."""
        outside = self.interfaces.outside if self.interfaces is not None else None
        names = [name for name in sorted(self._iif) if name != "lo"] + ["?"] if outside is None or isinstance(outside, Unobserved) else list(outside) or ["?"]
        kinds: dict[tuple[bool, ...], str] = {}
        patterns = sorted(self._iif)
        localnet = self.interfaces.localnet if self.interfaces is not None and not isinstance(self.interfaces.localnet, Unobserved) else ()
        for name in names:
            plain = name.rstrip("*") + "0" if name.endswith("*") else name
            kinds.setdefault((plain in localnet, *(fnmatchcase(plain, pattern) for pattern in patterns)), plain)
        return list(kinds.values())


def destinations(rules: Iterable[Rule]) -> Iterator[tuple[int, Addresses]]:
    """What rules ask of the address that a packet is for: family, and the addresses that it is among or not."""
    for rule in rules:
        for condition in rule.conditions:
            for alternative in condition.alternatives:
                for part in alternative:
                    if part.field in ("daddr", "original_daddr"):
                        yield from part.values.items()


def _both(one: Way, other: Way) -> Way:
    sure = one.sure | other.sure
    return Way(one.target, one.local, sure, (one.maybe | other.maybe) - sure, tuple(dict.fromkeys((*one.doubts, *other.doubts))))


def _undecided(zh: str, en: str) -> Unobserved:
    return Unobserved(Reason.FORMAT, "nft -j list ruleset", Text(zh, en))


def too_many() -> Unobserved:
    """For whoever stops asking."""
    return _undecided("端口太多、规则集太大，未逐一判断", "too many ports and too many rules to decide each")


NOWHERE = Way(None, True, NOBODY, NOBODY, ())
