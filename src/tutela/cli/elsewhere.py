"""Looking at a host from elsewhere while it is checked (`check --scan`): from here, and from other hosts over SSH.

What is scanned is chosen by who asks, never by the host: the address that ssh connects to, and of the addresses that the host calls its own those inside the site's networks.
Only this host itself is believed about its own addresses.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path

from tutela.collect.elsewhere import Seen, look_from
from tutela.collect.relay import Relay, relay_argv
from tutela.collect.run import Look, Running
from tutela.collect.ssh import connected_to
from tutela.collect.target import BundleTarget, LocalTarget, SshTarget, Target
from tutela.errors import BundleError, CollectError, ScanError, UsageError, said_by_system
from tutela.evidence import Bundle, Evidence, Unobserved
from tutela.evidence.bundle import read_frames, write_frames
from tutela.exposure import loss
from tutela.exposure.connections import seeded
from tutela.exposure.echo import answers_echo
from tutela.exposure.evidence import Recorder, not_looked, own_address
from tutela.exposure.identify import identify
from tutela.exposure.model import CONNECT, Address, Request, Service, Summary, Tally
from tutela.exposure.notes import EVERY_PORT
from tutela.exposure.ports import POPULAR, TOO_MANY
from tutela.exposure.scan import scan
from tutela.exposure.targets import read_targets
from tutela.exposure.udp import scan_udp, udp_ports
from tutela.facts import look as facts
from tutela.facts import outside
from tutela.facts.reference import Reference
from tutela.language import Text
from tutela.site import Site

PORTS = tuple(range(1, 65536))
RATE = 50_000.0
"""Packets a second, to all hosts together: they are scanned one after the other, since they may share a firewall's table."""
HERE = "here"
THIS_HOST = "this host"
MOST = 16
"""Addresses of one host."""


class Elsewhere:
    """Scans of the targets of one run."""

    def __init__(
        self,
        places: list[SshTarget],
        look: Look,
        site: Site,
        options: tuple[str, ...],
        clock: Callable[[], datetime],
        running: Running,
        *,
        resident: tuple[Path, bool] | None = None,
        udp: bool = False,
    ) -> None:
        """`resident`, as of client.resident_of: who sends from here, where it runs; `udp`: ask from here over UDP too."""
        self.places, self.look, self.site, self.options, self.clock, self.running = places, look, site, options, clock, running
        self.resident, self.udp = resident, udp
        self._pool = ThreadPoolExecutor(max_workers=1 + len(places))
        self._one_at_a_time = threading.Lock()
        self._begun: list[Future[list[Evidence]]] = []
        self._known: list[Address] = []
        """Addresses that are being scanned already."""

    def begin(self, target: Target) -> None:
        """Scan what is known before the host has said a word: the one address that ssh connects to."""
        if isinstance(target, SshTarget):
            with suppress(CollectError, ScanError):
                addresses = self._addressed(target)
                if len(addresses) == 1:
                    self._known = addresses
                    self._begun = self._start(addresses)

    def added(self, bundle: Bundle, target: Target) -> Bundle:
        """The bundle with what was seen from elsewhere; what could not be seen is said in it."""
        if "unreachable" in bundle.meta:
            return bundle
        found: list[Evidence] = []
        try:
            addresses = self._addresses(bundle, target)
        except (CollectError, ScanError) as problem:
            addresses, found = [], [not_looked(THIS_HOST, HERE, problem.message)]
        rest = [address for address in addresses if address not in self._known]
        for future in [*self._begun, *self._start(rest)]:
            found += future.result()
        self._begun, self._known = [], []
        if not addresses and not found:
            found.append(not_looked(THIS_HOST, HERE, _NO_ADDRESS))
        if isinstance(target, LocalTarget) and not self.places:
            found.append(not_looked(THIS_HOST, HERE, _NOT_FROM_ITSELF))
        return with_sources(bundle, found)

    def end(self) -> None:
        """Leave nothing behind that still looks."""
        if any(not future.done() for future in self._begun):
            self.running.stop()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _start(self, addresses: list[Address]) -> list[Future[list[Evidence]]]:
        if not addresses:
            return []
        jobs = [self._pool.submit(self._from_place, place, addresses) for place in self.places]
        return [self._pool.submit(self._from_here, addresses), *jobs]

    def _addresses(self, bundle: Bundle, target: Target) -> list[Address]:
        """What to scan, now that the host has spoken."""
        own = own_addresses(bundle, self.site)
        if isinstance(target, LocalTarget):
            return own[:MOST]
        assert isinstance(target, SshTarget)
        networks = self.site.for_subject(bundle.subject).networks
        ours = [network for some in (networks.assigned, networks.campus, networks.admin) for network in some or ()]
        inside = [one for one in own if any(one.version == network.version and one in network for network in ours)]
        addressed = self._known or self._addressed(target)
        if len(addressed) > 1:
            # A name may stand for several machines: those that this host owns, else the one that is tried first.
            addressed = [one for one in addressed if one in own] or addressed[:1]
        return list(dict.fromkeys((*addressed, *inside)))[:MOST]

    def _addressed(self, target: SshTarget) -> list[Address]:
        name = connected_to(target, self.look, options=self.options, running=self.running)
        if name is None:
            return []
        # A forwarded port leads on from here to somebody who is not at this address.
        return [one for one in read_targets([name]) if not one.is_loopback and own_address(one) != str(one)]

    def _from_here(self, addresses: list[Address]) -> list[Evidence]:
        found = []
        for address in addresses:
            vantage = own_address(address)
            if vantage is None:
                found.append(not_looked(str(address), HERE, _NO_ROUTE))
                continue
            at = self.clock()
            try:
                with self._one_at_a_time:
                    recorder, whole = self._scanned(address)
                # Only where no port says so is it asked whether there is a way at all.
                echo = not recorder.answered(str(address)) and answers_echo(address) is True
                found.append(recorder.evidence(str(address), vantage, at, whole=whole, echo=echo))
            except ScanError as problem:
                found.append(not_looked(str(address), HERE, problem.message))
            except OSError as problem:
                why = said_by_system(problem)
                found.append(not_looked(str(address), HERE, Text(f"探测失败：{why.zh}", f"the scan failed: {why.en}")))
        return found

    def _scanned(self, address: Address) -> tuple[Recorder, bool]:
        recorder = Recorder(PORTS, udp_ports(None))
        # An ssh session to the host may stand already.
        request = seeded(Request((address,), PORTS, rate=RATE, fresh=True))
        opened: tuple[int, ...] = ()
        lost: float | None = None
        for event in scan(request, stop=self._stopped, resident=self.resident):
            recorder.take(event)
            if isinstance(event, Tally):
                opened = event.open
            elif isinstance(event, Summary):
                lost = event.lost
        for service in identify([(str(address), "tcp", port) for port in opened], stop=self._stopped):
            recorder.take(service)
        if self.udp and not self._stopped():
            # Where this machine lets no UDP out, what TCP showed still counts, and UDP stays untested.
            with suppress(ScanError):
                for event in scan_udp(replace(request, ports=udp_ports(None)), lost=lost, stop=self._stopped):
                    recorder.take(event)
        return recorder, not self._stopped()

    def _stopped(self) -> bool:
        return self.running.stopped

    def _from_place(self, place: SshTarget, addresses: list[Address]) -> list[Evidence]:
        at = self.clock()
        try:
            seen = look_from(place, tuple(map(str, addresses)), f"{PORTS[0]}-{PORTS[-1]}", self.look, options=self.options, running=self.running)
        except CollectError as problem:
            return [not_looked(str(address), place.name, problem.message) for address in addresses]
        services = self._services(place, seen)
        return [_recorded(one, place, at, services) for one in seen]

    def _services(self, place: SshTarget, seen: list[Seen]) -> list[Service] | None:
        """What answers on the open ports, by the same questions as from here; None where they could not be asked from there."""
        opened = [(one.address, "tcp", port) for one in seen for port in one.open if not _everything(one) or port in POPULAR]
        if not opened:
            return []
        try:
            with Relay(relay_argv(place, self.look, self.options), self.running) as relay:
                if not relay.runs(self.look.timeout_s):
                    return None
                services = list(identify(opened, stop=self._stopped, way=relay.connect))
                return None if relay.ended or self._stopped() else services
        except CollectError:
            return None


_NO_ADDRESS = Text(
    "没有可从别处探测的地址：经由跳板机连接，或主机自报的地址不在站点声明的网段内",
    "there is no address to look at from elsewhere: ssh goes by way of another host, or what the host calls its own lies outside the site's networks",
)
_NO_ROUTE = Text("没有到这个地址的路由", "there is no route to this address")
_NOT_FROM_ITSELF = Text(
    "本机不能从外部看自己；请用 --scan-from ssh://用户@另一台主机", "this host cannot see itself from outside: name another with --scan-from ssh://user@other"
)


def _recorded(seen: Seen, place: SshTarget, at: datetime, services: list[Service] | None) -> Evidence:
    if seen.vantage is None:
        return not_looked(seen.address, place.name, _NO_ROUTE)
    recorder = Recorder(PORTS)
    for event in (*_events(seen), *(services or ())):
        recorder.take(event)
    return recorder.evidence(seen.address, seen.vantage, at, whole=seen.whole, echo=seen.echo, identified=services is not None)


def _everything(seen: Seen) -> bool:
    return len(seen.open) > TOO_MANY


def _events(seen: Seen) -> Iterator[Tally | Summary]:
    yield Tally(seen.address, len(PORTS), seen.open, seen.closed, seen.filtered, seen.silent, EVERY_PORT if _everything(seen) else None)
    answered = len(seen.open) + seen.closed
    unanswered, controls = seen.controls
    lost, asked = (unanswered, controls) if loss.shut_out(unanswered, controls) else (seen.late + unanswered, answered + seen.late + controls)
    missed = (loss.expected_missed(lost, asked, len(seen.open), seen.rounds) if seen.silent else 0.0) if asked else None
    yield Summary(CONNECT, 0.0, 0, seen.rounds, lost / asked if asked else None, missed, cut=not seen.whole)


def own_addresses(bundle: Bundle, site: Site) -> list[Address]:
    """Addresses that the host calls its own and on which packets from elsewhere arrive."""
    seen = facts.Look(bundle, site, Reference()).fact(outside.own)
    return [] if isinstance(seen, Unobserved) else [ip_address(one) for one in seen]


def with_sources(bundle: Bundle, more: list[Evidence]) -> Bundle:
    """The bundle with these sources behind its own; unchanged where a bundle has no room for them."""
    frames = bundle.frames[: -len(write_frames([]))] + write_frames(more)
    try:
        return replace(bundle, frames=frames, sources=read_frames(frames))
    except BundleError:
        return bundle


def read_places(words: list[str]) -> list[SshTarget]:
    """The hosts of --scan-from. Raises UsageError."""
    from tutela.collect.target import read_target

    found = []
    for word in words:
        place = read_target(word) if word.startswith("ssh://") else None
        if not isinstance(place, SshTarget):
            raise UsageError(Text(f"--scan-from 应为 ssh://[用户@]主机[:端口]，而不是 {word!r}", f"--scan-from takes ssh://[user@]host[:port], not {word!r}"))
        found.append(place)
    return list(dict.fromkeys(found))


def refuse_bundles(targets: list[Target]) -> None:
    """Only what can be looked at now can be scanned. Raises UsageError."""
    if any(isinstance(target, BundleTarget) for target in targets):
        raise UsageError(
            Text("证据包不能再从外部探测：--scan 只用于本机和 ssh:// 主机", "a recorded bundle cannot be scanned: --scan is for this host and ssh:// hosts")
        )
