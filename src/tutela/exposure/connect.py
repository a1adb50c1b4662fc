"""Scan without any privilege: TCP connections through the kernel, thousands at once, on bare epoll(7).

Slower than SYN packets, and every open port sees a finished connection, which its service may log.
A connection is called silent only after the kernel was asked once more: a busy program must not mistake its own delay for a filter.
"""

from __future__ import annotations

import contextlib
import errno
import random
import resource
import select
import socket
import struct
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from pathlib import Path

from tutela.exposure import loss
from tutela.exposure.bucket import Bucket
from tutela.exposure.model import CONNECT, Address, Event, Open, Progress, Request, Summary, Tally
from tutela.exposure.notes import EVERY_PORT
from tutela.exposure.ports import POPULAR, TOO_MANY, too_many
from tutela.exposure.routes import source_of
from tutela.language import Text

MOST_SOCKETS = 20_000
SPARE_FILES = 64
"""File descriptors left to the rest of the program."""
SHORTEST_WAIT_S, FIRST_WAIT_S, LONGEST_WAIT_S = 0.3, 1.0, 3.0
LAST_S = 0.3
"""A scan that is told to stop waits so long at most for connections under way."""
CONTROLS, CONTROLS_A_PORT = 60, 5
"""Connections, in all and to one port, to ports that answered before: they tell whether whoever asks still gets answers. Few, since services see them."""
OVERDUE_S = 0.01
"""How often overdue connections are looked for: there may be as many hosts as sockets."""
PROGRESS_S = 0.2
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_STOOD = {0, errno.ECONNRESET, errno.EPIPE}
"""The handshake was finished; who came late finds that the service has ended it already. (A port that refuses says ECONNREFUSED.)"""
_PASSING = {errno.ENETUNREACH, errno.EHOSTUNREACH}
"""A router, or this machine, does not find the host; it may a moment later."""
_UNREACHABLE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EPERM, errno.ENOPROTOOPT}
_EXHAUSTED = {errno.EADDRNOTAVAIL, errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOBUFS}
_Pair = tuple[int, int]
"""Place of the address in the request, port."""


def scan_by_connecting(request: Request, *, stop: Callable[[], bool] = lambda: False, permits: Callable[[Address], bool] = lambda _: True) -> Iterator[Event]:
    """One scan from start to end; needs no privilege. `permits` is asked right before each connection. Raises ScanError when there is no route."""
    for address in request.addresses:
        # Else this machine's own "unreachable" would pass for a filter's on the way.
        source_of(address)
    scan = _ConnectScan(request, permits)
    try:
        yield from scan.run(stop)
    finally:
        scan.close()


class _Trip:
    """Round trips to one host, seconds."""

    def __init__(self) -> None:
        self.smooth_s = 0.0
        self._least_s = float("inf")

    def measured(self, took: float) -> None:
        """Take one in. One that the kernel had to ask again took a second more, and one that waited for this program anything: neither is a round trip."""
        if took < 4 * self._least_s + 0.15:
            self.smooth_s = took if self._least_s == float("inf") else self.smooth_s + 0.05 * (took - self.smooth_s)
        self._least_s = min(self._least_s, took)


class _ConnectScan:
    def __init__(self, request: Request, permits: Callable[[Address], bool]) -> None:
        self.request = request
        self.permits = permits
        self.most = sockets_allowed()
        self.hosts = tuple(request.addresses)
        self.addresses = [str(address) for address in self.hosts]
        self._limited = request.host_rate is not None or request.network_rate is not None
        self.open: list[set[int]] = [set() for _ in self.addresses]
        self.closed = [0] * len(self.addresses)
        self.filtered = [0] * len(self.addresses)
        self.suspects: set[int] = set()
        self.asked = 0
        self.round = 1
        self.late = 0
        """Ports that answered only when asked again."""
        self.answered = 0
        self._refusing: list[_Pair] = []
        """Some of the ports that refused."""
        self._controls: frozenset[_Pair] = frozenset()
        self._controls_asked = self._controls_answered = 0
        self.withheld: set[_Pair] = set()
        """Not asked, since their address may not be asked (any more), or the scan was told to stop."""
        self._next: dict[int | bytes, float] = {}
        """When a host, by its place, and a network, by its first bytes, may be asked again."""
        self._too_early = False
        self._trips: dict[int, _Trip] = {}
        """Of hosts that answered, by place: how far away one is says nothing of another."""
        self._bucket = Bucket(request.rate)
        self._again: deque[_Pair] = deque()
        self._not_found: list[_Pair] = []
        """In this round: asked once more in the next."""
        self._passing: set[_Pair] = set()
        """Not found when they were asked last."""
        self._epoll = select.epoll()
        self._flying: dict[int, tuple[socket.socket, _Pair, float]] = {}
        self._deadlines: dict[int, deque[tuple[float, int, _Pair]]] = {}
        """By host, since each has its own patience."""
        self._looked_s = 0.0
        """When overdue connections were looked for last."""
        self.began = time.monotonic()

    def run(self, stop: Callable[[], bool]) -> Iterator[Event]:
        queue = deque(_waves(self.request))
        shown = self.began
        while True:
            silent: list[_Pair] = []
            total = len(queue)
            while (queue or self._again or self._flying) and not stop():
                before = self.asked
                yield from self._launch(queue)
                self._bucket.spend(self.asked - before)
                queue.extend(self._again)
                self._again.clear()
                yield from self._land(silent, idle=self.asked == before or self._too_early)
                now = time.monotonic()
                if now - shown >= PROGRESS_S:
                    shown = now
                    yield self._progress(now, total, len(queue))
            silent += self._not_found
            self._not_found = []
            if stop():
                if self.round == 1:
                    self.withheld.update(queue)
                yield from self._last_answers(silent)
            silent = [pair for pair in silent if pair[0] not in self.suspects]
            if stop() or not silent or self.round >= self._rounds():
                break
            self.round += 1
            queue.extend(self._with_controls(silent) if self.round == 2 else silent)
        yield from self._end(silent, cut=stop())

    def _last_answers(self, silent: list[_Pair]) -> Iterator[Open]:
        """Connections that are about to stand or to be refused are waited for; none is begun."""
        until = time.monotonic() + LAST_S
        while self._flying and time.monotonic() < until:
            yield from self._land(silent, idle=True)

    def _with_controls(self, silent: list[_Pair]) -> list[_Pair]:
        """Questions to ports that answered, strewn evenly among the others."""
        opened = [(host, port) for host, ports in enumerate(self.open) if host not in self.suspects for port in ports]
        known = opened or self._refusing
        most = min(CONTROLS, len(silent))
        chosen = random.sample(known, min(most, len(known)))
        self._controls = frozenset(chosen)
        mixed = list(silent)
        controls = chosen * min(CONTROLS_A_PORT, most // max(len(chosen), 1))
        for number, pair in enumerate(controls):
            mixed.insert(number + number * len(silent) // len(controls), pair)
        return mixed

    def _sample(self) -> tuple[int, int]:
        """Questions lost, and questions that count: to ports that answered, before or in the end."""
        unanswered = self._controls_asked - self._controls_answered
        if loss.shut_out(unanswered, self._controls_asked):
            return unanswered, self._controls_asked
        return self.late + unanswered, self.answered + self.late + self._controls_asked

    def _rounds(self) -> int:
        if self.request.rounds is not None:
            return self.request.rounds
        lost, asked = self._sample()
        return max(loss.FEWEST, loss.rounds_needed(lost, asked, sum(map(len, self.open)))) if self.late else loss.FEWEST

    def _launch(self, queue: deque[_Pair]) -> Iterator[Open]:
        """Begin connections, as many as rate and limits allow."""
        for _ in range(min(self._bucket.allowed(time.monotonic()), self.most - len(self._flying), len(queue), 512)):
            pair = queue.popleft()
            address = self.hosts[pair[0]]
            now = time.monotonic()
            if not self.permits(address):
                if pair not in self._controls:
                    self.withheld.add(pair)
                continue
            self._too_early = self._limited and not self._in_turn(pair[0], address, now)
            if self._too_early:
                queue.append(pair)
                continue
            try:
                one = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            except OSError as problem:
                if problem.errno in _EXHAUSTED and self._flying:
                    queue.appendleft(pair)
                    self.most = max(16, len(self._flying))
                    return
                raise
            code = one.connect_ex((self.addresses[pair[0]], pair[1]))
            if code == 0 and _is_itself(one):
                one.close()
                queue.append(pair)
                continue
            if code == errno.EINPROGRESS:
                self._counted(pair)
                self._flying[one.fileno()] = (one, pair, now)
                self._epoll.register(one.fileno(), select.EPOLLOUT | select.EPOLLONESHOT)
                self._deadlines.setdefault(pair[0], deque()).append((now, one.fileno(), pair))
                continue
            one.close()
            if code in _EXHAUSTED:
                queue.appendleft(pair)
                if not self._flying:
                    time.sleep(0.05)
                return
            self._counted(pair)
            yield from self._result(pair, code, now)

    def _counted(self, pair: _Pair) -> None:
        self.asked += 1
        self._controls_asked += pair in self._controls

    def _in_turn(self, host: int, address: Address, now: float) -> bool:
        """The limits of host and network allow a question now; it is counted."""
        limits: tuple[tuple[int | bytes, float | None], ...] = (
            (host, self.request.host_rate),
            (address.packed[: 3 if address.version == 4 else 8], self.request.network_rate),
        )
        if any(rate and self._next.get(key, 0.0) > now for key, rate in limits):
            return False
        for key, rate in limits:
            if rate:
                self._next[key] = now + 1 / rate
        return True

    def _land(self, silent: list[_Pair], *, idle: bool) -> Iterator[Open]:
        """Take the results that are there; then, and only then, call what is overdue silent."""
        wait = 0.005 if idle else 0.0
        # What is overdue by now, and not among what the kernel tells afterwards, is silent.
        now = time.monotonic()
        while True:
            events = self._epoll.poll(wait, 4096)
            for number, _ in events:
                flying = self._flying.pop(number, None)
                if flying is None:
                    continue
                one, pair, since = flying
                yield from self._settle(one, pair, since)
            if len(events) < 4096:
                break
            wait = 0.0
        if now < self._looked_s + OVERDUE_S:
            return
        self._looked_s = now
        for host, waiting in list(self._deadlines.items()):
            patience = self._patience(host)
            while waiting and waiting[0][0] + patience < now:
                since, number, pair = waiting.popleft()
                flying = self._flying.get(number)
                if flying is None or flying[1] != pair or flying[2] != since:
                    continue
                self._flying.pop(number)[0].close()
                if pair not in self._controls:
                    self._passing.discard(pair)
                    silent.append(pair)
            if not waiting:
                del self._deadlines[host]

    def _settle(self, one: socket.socket, pair: _Pair, since: float) -> Iterator[Open]:
        code = one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        itself = code == 0 and _is_itself(one)
        if code == 0:
            # Closing sends RST: nothing of ours stays behind in TIME_WAIT.
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        one.close()
        if itself:
            self._again.append(pair)
        else:
            yield from self._result(pair, code, since)

    def _result(self, pair: _Pair, code: int, since: float) -> Iterator[Open]:
        host, port = pair
        if pair in self._controls:
            self._controls_answered += code in _STOOD or code == errno.ECONNREFUSED
            return
        self._passing.discard(pair)
        if code in _PASSING:
            self._passing.add(pair)
            self._not_found.append(pair)
            return
        if code in _UNREACHABLE:
            self.filtered[host] += 1
            return
        if code not in _STOOD and code != errno.ECONNREFUSED:
            return
        now = time.monotonic()
        self.answered += 1
        self.late += self.round > 1
        self._trips.setdefault(host, _Trip()).measured(now - since)
        if code == errno.ECONNREFUSED:
            self.closed[host] += 1
            if len(self._refusing) < CONTROLS:
                self._refusing.append(pair)
            return
        if code in _STOOD:
            self.open[host].add(port)
            if len(self.open[host]) > TOO_MANY:
                self.suspects.add(host)
            if host not in self.suspects:
                yield Open(self.addresses[host], "tcp", port, round(now - self.began, 4))

    def _patience(self, host: int) -> float:
        trip = self._trips.get(host)
        if trip is None:
            # What another connection measured makes it longer and never shorter: it may have gone another way.
            return max(FIRST_WAIT_S, min(LONGEST_WAIT_S, 2 * (self.request.rtt_s or 0.0)))
        return min(LONGEST_WAIT_S, max(SHORTEST_WAIT_S, 4 * trip.smooth_s))

    def _progress(self, now: float, total: int, queued: int) -> Progress:
        seconds = max(now - self.began, 1e-6)
        rate = self.asked / seconds
        lost = self.late / (self.answered + self.late) if self.answered else None
        left = queued + (total if self.round == 1 else 0)
        return Progress(self.asked, self.asked + left, sum(map(len, self.open)), rate, left / max(rate, 1.0), lost)

    def _end(self, silent: list[_Pair], *, cut: bool) -> Iterator[Event]:
        count = len(self.request.ports)
        withheld = Counter(pair[0] for pair in self.withheld)
        for host, _ in self._passing:
            self.filtered[host] += 1
        for host, address in enumerate(self.addresses):
            opened = self.open[host]
            asked = count - withheld[host]
            rest = asked - len(opened) - self.closed[host] - self.filtered[host]
            if self.request.sparse and rest == asked:
                continue
            everywhere = host in self.suspects or len(opened) > too_many(count)
            yield Tally(address, asked, tuple(sorted(opened)), self.closed[host], self.filtered[host], rest, EVERY_PORT if everywhere else None)
        lost, counted = self._sample()
        missed = (loss.expected_missed(lost, counted, sum(map(len, self.open)), self.round) if silent else 0.0) if counted else None
        yield Summary(CONNECT, time.monotonic() - self.began, self.asked, self.round, lost / counted if counted else None, missed, (LOGGED,), counted, cut=cut)

    def close(self) -> None:
        for one, _, _ in self._flying.values():
            one.close()
        self._epoll.close()


LOGGED = Text("连接方式：开放端口上的服务看到完整的连接，可能记入日志", "by connections: services on open ports see a finished connection and may log it")


def sockets_allowed() -> int:
    """How many sockets this process may hold; the soft limit is raised to the hard one, and some files are left to others."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_SOCKETS + SPARE_FILES + 1024 if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < min(wanted, MOST_SOCKETS + 1024):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, MOST_SOCKETS + 1024), hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    used = len(list(Path("/proc/self/fd").iterdir()))
    return max(16, min(MOST_SOCKETS, (MOST_SOCKETS + 1024 if soft == resource.RLIM_INFINITY else soft) - used - SPARE_FILES))


def _waves(request: Request) -> list[_Pair]:
    """Popular ports first; each wave asks every address once."""
    wanted = frozenset(request.ports)
    popular = [port for port in POPULAR if port in wanted]
    rest = sorted(wanted.difference(popular))
    random.shuffle(rest)
    return [(host, port) for port in (*popular, *rest) for host in range(len(request.addresses))]


def _is_itself(one: socket.socket) -> bool:
    """On loopback the kernel may pick the very port that is asked as ours, and the socket meets itself (RFC 9293, simultaneous open)."""
    try:
        return bool(one.getsockname() == one.getpeername())
    except OSError:
        return False


__all__ = ["Address", "scan_by_connecting", "sockets_allowed"]
