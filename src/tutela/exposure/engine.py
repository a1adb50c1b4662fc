"""Run SYN scans: send what they ask at the rates allowed, read what comes back, until each is done.

Several scans may run at once. Each has a source port of its own, by which answers find their scan; they take turns at the common rate (deficit round robin).
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from ipaddress import ip_address
from typing import Self

import numpy as np
import numpy.typing as npt

from tutela.errors import ScanError, said_by_system
from tutela.exposure import loss
from tutela.exposure.addresses import Addresses
from tutela.exposure.bucket import SLICE_S, Bucket
from tutela.exposure.entries import Entries
from tutela.exposure.gate import Gate
from tutela.exposure.guard import Guard
from tutela.exposure.model import FRAMES, RAW, Address, Event, Open, Request, Summary
from tutela.exposure.packets import SynPackets, reset_packet
from tutela.exposure.replies import Replies, read
from tutela.exposure.ring import Ring
from tutela.exposure.routes import next_hop, own_addresses, source_of
from tutela.exposure.sending import MOST, FrameSender, RawSender, Sender
from tutela.exposure.syn import SynScan
from tutela.exposure.turns import Turns
from tutela.language import Text

PORTS = (61000, 61999)
"""Source ports: above the range that Linux gives to programs. Nothing listens there, so the kernel resets what we half open."""
PROGRESS_S = 0.2
MOST_RESETS = 4096
IDLE_S = 0.005
LAST_S = 0.3
"""A scan that is told to stop waits so long at most for answers that are on their way."""


class Engine:
    """Sockets for sending and receiving, kept while scans come and go. Needs CAP_NET_RAW; raises PermissionError without."""

    def __init__(self, *, rate: float = float("inf"), method: str = RAW, guard: Guard | Gate | None = None, entries: Entries | None = None) -> None:
        self.method = method
        self.guard = guard
        """Asked before every packet; may be exchanged while scans run."""
        self._entries = entries
        self._bucket = Bucket(rate)
        self._rings: dict[int, Ring] = {}
        self._overflowed = 0
        self._raw: dict[int, RawSender] = {}
        self._jobs: list[_Job] = []
        # Four turns to a slice where many wait: long enough to be worth a system call, short enough that nobody waits long.
        self._turns: Turns[_Job] = Turns(int(min(rate * SLICE_S / 4, 64)))
        self._sockets(4)

    def warm(self) -> None:
        """Open now what scans of either IP version will need."""
        with contextlib.suppress(OSError):
            # This machine may speak no IPv6.
            self._sockets(6)

    def start(self, request: Request) -> list[_Job]:
        """Take a scan on: a job for each address from which this machine speaks to the targets. Raises ScanError."""
        jobs = []
        if not self._jobs:
            # What was saved up in idleness would go out in one burst, and the first answers be read only after it.
            self._bucket = Bucket(self._bucket.rate)
        for source, addresses in _by_source(Addresses.of(request.addresses)):
            self._sockets(source.version)
            part = replace(request, addresses=addresses, rate=min(request.rate, self._bucket.rate))
            own_rate = part.rate if part.rate < self._bucket.rate else float("inf")
            jobs.append(_Job(SynScan(part), source, self._sender(part), self._raw[source.version], Bucket(own_rate)))
        self._jobs.extend(jobs)
        for job in jobs:
            self._turns.add(job)
        return jobs

    def run(self, request: Request, *, stop: Callable[[], bool] = lambda: False) -> Iterator[Event]:
        """One scan from start to end. Raises ScanError."""
        began = time.monotonic()
        jobs = self.start(request)
        overflowed = self.overflowed()
        shown = began
        try:
            while any(not job.scan.done for job in jobs) and not stop():
                for _, event in self.step():
                    yield event
                for job in jobs:
                    if job.problem is not None:
                        raise job.problem
                now = time.monotonic()
                if now - shown >= PROGRESS_S:
                    shown = now
                    yield max((job.scan for job in jobs), key=lambda scan: scan.expected_packets()).progress(now)
            if stop():
                yield from self._last_answers(jobs)
            for job in jobs:
                yield from job.scan.tallies()
            yield summary(jobs, self.method, time.monotonic() - began, self.overflowed() - overflowed)
        finally:
            for job in jobs:
                self.end(job)

    def _last_answers(self, jobs: list[_Job]) -> Iterator[Event]:
        """What was asked a moment ago may be about to be answered: that is waited for, and nothing more is asked."""
        until = time.monotonic() + min(LAST_S, max(job.scan.trip.wait_s() for job in jobs))
        while time.monotonic() < until:
            for _, event in self._read():
                yield event
            self._wait()

    def _wait(self, also: Sequence[int] = ()) -> None:
        # Not select(2), which knows descriptors below 1024 only.
        poll = select.poll()
        for descriptor in (*(ring.fileno() for ring in self._rings.values()), *also):
            poll.register(descriptor, select.POLLIN)
        poll.poll(IDLE_S * 1000)

    def step(self, also: Sequence[int] = ()) -> Iterator[tuple[_Job, Open]]:
        """Read what came, send what is due, or wait a moment: for all scans that are on. What happens on the descriptors `also` ends the wait."""
        # An answer that comes while others are being told must not find its round over.
        before = time.monotonic()
        yield from self._read()
        now = time.monotonic()
        for job in self._jobs:
            if not job.scan.done and job.scan.round_over(before):
                job.scan.end_round()
            if job.scan.done:
                self._turns.remove(job)
        if not self._send(now):
            self._wait(also)

    def ask_no_more(self, job: _Job) -> None:
        """Send nothing more for a scan; its answers are still read."""
        self._turns.remove(job)

    def overflowed(self) -> int:
        """Packets so far that came faster than they were read, and were lost."""
        self._overflowed += sum(ring.lost() for ring in self._rings.values())
        return self._overflowed

    def end(self, job: _Job) -> None:
        """Forget a scan, done or not, and free its source port."""
        if job in self._jobs:
            self._jobs.remove(job)
        self._turns.remove(job)
        job.close()

    def close(self) -> None:
        """Give all sockets back."""
        for job in list(self._jobs):
            self.end(job)
        for ring in self._rings.values():
            ring.close()
        for sender in self._raw.values():
            sender.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def _read(self) -> Iterator[tuple[_Job, Open]]:
        for version, ring in self._rings.items():
            rows, at = ring.take()
            if len(rows) == 0:
                continue
            # Arrival times are of the clock on the wall; ours must not jump.
            replies = read(rows, at - (time.time() - time.monotonic()), version)
            now = time.monotonic()
            # Whoever is told of an event may end a scan.
            for job in list(self._jobs):
                if job.scan.version != version:
                    continue
                mine = replies.our_port == job.packets.source_port
                if mine.any():
                    heard = job.scan.heard
                    for event in job.scan.answered(replies if mine.all() else _only(replies, mine), now):
                        yield job, event
                    job.reset(job.scan.repeated)
                    if self._entries is not None:
                        self._entries.answered(job.scan.heard - heard)

    def _send(self, now: float) -> bool:
        """One slice of packets, shared among the scans; whether any was sent."""
        sent = self._turns.share(min(self._bucket.allowed(now), MOST), lambda job, most: self._let(job, most, now))
        self._bucket.spend(sent)
        return sent > 0

    def _let(self, job: _Job, most: int, now: float) -> int:
        """Let one scan send at most so many; returns how many it did."""
        new = job.scan.round == 1
        if new and self._entries is not None:
            most = min(most, self._entries.left(now))
        most = min(most, job.bucket.allowed(now))
        if most <= 0 or job.scan.done:
            return 0
        try:
            sent = job.send(most, now, self.guard)
        except ScanError as problem:
            # The other scans go on.
            job.problem, job.scan.done = problem, True
            return 0
        job.bucket.spend(sent)
        if new and self._entries is not None:
            self._entries.began(sent, now)
        return sent

    def _sockets(self, version: int) -> None:
        if version not in self._rings:
            self._rings[version] = Ring(version, PORTS)
            self._raw[version] = RawSender(version)

    def _sender(self, request: Request) -> Sender:
        version = request.addresses[0].version
        if self.method == FRAMES:
            hops = {
                next_hop(address) for address in (request.addresses if len(request.addresses) <= 16 else request.addresses[:: len(request.addresses) // 16])
            }
            hop = hops.pop() if len(hops) == 1 else None
            if hop is None:
                raise ScanError(
                    Text(
                        "--method frames 需要所有目标经由同一个以太网邻居；请改用 --method raw",
                        "--method frames needs all targets behind one Ethernet neighbour; use --method raw",
                    )
                )
            return FrameSender(version, hop)
        return self._raw[version]


class _Job:
    """A scan, its packets, and the reservation of its source port."""

    def __init__(self, scan: SynScan, source: Address, sender: Sender, raw: RawSender, bucket: Bucket) -> None:
        self.scan, self.source, self.sender, self._raw, self.bucket = scan, source, sender, raw, bucket
        self._reserved, port = _reserve(source.version)
        self.packets = SynPackets(source.packed, port, MOST)
        self.refused = 0
        self.withheld = 0
        """Questions that the guard did not let out."""
        self.problem: ScanError | None = None
        """Why it ended before its time."""

    def send(self, most: int, now: float, guard: Guard | Gate | None = None) -> int:
        """Send what the scan wants asked; returns how many packets. Raises ScanError when the kernel refuses all."""
        probes = self.scan.next(most, now)
        destinations, ports, sequences = self.scan.destinations(probes)
        if guard is not None and len(probes):
            permitted = guard.permits(destinations)
            if not permitted.all():
                self.withheld += len(probes) - int(permitted.sum())
                probes, destinations, ports, sequences = probes[permitted], destinations[permitted], ports[permitted], sequences[permitted]
        if len(probes):
            count = self.packets.fill(destinations, ports, sequences, int(now * 1000) & 0xFFFFFFFF)
            # By the clock as it is by now: the guard may have read its lists, which is no round trip.
            self.scan.sent(probes, time.monotonic())
            refused = self.sender.send(self.packets.rows[:count], destinations)
            if refused:
                self.refused += len(refused)
                self.scan.refused(probes[refused])
            if self.refused == self.scan.packets:
                why = said_by_system(OSError(self.sender.refused_with, os.strerror(self.sender.refused_with)))
                first = str(self.scan.request.addresses[0])
                raise ScanError(
                    Text(
                        f"向 {first} 发送探测包被本机拒绝：{why.zh}；请检查本机防火墙的出站规则和路由",
                        f"this machine refused to send to {first}: {why.en}; look at its firewall's output rules and its routes",
                    )
                )
        return len(probes)

    def reset(self, probes: npt.NDArray[np.int64]) -> None:
        """Take back what was half opened. The kernel has done so already, unless a filter kept the answer from it that we saw, or its reset was lost."""
        probes = probes[:MOST_RESETS]
        destinations, ports, sequences = self.scan.destinations(probes)
        packets = [
            reset_packet(self.source.packed, self.packets.source_port, address.tobytes(), port, (sequence + 1) & 0xFFFFFFFF)
            for address, port, sequence in zip(destinations, ports.tolist(), sequences.tolist(), strict=True)
        ]
        if packets:
            self._raw.send(np.frombuffer(b"".join(packets), np.uint8).reshape(len(packets), -1), destinations)

    def close(self) -> None:
        """Leave nothing behind: no half-open connection, no port, no socket."""
        self.reset(self.scan.open_probes())
        if isinstance(self.sender, FrameSender):
            self.sender.close()
        self._reserved.close()


def summary(jobs: list[_Job], method: str, seconds: float, overflowed: int = 0) -> Summary:
    """The jobs of one scan as one; `overflowed` packets were lost on arrival here."""
    lost = sum(job.scan.sample()[0] for job in jobs)
    asked = sum(job.scan.sample()[1] for job in jobs)
    # What was known before is in the sample of each, and counts once.
    for job in jobs[1:]:
        lost, asked = lost - job.scan.request.known[0], asked - job.scan.request.known[1]
    opened = sum(len(job.scan.open_probes()) for job in jobs)
    rounds = max(job.scan.round for job in jobs)
    silent = any((job.scan.state == 0).any() for job in jobs)
    missed = (loss.expected_missed(lost, asked, opened, rounds) if silent else 0.0) if asked else None
    notes = []
    refused = sum(job.refused for job in jobs)
    if refused:
        notes.append(Text(f"本机拒绝发送 {refused} 个探测包", f"this machine refused to send {refused} packets"))
    if overflowed:
        notes.append(
            Text(
                f"本机来不及读取，丢失了 {overflowed} 个到达的包；丢失的应答已按丢包计入并重新询问",
                f"{overflowed} packets came faster than this machine read them and were lost; lost answers count as loss and were asked for again",
            )
        )
    withheld = sum(job.withheld for job in jobs)
    if withheld:
        notes.append(
            Text(
                f"有 {withheld} 个探测包没有发出：目标已声明不接受扫描，或不在允许的网段内",
                f"{withheld} packets were not sent: their targets opted out, or lie outside the prefixes that may be scanned",
            )
        )
    packets, cut = sum(job.scan.packets for job in jobs), any(not job.scan.done for job in jobs)
    return Summary(method, seconds, packets, rounds, lost / asked if asked else None, missed, tuple(notes), asked, cut=cut)


def _only(replies: Replies, mine: npt.NDArray[np.bool_]) -> Replies:
    return Replies(*(getattr(replies, name)[mine] for name in replies.__dataclass_fields__))


def _reserve(version: int) -> tuple[socket.socket, int]:
    """A source port that no program has; held by a socket that does not listen."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    first, last = PORTS
    start = int.from_bytes(os.urandom(2), "big")
    for step in range(last - first + 1):
        holder = socket.socket(family, socket.SOCK_STREAM)
        port = first + (start + step) % (last - first + 1)
        try:
            if version == 6:
                holder.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            holder.bind(("", port))
        except OSError:
            holder.close()
            continue
        return holder, port
    raise ScanError(Text(f"端口 {first}–{last} 都被占用；请等其他扫描结束", f"all of the ports {first}-{last} are taken; wait for other scans to end"))


def _by_source(addresses: Addresses) -> Iterator[tuple[Address, Addresses]]:
    """The addresses by that from which this machine speaks to them. Of thousands one look for each /24 is enough: routes inside one hardly ever leave differently."""
    own = set(own_addresses())
    for version in (4, 6):
        rows = np.frombuffer(addresses.packed(version), np.uint8).reshape(-1, 4 if version == 4 else 16)
        if len(rows) == 0:
            continue
        sources: dict[Address, int] = {}
        width = rows.shape[1] if len(rows) <= 4096 else 3 if version == 4 else 8
        _, first_of, network_of = np.unique(rows[:, :width], axis=0, return_index=True, return_inverse=True)
        by_network = np.array([sources.setdefault(source_of(ip_address(rows[first].tobytes())), len(sources)) for first in first_of.tolist()])
        by_row = by_network[network_of.reshape(-1)]
        for address in own:
            # To itself this machine speaks from that very address.
            if address.version == version:
                here = (rows == np.frombuffer(address.packed, np.uint8)).all(axis=1)
                if here.any():
                    by_row[here] = sources.setdefault(source_of(address), len(sources))
        for source, number in sources.items():
            part = rows[by_row == number].tobytes()
            if part:
                yield source, Addresses(part) if version == 4 else Addresses(six=part)
