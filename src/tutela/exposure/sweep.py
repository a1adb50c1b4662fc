"""A scan too large, too long or too precious for one go: cut into slices, each some ports of all hosts, so that every host is left in peace most of the time.

Slices run one after the other; the limits of host, network and the whole hold across them. A journal remembers the finished ones; a gate says whom and when.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address

from tutela.errors import ScanError
from tutela.exposure import loss
from tutela.exposure.addresses import Addresses
from tutela.exposure.gate import Gate
from tutela.exposure.journal import Journal, Slice
from tutela.exposure.model import Address, Asked, Event, Open, Progress, Request, Summary, Tally
from tutela.exposure.notes import EVERY, EVERY_PORT, PROHIBITED, STOPPED
from tutela.exposure.ports import POPULAR
from tutela.language import Text

Look = Callable[[Request, Callable[[], bool]], Iterator[Event]]
"""One slice: a request, and whether to stop, to events that end with tallies and a summary."""
PROBES, SECONDS = 1 << 19, 120.0
"""Of a slice at most, in memory and in time: so much is asked again after a crash."""
DECOYS, DECOYS_ANSWERING, TOO_MANY = 8, 3, 1000
"""Ports on which hardly a server listens come first: of a host that answers there nothing is told before it was looked into."""
SPARSE = 256
"""Of more addresses only those that answered get a tally."""
ENOUGH, ALL, HALF, SLOWER, JITTER_S = 20, 0.9, 0.5, 3.0, 0.05
"""Gentle: of at least so many ports all used to answer, and now fewer than half do; or round trips take three times as long, and not by chance."""
_NAP_S = 0.05


class Sweep:
    """Sweep(request, look, …).run() tells events as any scan does; `complete` says afterwards whether everything was asked.

    The request's addresses are the plan; who is not permitted by the gate is left out of each slice.
    """

    def __init__(
        self,
        request: Request,
        look: Look,
        *,
        gate: Gate | None = None,
        journal: Journal | None = None,
        wait: bool = False,
        gentle: bool = True,
        seed: int = 0,
        stop: Callable[[], bool] = lambda: False,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.request, self._look = request, look
        self._gate, self._journal = gate or Gate(), journal
        self._wait, self._gentle, self._stop, self._sleep, self._clock = wait, gentle, stop, sleep, clock
        self._all = Addresses.of(request.addresses)
        self.slices = cut(request, journal.seed if journal else seed)
        self.complete = False
        self._hosts: dict[str, _Host] = {}
        self._left: dict[str, str] = {}
        """Address: why it is not asked any further."""
        self._told: set[tuple[str, int]] = set()
        self._done: set[int] = set()
        self._ports_done = 0
        self._packets = self._probes = self._rounds = 0
        self._fewest: int | None = None
        """Rounds of the slice that asked what is silent least often."""
        self._known = (0, 0)
        self._seconds = 0.0
        self._method = ""
        self._resident = False
        self._notes: list[Text] = []
        self._remaining: tuple[tuple[int, int], Addresses] | None = None
        self._halted = False
        self._cut = False
        """A slice was ended by whoever sends for us, before its end."""

    def run(self) -> Iterator[Event]:
        """Open ports as they are found, progress, a tally of each address that answered, what was asked, a summary. Raises ScanError."""
        yield from self._resume()
        if not self._addresses():
            raise ScanError(Text("没有可扫描的目标：都已声明不接受扫描", "there is nothing to scan: all of it opted out"))
        number = 0
        while number < len(self.slices):
            if number in self._done:
                number += 1
                continue
            if not self._may_begin():
                break
            yield from self._slice(number)
            if number in self._done:
                number += 1
                if number < len(self.slices) and self.request.host_rate:
                    # The last question of one slice and the first of the next may go to the same host.
                    self._nap(1 / self.request.host_rate)
        self.complete = len(self._done) == len(self.slices)
        yield from self._end()

    # Slices

    def _resume(self) -> Iterator[Open]:
        if self._journal is None:
            return
        for one in self._journal.opened:
            if (one.address, one.port) not in self._told:
                self._told.add((one.address, one.port))
                self._host(one.address).open.add(one.port)
                yield one
        for number, done in sorted(self._journal.slices.items()):
            if number < len(self.slices):
                self._finish(done)

    def _may_begin(self) -> bool:
        """The window is open; or it is now, after waiting for it."""
        windows = self._gate.windows
        while not self._stop() and not self._cut:
            if windows is None or not self._gate.closes():
                return True
            if not self._wait:
                if not self._packets:
                    hours = windows.opens_in_s() / 3600
                    raise ScanError(
                        Text(
                            f"现在不在维护窗口内；下一个窗口在 {hours:.1f} 小时后（--wait 等待）",
                            f"this is outside the maintenance windows; the next one begins in {hours:.1f} hours (--wait waits for it)",
                        )
                    )
                self._notes.append(
                    Text(
                        f"维护窗口已结束：完成 {len(self._done)}/{len(self.slices)} 片；用同一 --journal 可续扫",
                        f"the window has ended: {len(self._done)} of {len(self.slices)} slices are done; the same --journal goes on with the others",
                    )
                )
                return False
            self._sleep(_NAP_S)
        return False

    def _slice(self, number: int) -> Iterator[Event]:
        ports, addresses = self.slices[number], self._addresses(spare=number < 2)
        self._halted = False
        began = self._clock()
        tallies: list[Tally] = []
        summary: Summary | None = None
        decoys = number == 0 and len(self.slices) > 1 and len(ports) <= DECOYS
        held: list[Open] = []
        if addresses:
            request = replace(self.request, addresses=addresses, ports=ports, sparse=True, known=self._known, rtt_s=self._longest_trip_s())
            for event in self._look(request, self._halt):
                if isinstance(event, Open):
                    held.append(event)
                    if not decoys:
                        yield from self._tell(held)
                        held = []
                elif isinstance(event, Progress):
                    yield self._progress(event, number)
                elif isinstance(event, Tally):
                    tallies.append(event)
                elif isinstance(event, Summary):
                    summary = event
        left = self._judge(number, tallies)
        for address, _ in left:
            self._host(address)
        yield from self._tell([one for one in held if one.address not in dict(left)])
        self._notes += [note for note in (summary.notes if summary else ()) if note not in self._notes]
        self._resident = self._resident or (summary is not None and summary.resident)
        done = Slice(
            number,
            tuple(one for one in tallies if len(one.open) + one.closed + one.filtered),
            tuple(left),
            summary.packets if summary else 0,
            summary.rounds if summary else 0,
            round((summary.lost or 0.0) * summary.counted) if summary else self._known[0],
            summary.counted if summary else self._known[1],
            self._clock() - began,
            summary.method if summary else self._method,
        )
        self._cut = summary is not None and summary.cut and not self._halted
        if self._halted or self._cut:
            self._interrupted(done)
            return
        if self._journal is not None:
            self._journal.finished(done)
        self._finish(done)

    def _halt(self) -> bool:
        self._halted = self._halted or self._stop() or self._gate.closes()
        return self._halted

    def _tell(self, found: Sequence[Open]) -> Iterator[Open]:
        for one in found:
            if (one.address, one.port) in self._told or self._left.get(one.address) == EVERY:
                continue
            self._told.add((one.address, one.port))
            self._host(one.address).open.add(one.port)
            if self._journal is not None:
                self._journal.found(one)
            yield one

    def _finish(self, done: Slice) -> None:
        """Take in what a finished slice told."""
        self._done.add(done.number)
        count = len(self.slices[done.number])
        self._ports_done += count
        self._probes += count * len(self._all)
        self._known = (done.lost, done.counted)
        self._add(done)
        if count * len(self._all) > sum(len(one.open) + one.closed + one.filtered for one in done.tallies):
            self._fewest = done.rounds if self._fewest is None else min(self._fewest, done.rounds)
        for tally in done.tallies:
            host = self._host(tally.address)
            answered = len(tally.open) + tally.closed
            host.answered += answered
            host.steady = host.steady or (count >= ENOUGH and answered >= ALL * count)
            self._count(host, tally)
        for address, why in done.left:
            host = self._host(address)
            host.ports_asked = self._ports_done
            self._left[address] = why
        if done.number <= 1:
            for address, why in self._left.items():
                if why == EVERY:
                    self._host(address).ports_asked = self._ports_done

    def _interrupted(self, part: Slice) -> None:
        """What half a slice told counts in the tallies when nothing follows; its open ports are known already."""
        self._add(part)
        if self._stop() or self._cut or not self._wait:
            for tally in part.tallies:
                host = self._host(tally.address)
                host.part = tally.asked
                self._count(host, tally)

    def _add(self, done: Slice) -> None:
        self._packets += done.packets
        self._rounds = max(self._rounds, done.rounds)
        self._seconds += done.seconds
        self._method = done.method or self._method

    def _count(self, host: _Host, tally: Tally) -> None:
        host.open.update(tally.open)
        host.closed += tally.closed
        host.filtered += tally.filtered
        if tally.note is not None:
            host.note = tally.note
        if tally.rtt_s is not None:
            host.trip_s = tally.rtt_s if host.trip_s is None else min(host.trip_s, tally.rtt_s)

    # Whom

    def _host(self, address: str) -> _Host:
        host = self._hosts.get(address)
        if host is None:
            host = self._hosts[address] = _Host()
        return host

    def _addresses(self, *, spare: bool = False) -> Addresses:
        """Those still to be asked; with `spare` also those behind something that answers everywhere, whose popular ports are looked into at the end."""
        self._gate.refresh()
        gone = {address for address, why in self._left.items() if not (spare and why == EVERY)}
        if not gone and not self._gate.opted_out:
            return self._all
        key = (id(self._gate.opted_out), len(gone))
        if self._remaining is None or self._remaining[0] != key:
            packed = {ip_address(address) for address in gone}
            self._remaining = (key, Addresses.of(one for one in self._all if one not in packed and one not in self._gate.opted_out))
        return self._remaining[1]

    def _judge(self, number: int, tallies: list[Tally]) -> list[tuple[str, str]]:
        """Addresses to leave in peace from now on, and why."""
        if number + 1 >= len(self.slices):
            return []
        left = []
        by_address = {tally.address: tally for tally in tallies}
        for tally in tallies:
            host = self._hosts.get(tally.address)
            opened = len(tally.open) + (len(host.open.difference(tally.open)) if host else 0)
            decoys = number == 0 and len(self.slices[0]) <= DECOYS and len(tally.open) >= DECOYS_ANSWERING
            if tally.note == EVERY_PORT or opened > TOO_MANY or decoys:
                left.append((tally.address, EVERY))
            elif self._gentle and tally.note == PROHIBITED and not (host and host.answered):
                left.append((tally.address, "prohibited"))
            elif self._gentle and host and host.trip_s is not None and tally.rtt_s is not None and tally.rtt_s > SLOWER * host.trip_s + JITTER_S:
                left.append((tally.address, "slowed"))
        if self._gentle and len(self.slices[number]) >= ENOUGH and not self._halted:
            for address, host in self._hosts.items():
                if host.steady and address not in self._left:
                    tally = by_address.get(address) or Tally(address, 0, (), 0, 0, 0)
                    if len(tally.open) + tally.closed < HALF * len(self.slices[number]):
                        left.append((address, "silenced"))
        return [(address, why) for address, why in dict(left).items() if address not in self._left]

    def _longest_trip_s(self) -> float | None:
        trips = [host.trip_s for host in self._hosts.values() if host.trip_s is not None]
        return max(trips) if trips else self.request.rtt_s

    # Telling

    def _progress(self, now: Progress, number: int) -> Progress:
        times = self._packets / self._probes if self._probes else float(self.request.rounds or loss.FEWEST)
        later = sum(len(ports) for place, ports in enumerate(self.slices) if place > number and place not in self._done) * len(self._all)
        left = now.expected - now.sent + later * times
        return Progress(
            self._packets + now.sent,
            self._packets + now.expected + int(later * times),
            len(self._told),
            now.per_second,
            left / max(min(now.per_second, pace(self.request)), 1e-3),
            now.lost,
        )

    def _end(self) -> Iterator[Event]:
        if not self._method:
            # Interrupted before the first question: there is nothing to tell.
            return
        addresses = self._all
        silent = [str(one) for one in addresses if str(one) not in self._hosts and one not in self._gate.opted_out] if len(addresses) <= SPARSE else []
        for address in sorted((*self._hosts, *silent), key=_place):
            host = self._hosts.get(address) or _Host()
            why = self._left.get(address)
            note = EVERY_PORT if why == EVERY else STOPPED[why] if why else host.note
            asked = host.part + (host.ports_asked if host.ports_asked is not None else self._ports_done)
            rest = max(asked - len(host.open) - host.closed - host.filtered, 0)
            yield Tally(address, asked, tuple(sorted(host.open)), host.closed, host.filtered, rest, note, rtt_s=host.trip_s)
        yield asked_of(self._addresses(spare=True), tuple(port for number in self._done for port in self.slices[number]))
        lost, counted = self._known
        opened = sum(len(host.open) for host in self._hosts.values())
        missed = (0.0 if self._fewest is None else loss.expected_missed(lost, counted, opened, self._fewest)) if counted else None
        yield Summary(
            self._method, self._seconds, self._packets, self._rounds, lost / counted if counted else None, missed, tuple(self._notes), counted, self._resident, not self.complete
        )  # fmt: skip

    def _nap(self, seconds: float) -> None:
        until = self._clock() + seconds
        while not self._stop() and self._clock() < until:
            self._sleep(min(_NAP_S, seconds))


class _Host:
    """What is known of a host that answered."""

    __slots__ = ("answered", "closed", "filtered", "note", "open", "part", "ports_asked", "steady", "trip_s")

    def __init__(self) -> None:
        self.answered = self.closed = self.filtered = self.part = 0
        self.steady = False
        """Once nearly every port of a slice answered."""
        self.open: set[int] = set()
        self.ports_asked: int | None = None
        """How many, where it was left in peace before the end."""
        self.trip_s: float | None = None
        self.note: Text | None = None


def cut(request: Request, seed: int) -> list[tuple[int, ...]]:
    """The ports of each slice: decoys, popular ones, the others as chance has it. The same for the same request and seed."""
    hosts = len(request.addresses)
    most = max(1, min(PROBES, int(pace(request) * SECONDS) if pace(request) < float("inf") else PROBES) // hosts)
    wanted = frozenset(request.ports)
    popular = [port for port in POPULAR if port in wanted]
    rest = sorted(wanted.difference(popular))
    random.Random(seed).shuffle(rest)  # noqa: S311 - an order, no secret
    if len(wanted) <= most:
        return [(*popular, *rest)]
    decoys = [port for port in rest if port > 1024][:DECOYS] if len(rest) > TOO_MANY else []
    ordered = [*popular, *(port for port in rest if port not in decoys)]
    return [*([tuple(decoys)] if decoys else []), *(tuple(ordered[at : at + most]) for at in range(0, len(ordered), most))]


def pace(request: Request) -> float:
    """Packets a second that all limits together allow."""
    rates = [request.rate]
    hosts = len(request.addresses)
    if request.host_rate:
        rates.append(request.host_rate * hosts)
    if request.network_rate:
        packed = Addresses.of(request.addresses)
        crowds = Counter(
            packed.packed(version)[at : at + (3 if version == 4 else 8)]
            for version, width in ((4, 4), (6, 16))
            for at in range(0, len(packed.packed(version)), width)
        )
        rates.append(request.network_rate * hosts / max(crowds.values()))
    return min(rates)


def plan_of(request: Request, method: str) -> str:
    """A digest of all that decides what is asked, and how it is cut."""
    packed = Addresses.of(request.addresses)
    digest = hashlib.sha256()
    for part in (
        packed.packed(4),
        packed.packed(6),
        repr((sorted(request.ports), request.rate, request.host_rate, request.network_rate, request.rounds, method)).encode(),
    ):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def asked_of(addresses: Sequence[Address], ports: Sequence[int]) -> Asked:
    """What was asked, in few words."""
    packed = Addresses.of(addresses)
    ranges: list[tuple[Address, Address]] = []
    for version, kind in ((4, IPv4Address), (6, IPv6Address)):
        for first, last in _spans(sorted(set(packed.numbers(version)))):
            ranges.append((kind(first), kind(last)))
    return Asked(
        tuple(str(first) if first == last else f"{first}-{last}" for first, last in ranges),
        ",".join(str(first) if first == last else f"{first}-{last}" for first, last in _spans(sorted(set(ports)))),
    )


def _spans(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Runs of sorted numbers, first and last of each."""
    if numbers and numbers[-1] - numbers[0] + 1 == len(numbers):
        # All ports, a whole prefix: there is nothing to look for.
        return [(numbers[0], numbers[-1])]
    spans: list[tuple[int, int]] = []
    for number in numbers:
        if spans and spans[-1][1] + 1 == number:
            spans[-1] = (spans[-1][0], number)
        else:
            spans.append((number, number))
    return spans


def _place(address: str) -> tuple[int, int]:
    one = ip_address(address)
    return one.version, int(one)
