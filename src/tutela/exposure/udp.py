"""Ask the UDP services that matter, each in its own protocol. Needs no privilege: connected sockets, so the kernel itself drops what others send.

Only an answer shows anything. A refusal (ICMP port unreachable) means closed, but hosts send few of these, one a second on Linux;
so silence is "no answer: open or filtered", never "closed".
Each port is asked from one socket in all rounds, as a client would; the rounds lie apart in time, since losses come in bursts.
"""

from __future__ import annotations

import contextlib
import errno
import heapq
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address

from tutela.errors import ScanError, said_by_system
from tutela.exposure import loss
from tutela.exposure.connect import sockets_allowed
from tutela.exposure.model import UDP, Address, Event, Open, Progress, Request, Service, Summary, Tally
from tutela.exposure.payloads import PORTS, QUESTIONS, Answer, Question, recognise
from tutela.exposure.routes import source_of
from tutela.language import Text

ROUNDS = 3
GAPS_S = (0.5, 1.0)
"""How long an answer is awaited in the first round, and in each later one, besides twice the round-trip time."""
LONGEST_TRIP_S = 1.0
SETTLE_S = 0.25
"""An answer may have several datagrams; so long they are gathered."""
NOTABLE = 5.0
"""Bytes of answer for each byte asked, from which on it is told of services that are not recognised too."""
LARGEST = 65_535
MOST_DATAGRAMS = 64
"""Of one answer, at one time: whoever sends more must wait for their turn."""
MOST_READ = 1 << 20
"""Bytes of one answer; what follows is counted and not read."""
MOST_SOCKETS = 16_384
BATCH = 256
PROGRESS_S = 0.2
_IP_RECVERR, _IPV6_RECVERR = 11, 25
_UNREACHABLE = {
    errno.ENETUNREACH,
    errno.EHOSTUNREACH,
    errno.EACCES,
    errno.EPERM,
    errno.EPROTO,
    errno.ENOPROTOOPT,
    errno.EOPNOTSUPP,
    errno.ENONET,
    errno.EHOSTDOWN,
}
_EXHAUSTED = {errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}
_FILTERED, _CLOSED, _OPEN = 1, 2, 3
_BY_ICMP, _BY_ICMP6 = 2, 3
_FINAL = {*((_BY_ICMP, 3, code) for code in (2, 3, 9, 10, 13)), *((_BY_ICMP6, 1, code) for code in (1, 4, 5, 6))}
"""Origin, type and code: port or protocol unreachable, prohibited (RFC 792, RFC 1812, RFC 4443)."""
NOTE = Text(
    "UDP：只有应答才说明问题；WireGuard、syslog、RADIUS 等对陌生人从不应答",
    "UDP: only an answer shows anything; WireGuard, syslog, RADIUS and others never answer strangers",
)
UNASKED = Text(
    "UDP：所列端口中没有本程序会询问的服务，未测试",
    "UDP: among the ports named there is no service that this program can ask; not tested",
)
ANSWERS_ANYTHING = Text(
    "多数端口都有应答但内容不合协议：有设备替主机应答",
    "most ports answered, and not in their protocols: something answers in the host's place",
)


def udp_ports(named: Sequence[int] | None) -> tuple[int, ...]:
    """Those of the ports named that have a question; all that have one where none is named."""
    return PORTS if named is None else tuple(sorted(frozenset(PORTS).intersection(named)))


def scan_udp(
    request: Request,
    *,
    lost: float | None = None,
    permits: Callable[[Address], bool] = lambda _: True,
    questions: Sequence[Question] = QUESTIONS,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Event]:
    """What answers on the request's ports over UDP, then a tally of each address, then a summary. Raises ScanError.

    `lost` is the share of round trips lost, where another scan has just measured it on this path; `permits` is asked right before each packet.
    """
    for address in request.addresses:
        # Else this machine's own "unreachable" would pass for silence.
        source_of(address)
    scan = _UdpScan(request, lost, permits, questions)
    try:
        yield from scan.run(stop)
    finally:
        scan.close()


class _Asked:
    """One question to one port of one host, under way."""

    __slots__ = ("answer", "answered_at", "asked", "began", "bytes", "datagram", "done", "first", "host", "one", "port", "question", "token", "turn")

    def __init__(self, host: int, port: int, question: Question, one: socket.socket) -> None:
        self.host, self.port, self.question, self.one = host, port, question, one
        self.token = os.urandom(16)
        self.datagram = question.ask(self.token)
        self.asked = 0
        self.began = self.answered_at = 0.0
        self.first = 0
        """The round that was answered; 0: none."""
        self.bytes = 0
        self.turn = 0.0
        """When its host and network may be sent the next packet; 0: not yet given a turn."""
        self.answer: Answer | None = None
        self.done = False


class _UdpScan:
    def __init__(self, request: Request, lost: float | None, permits: Callable[[Address], bool], questions: Sequence[Question]) -> None:
        self.request, self.lost, self.permits = request, lost, permits
        wanted = frozenset(request.ports)
        self.pairs = [(port, question) for question in questions for port in question.ports if port in wanted]
        self.ports = sorted({port for port, _ in self.pairs})
        self.state: dict[tuple[int, int], int] = {}
        """What became of host and port, once something did."""
        self.left_alone: set[int] = set()
        """Hosts that may not be asked any more: their ports are not silent, nobody asked."""
        self.odd: dict[int, int] = {}
        """Ports of a host that answered, and nothing in their protocol."""
        self.packets = self.finished = 0
        self.late = self.answered = 0
        """Questions answered, and those of them only when asked again."""
        self.rounds = 0
        self.failed = self.refused = 0
        """Questions without a route, and all that this machine refused to send."""
        self.problem: OSError | None = None
        self._seed_s = min(request.rtt_s or 0.0, LONGEST_TRIP_S)
        self._smooth_s: float | None = None
        self.most = min(MOST_SOCKETS, sockets_allowed())
        self._epoll = select.epoll()
        self._flying: dict[int, _Asked] = {}
        self._due: list[tuple[float, int, _Asked]] = []
        self._count = 0
        self._next_packet = 0.0
        self._next_of: dict[object, float] = {}
        self.began = time.monotonic()

    def run(self, stop: Callable[[], bool]) -> Iterator[Event]:
        fresh = ((host, port, question) for port, question in self.pairs for host in range(len(self.request.addresses)))
        waiting = next(fresh, None)
        shown = self.began
        while (waiting is not None or self._flying) and not stop():
            for _ in range(BATCH):
                if waiting is None or len(self._flying) >= self.most or not self._take_up(*waiting):
                    break
                waiting = next(fresh, None)
            yield from self._act()
            yield from self._listen()
            now = time.monotonic()
            if now - shown >= PROGRESS_S:
                shown = now
                yield self._progress(now)
        for asked in list(self._flying.values()):
            yield from self._end_of(asked)
        yield from self._end()

    def _take_up(self, host: int, port: int, question: Question) -> bool:
        """A socket for the question; False when there is none to be had now."""
        address = self.request.addresses[host]
        v4 = address.version == 4
        try:
            one = socket.socket(socket.AF_INET if v4 else socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        except OSError as problem:
            if problem.errno in _EXHAUSTED and self._flying:
                self.most = max(16, len(self._flying))
                return False
            raise
        asked = _Asked(host, port, question, one)
        try:
            if question.any_port:
                # Without a peer the kernel tells of refusals only on request.
                one.setsockopt(*((socket.IPPROTO_IP, _IP_RECVERR, 1) if v4 else (socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)))
            else:
                one.connect((str(address), port))
        except OSError as problem:
            one.close()
            if problem.errno in _EXHAUSTED and self._flying:
                return False
            self._refused_by_us(problem)
            self.finished += 1
            self.failed += 1
            return True
        self._flying[one.fileno()] = asked
        self._epoll.register(one.fileno(), select.EPOLLIN)
        self._plan(asked, time.monotonic())
        return True

    def _plan(self, asked: _Asked, at: float) -> None:
        self._count += 1
        heapq.heappush(self._due, (at, self._count, asked))

    def _act(self) -> Iterator[Event]:
        """Ask, ask again, or make an end of those whose time has come."""
        for _ in range(BATCH):
            now = time.monotonic()
            if not self._due or self._due[0][0] > now:
                return
            _, _, asked = self._due[0]
            if asked.done:
                heapq.heappop(self._due)
            elif asked.first:
                heapq.heappop(self._due)
                if asked.answered_at + SETTLE_S <= now:
                    yield from self._end_of(asked)
                else:
                    self._plan(asked, asked.answered_at + SETTLE_S)
            elif asked.asked >= self._rounds() or self.state.get((asked.host, asked.port), 0) == _CLOSED:
                heapq.heappop(self._due)
                # What came while this program was busy came in time.
                yield from self._read(asked)
                if not (asked.first or asked.done):
                    yield from self._end_of(asked)
            else:
                at = self._may_send(asked, now)
                if at > now and at == self._next_packet:
                    return
                heapq.heappop(self._due)
                if at > now:
                    self._plan(asked, at)
                else:
                    self._ask(asked, now)

    def _may_send(self, asked: _Asked, now: float) -> float:
        """When the rates allow the packet; with `now`, it is counted as sent. A turn at the host and its network is given once and kept."""
        if self._next_packet > now:
            return self._next_packet
        if not asked.turn:
            limits = [
                (key, 1 / rate)
                for key, rate in ((asked.host, self.request.host_rate), (self._network(asked.host), self.request.network_rate))
                if rate is not None
            ]
            asked.turn = max((self._next_of.get(key, 0.0) for key, _ in limits), default=now)
            for key, step in limits:
                self._next_of[key] = max(asked.turn, now) + step
        if asked.turn > now:
            return asked.turn
        asked.turn = 0.0
        # What was due a moment ago is made up for, no more.
        self._next_packet = max(self._next_packet, now - 0.01) + 1 / self.request.rate
        return now

    def _network(self, host: int) -> bytes:
        address = self.request.addresses[host]
        return address.packed[: 3 if address.version == 4 else 8]

    def _ask(self, asked: _Asked, now: float) -> None:
        if not self.permits(self.request.addresses[asked.host]):
            self.left_alone.add(asked.host)
            self._forget(asked)
            return
        asked.asked += 1
        asked.began = asked.began or now
        self.rounds = max(self.rounds, asked.asked)
        self.packets += 1
        try:
            if asked.question.any_port:
                asked.one.sendto(asked.datagram, (str(self.request.addresses[asked.host]), asked.port))
            else:
                asked.one.send(asked.datagram)
        except OSError as problem:
            if problem.errno in _EXHAUSTED:
                asked.asked -= 1
                self.packets -= 1
                self._plan(asked, now + 0.05)
                return
            # ICMP never says EPERM; this machine's own filter does.
            if problem.errno == errno.EPERM or not self._said(asked, problem):
                self._refused_by_us(problem)
        self._plan(asked, now + GAPS_S[min(asked.asked - 1, len(GAPS_S) - 1)] + 2 * (self._seed_s if self._smooth_s is None else self._smooth_s))

    def _listen(self) -> Iterator[Event]:
        now = time.monotonic()
        until = min(self._due[0][0] if self._due else now + 0.05, now + 0.05)
        for number, _ in self._epoll.poll(max(0.0, max(until, min(self._next_packet, now + 0.05)) - now), BATCH):
            asked = self._flying.get(number)
            if asked is not None:
                yield from self._read(asked)

    def _read(self, asked: _Asked) -> Iterator[Event]:
        for _ in range(MOST_DATAGRAMS):
            try:
                data, peer = asked.one.recvfrom(LARGEST)
            except BlockingIOError:
                return
            except OSError as problem:
                self._said(asked, problem)
                if asked.done:
                    return
                continue
            yield from self._heard(asked, data, str(peer[0]))

    def _heard(self, asked: _Asked, data: bytes, peer: str) -> Iterator[Event]:
        if asked.question.any_port and ip_address(peer.partition("%")[0]) != self.request.addresses[asked.host]:
            return
        answer = recognise(asked.question, asked.token, data) if asked.bytes < MOST_READ else None
        if answer is None and asked.question.any_port:
            return
        now = time.monotonic()
        asked.bytes += len(data)
        if answer is not None and (asked.answer is None or len(answer.said) > len(asked.answer.said)):
            asked.answer = answer
        if asked.first:
            return
        asked.first, asked.answered_at = asked.asked, now
        self.answered += 1
        self.late += asked.asked > 1
        if asked.asked == 1:
            took = now - asked.began
            self._smooth_s = took if self._smooth_s is None else self._smooth_s + 0.125 * (min(took, LONGEST_TRIP_S) - self._smooth_s)
        self._plan(asked, now + SETTLE_S)
        place = (asked.host, asked.port)
        if self.state.get(place, 0) < _OPEN:
            self.state[place] = _OPEN
            yield Open(str(self.request.addresses[asked.host]), "udp", asked.port, round(now - self.began, 4))

    def _said(self, asked: _Asked, problem: OSError) -> bool:
        """Take an error of the socket's; whether the network said it, and not this machine."""
        if asked.question.any_port and not _final(asked.one):
            return problem.errno in _UNREACHABLE
        return self._refused(asked, problem)

    def _refused(self, asked: _Asked, problem: OSError) -> bool:
        """Whether the error is an answer of the network's; then this question is at its end, though another may open the port yet."""
        if problem.errno != errno.ECONNREFUSED and problem.errno not in _UNREACHABLE:
            return False
        place = (asked.host, asked.port)
        self.state[place] = max(self.state.get(place, 0), _CLOSED if problem.errno == errno.ECONNREFUSED else _FILTERED)
        if not asked.first:
            self._forget(asked)
        return True

    def _refused_by_us(self, problem: OSError) -> None:
        self.refused += 1
        self.problem = problem

    def _rounds(self) -> int:
        """How often a silent port is asked: three times, and more where answers are known to get lost."""
        if self.request.rounds is not None:
            return self.request.rounds
        wanted = ROUNDS
        if self.late:
            wanted = max(wanted, loss.rounds_needed(self.late, self.answered + self.late, self.answered))
        if self.lost:
            wanted = max(wanted, loss.rounds_needed(round(self.lost * 1000), 1000, max(self.answered, 1)))
        return wanted

    def _end_of(self, asked: _Asked) -> Iterator[Event]:
        if asked.first:
            asked_bytes = asked.asked * len(asked.datagram)
            factor = round(asked.bytes / max(asked_bytes, 1), 1)
            answer = asked.answer or Answer()
            if asked.answer is None:
                self.odd[asked.host] = self.odd.get(asked.host, 0) + 1
            if asked.answer is not None or factor >= NOTABLE:
                name, address = asked.question.name if asked.answer is not None else None, str(self.request.addresses[asked.host])
                yield Service(
                    address, "udp", asked.port, name, answer.said, answer.without_authentication,
                    amplification=factor, asked_bytes=asked_bytes, answered_bytes=asked.bytes,
                )  # fmt: skip
        self._forget(asked)

    def _forget(self, asked: _Asked) -> None:
        if not asked.done:
            asked.done = True
            self.finished += 1
            del self._flying[asked.one.fileno()]
            asked.one.close()

    def _progress(self, now: float) -> Progress:
        seconds = max(now - self.began, 1e-6)
        all_in_all = len(self.pairs) * len(self.request.addresses)
        expected = max(self.packets, all_in_all * ROUNDS - self.finished * (ROUNDS - 1))
        rate = self.packets / seconds
        lost = self.late / (self.answered + self.late) if self.answered else None
        return Progress(self.packets, expected, sum(state == _OPEN for state in self.state.values()), rate, (expected - self.packets) / max(rate, 1.0), lost)

    def _end(self) -> Iterator[Event]:
        if self.problem is not None and self.refused == self.packets + self.failed:
            first, why = self.request.addresses[0], said_by_system(self.problem)
            raise ScanError(
                Text(
                    f"向 {first} 发送 UDP 探测包被本机拒绝：{why.zh}；请检查本机防火墙的出站规则和路由",
                    f"this machine refused to send UDP to {first}: {why.en}; look at its firewall's output rules and its routes",
                )
            )
        found: dict[int, dict[int, list[int]]] = {}
        for (host, port), state in self.state.items():
            found.setdefault(host, {}).setdefault(state, []).append(port)
        for host in range(len(self.request.addresses) if self.pairs else 0):
            mine = found.get(host, {})
            if host in self.left_alone and not mine:
                continue
            opened, closed, filtered = (mine.get(state, []) for state in (_OPEN, _CLOSED, _FILTERED))
            silent = len(self.ports) - len(opened) - len(closed) - len(filtered)
            note = ANSWERS_ANYTHING if self.odd.get(host, 0) > len(self.pairs) // 2 else None
            yield Tally(str(self.request.addresses[host]), len(self.ports), tuple(sorted(opened)), len(closed), len(filtered), silent, note, "udp")
        answered = self.answered + self.late
        notes = [NOTE if self.pairs else UNASKED]
        if self.problem is not None and self.refused:
            why = said_by_system(self.problem)
            notes.append(Text(f"本机拒绝发送 {self.refused} 个 UDP 包：{why.zh}", f"this machine refused to send {self.refused} UDP packets: {why.en}"))
        lost = self.late / answered if answered else None
        yield Summary(UDP, time.monotonic() - self.began, self.packets, self.rounds, lost, self._expected_missed(), tuple(notes))

    def _expected_missed(self) -> float | None:
        """A handful of answers says little about loss: only what another scan measured, or lost answers seen here, is counted with."""
        if self.lost is not None:
            return loss.expected_missed(round(self.lost * 1000), 1000, self.answered, max(self.rounds, 1))
        return loss.expected_missed(self.late, self.answered + self.late, self.answered, self.rounds) if self.late else None

    def close(self) -> None:
        for asked in self._flying.values():
            asked.one.close()
        self._flying.clear()
        self._epoll.close()


def _final(one: socket.socket) -> bool:
    """Whether ICMP said no for good, as the kernel decides by itself on a connected socket; "no route to host" passes, and is asked again.

    Takes everything out of the socket's queue of errors, or it stays ready for ever. ip(7), struct sock_extended_err.
    """
    final = False
    with contextlib.suppress(OSError, struct.error):
        while True:
            for _, _, data in one.recvmsg(0, 512, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT)[1]:
                _, origin, kind, code = struct.unpack_from("=IBBB", data)
                final = final or (origin, kind, code) in _FINAL
    return final
