"""Run SYN scans: send what they ask at the rates allowed, read what comes back, until each is done.

Several scans may run at once. Each has a source port of its own, by which answers find their scan; they take turns at the common rate (deficit round robin).
"""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Self

import numpy as np
import numpy.typing as npt

from tutela.errors import ScanError
from tutela.exposure import loss
from tutela.exposure.model import FRAMES, RAW, Address, Event, Open, Request, Summary
from tutela.exposure.packets import SynPackets, reset_packet
from tutela.exposure.replies import Replies, read
from tutela.exposure.ring import Ring
from tutela.exposure.routes import next_hop, own_addresses, source_of
from tutela.exposure.sending import MOST, FrameSender, RawSender, Sender
from tutela.exposure.syn import SynScan
from tutela.language import Text

PORTS = (61000, 61999)
"""Source ports: above the range that Linux gives to programs. Nothing listens there, so the kernel resets what we half open."""
SLICE_S = 0.002
"""Packets for so long are sent in one go."""
PROGRESS_S = 0.2
MOST_RESETS = 4096
IDLE_S = 0.005


class Engine:
    """Sockets for sending and receiving, kept while scans come and go. Needs CAP_NET_RAW; raises PermissionError without."""

    def __init__(self, *, rate: float = float("inf"), method: str = RAW) -> None:
        self.method = method
        self._bucket = Bucket(rate)
        self._rings: dict[int, Ring] = {}
        self._raw: dict[int, RawSender] = {}
        self._jobs: deque[_Job] = deque()
        self._sockets(4)

    def start(self, request: Request) -> list[_Job]:
        """Take a scan on: a job for each address from which this machine speaks to the targets. Raises ScanError."""
        groups: dict[Address, list[Address]] = {}
        for address, source in zip(request.addresses, _sources(request.addresses), strict=True):
            groups.setdefault(source, []).append(address)
        jobs = []
        for source, addresses in groups.items():
            self._sockets(source.version)
            part = Request(
                tuple(addresses), request.ports, min(request.rate, self._bucket.rate), request.host_rate, request.network_rate, request.rounds, request.rtt_s
            )
            jobs.append(_Job(SynScan(part), source, self._sender(part), self._raw[source.version]))
        self._jobs.extend(jobs)
        return jobs

    def run(self, request: Request, *, stop: Callable[[], bool] = lambda: False) -> Iterator[Event]:
        """One scan from start to end. Raises ScanError."""
        began = time.monotonic()
        jobs = self.start(request)
        shown = began
        try:
            while any(not job.scan.done for job in jobs) and not stop():
                for _, event in self.step():
                    yield event
                now = time.monotonic()
                if now - shown >= PROGRESS_S:
                    shown = now
                    yield max((job.scan for job in jobs), key=lambda scan: scan.expected_packets()).progress(now)
            for job in jobs:
                yield from job.scan.tallies()
            yield summary(jobs, self.method, time.monotonic() - began)
        finally:
            for job in jobs:
                self.end(job)

    def step(self) -> Iterator[tuple[_Job, Open]]:
        """Read what came, send what is due, or wait a moment: for all scans that are on."""
        yield from self._read()
        now = time.monotonic()
        for job in self._jobs:
            if not job.scan.done and job.scan.round_over(now):
                job.scan.end_round()
        if not self._send(now):
            next(iter(self._rings.values())).wait(IDLE_S) if len(self._rings) == 1 else time.sleep(SLICE_S)

    def end(self, job: _Job) -> None:
        """Forget a scan, done or not, and free its source port."""
        if job in self._jobs:
            self._jobs.remove(job)
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
            for job in self._jobs:
                if job.scan.version != version:
                    continue
                mine = replies.our_port == job.packets.source_port
                if mine.any():
                    for event in job.scan.answered(replies if mine.all() else _only(replies, mine), now):
                        yield job, event

    def _send(self, now: float) -> bool:
        """One slice of packets, shared among the scans; whether any was sent."""
        allowed = self._bucket.allowed(now)
        sent = 0
        for _ in range(len(self._jobs)):
            job = self._jobs[0]
            self._jobs.rotate(-1)
            if job.scan.done or allowed - sent < 1:
                continue
            waiting = sum(not one.scan.done for one in self._jobs)
            sent += job.send(max(1, min(MOST, (allowed - sent) // max(waiting, 1))), now)
        self._bucket.spend(sent)
        return sent > 0

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

    def __init__(self, scan: SynScan, source: Address, sender: Sender, raw: RawSender) -> None:
        self.scan, self.source, self.sender, self._raw = scan, source, sender, raw
        self._reserved, port = _reserve(source.version)
        self.packets = SynPackets(source.packed, port, MOST)
        self.refused = 0

    def send(self, most: int, now: float) -> int:
        """Send what the scan wants asked; returns how many packets. Raises ScanError when the kernel refuses all."""
        probes = self.scan.next(most, now)
        if len(probes):
            destinations, ports, sequences = self.scan.destinations(probes)
            count = self.packets.fill(destinations, ports, sequences, int(now * 1000) & 0xFFFFFFFF)
            self.scan.sent(probes, now)
            self.refused += self.sender.send(self.packets.rows[:count], destinations)
            if self.refused == self.scan.packets:
                problem = os.strerror(self.sender.refused_with)
                first = str(self.scan.request.addresses[0])
                raise ScanError(
                    Text(
                        f"向 {first} 发送探测包被本机拒绝：{problem}；请检查本机防火墙的出站规则和路由",
                        f"this machine refused to send to {first}: {problem}; look at its firewall's output rules and its routes",
                    )
                )
        return len(probes)

    def _reset(self) -> None:
        """Take back what was half opened. The kernel has done so already, unless a filter kept the answer from it that we saw."""
        probes = self.scan.open_probes()[:MOST_RESETS]
        destinations, ports, sequences = self.scan.destinations(probes)
        for address, port, sequence in zip(destinations, ports.tolist(), sequences.tolist(), strict=True):
            packet = reset_packet(self.source.packed, self.packets.source_port, address.tobytes(), port, (sequence + 1) & 0xFFFFFFFF)
            self._raw.send(np.frombuffer(packet, np.uint8)[None, :], address[None, :])

    def close(self) -> None:
        """Leave nothing behind: no half-open connection, no port, no socket."""
        self._reset()
        if isinstance(self.sender, FrameSender):
            self.sender.close()
        self._reserved.close()


class Bucket:
    """Tokens for packets: `rate` a second, at most a slice saved up."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._tokens = 0.0
        self._at: float | None = None

    def allowed(self, now: float) -> int:
        """Packets that may be sent now."""
        if self.rate == float("inf"):
            return MOST
        if self._at is not None:
            self._tokens = min(self._tokens + (now - self._at) * self.rate, max(self.rate * SLICE_S * 5, 1.0))
        self._at = now
        return int(self._tokens) if self._tokens >= min(self.rate * SLICE_S, MOST) or self._tokens >= 1 > self.rate * SLICE_S else 0

    def spend(self, packets: int) -> None:
        """So many were sent."""
        self._tokens -= packets


def summary(jobs: list[_Job], method: str, seconds: float) -> Summary:
    """The jobs of one scan as one."""
    lost = sum(job.scan.sample()[0] for job in jobs)
    asked = sum(job.scan.sample()[1] for job in jobs)
    opened = sum(len(job.scan.open_probes()) for job in jobs)
    rounds = max(job.scan.round for job in jobs)
    silent = any((job.scan.state == 0).any() for job in jobs)
    missed = (loss.expected_missed(lost, asked, opened, rounds) if silent else 0.0) if asked else None
    notes = []
    refused = sum(job.refused for job in jobs)
    if refused:
        notes.append(Text(f"本机拒绝发送 {refused} 个探测包", f"this machine refused to send {refused} packets"))
    return Summary(method, seconds, sum(job.scan.packets for job in jobs), rounds, lost / asked if asked else None, missed, tuple(notes))


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


def _sources(addresses: tuple[Address, ...]) -> list[Address]:
    """From where this machine speaks to each. One look for each /24 is enough: routes inside one hardly ever leave differently."""
    if len(addresses) <= 4096:
        return [source_of(address) for address in addresses]
    own = set(own_addresses())
    known: dict[bytes, Address] = {}
    sources = []
    for address in addresses:
        if address in own:
            sources.append(address)
            continue
        network = address.packed[: 3 if address.version == 4 else 8]
        if network not in known:
            known[network] = source_of(address)
        sources.append(known[network])
    return sources
