"""One scan by SYN packets: whom to ask next, what an answer means, when it is enough. No sockets here, and no clock.

A probe is a pair of host and port, by its index: host × ports + port.
Every probe has a random 32-bit sequence number, and only an answer that names it counts: nobody off the path can make a port look open.
Each round asks only what is still silent, with the same five-tuple, as TCP itself retransmits: tables of filters on the way hold one connection a port.
"""

from __future__ import annotations

import os
from ipaddress import ip_address
from typing import Any

import numpy as np
import numpy.typing as npt

from tutela.exposure import loss
from tutela.exposure.addresses import Addresses
from tutela.exposure.model import Open, Progress, Request, Tally
from tutela.exposure.notes import EVERY_PORT, PROHIBITED
from tutela.exposure.ports import TOO_MANY, in_order, too_many
from tutela.exposure.replies import RESET, SYN_ACK, UNREACHABLE, Replies

Probes = npt.NDArray[np.int64]
Queue = npt.NDArray[np.int32]
"""Probes by the million, in half the room: two thousand million would not fit into memory."""
SILENT, OPEN, CLOSED, FILTERED = 0, 1, 2, 3
CONTROLS, CONTROLS_A_PORT = 1200, 10
"""Questions a round, in all and to one port, to ports known to answer: they measure the loss where silence is the rule."""
FIRST_WAIT_S, LONGEST_WAIT_S, SHORTEST_WAIT_S = 1.0, 3.0, 0.06
APART_S = 0.25
"""Rounds without any answer begin so far apart: one burst of loss must not take them all."""
AGAIN_S = 0.55
"""Between the second question to a port and the third, and so on: Linux answers repeated SYNs of one half-open connection
twice a second at most (tcp_invalid_ratelimit, ip-sysctl.rst), however many answers were lost."""
MOST_ROUNDS = 100
_SOFT = {4: (0, 1), 6: (0, 3)}
"""ICMP codes for "no route to network, to host": these pass, and are asked again."""
_PROHIBITED = {4: (9, 10, 13), 6: (1, 5, 6)}
"""ICMP codes for "administratively prohibited", "fails the policy", "reject route": RFC 1812 5.2.7.1, RFC 4443 3.1."""


class SynScan:
    """The state of one scan: `next` says whom to ask, `sent` and `answered` hear what happened, `end_round` decides what follows."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.version = request.addresses[0].version
        self._chance = np.random.default_rng(list(os.urandom(16)))
        self.ports, self._decoys = in_order(request.ports, self._chance)
        self.addresses = np.frombuffer(Addresses.of(request.addresses).packed(self.version), np.uint8).reshape(len(request.addresses), -1)
        self._find = _Finder(self.addresses)
        self._place = np.full(65536, -1, np.int32)
        self._place[self.ports] = np.arange(len(self.ports), dtype=np.int32)
        size = len(self.addresses) * len(self.ports)
        self.sequences = np.frombuffer(os.urandom(4 * size), np.uint32)
        self.state = np.zeros(size, np.uint8)
        self._asked = np.zeros(size, np.uint8)
        self._sent_at = np.zeros(size, np.float32)
        self._started: float | None = None
        self._last_sent = self._first_sent = 0.0
        """When the last question left, and the last of those that were asked for the first time."""
        self.round = 1
        self._first = self._queue = self._in_waves()
        self._due = self._schedule(self._queue)
        self._at = 0
        self._round_began = 0.0
        self._round_new = True
        self.packets = 0
        self.answers = 0
        self.heard = 0
        """Probes that a host answered."""
        self.repeated: Probes = np.empty(0, np.int64)
        """Those of the last answers that answered with SYN-ACK once more: they have had no reset, or were asked again."""
        self.trip = RoundTrip(request.rtt_s, asked_before=request.known[1] > 0)
        self._known = {OPEN: [0, 0], CLOSED: [0, 0]}
        """Of probes that answered, by state: questions lost before the first answer, questions."""
        self._controls = [0, 0]
        self._control_answers: dict[int, list[int]] = {}
        self._suspects: set[int] = set()
        self._held: list[tuple[int, float]] = []
        self._opened = np.zeros(len(self.addresses), np.int64)
        self._prohibited = np.zeros(len(self.addresses), np.bool_)
        self._quickest_s = np.full(len(self.addresses), np.inf)
        self.done = False

    def _in_waves(self) -> Queue:
        """Each wave asks every host once, so that no host and no network meets a burst."""
        hosts = np.arange(0, len(self.state), len(self.ports), dtype=np.int32)
        self._chance.shuffle(hosts)
        return (np.arange(len(self.ports), dtype=np.int32)[:, None] + hosts[None, :]).ravel()

    def _schedule(self, queue: Queue) -> npt.NDArray[np.float64] | None:
        """When each question may be sent, seconds from the start of the round, where hosts or networks have limits of their own.

        The n-th questions to all hosts make a wave; a wave lasts as long as its limits demand.
        """
        request = self.request
        if (request.host_rate is None and request.network_rate is None) or len(queue) == 0:
            return None
        hosts = queue // len(self.ports)
        by_host = np.argsort(hosts, kind="stable")
        first = np.searchsorted(hosts[by_host], np.arange(len(self.addresses)))
        wave = np.empty(len(queue), np.int64)
        wave[by_host] = np.arange(len(queue)) - first[hosts[by_host]]
        order = np.argsort(wave, kind="stable")
        queue[:] = queue[order]
        sizes = np.bincount(wave)
        crowd = int(np.unique(self.addresses[np.unique(hosts)][:, : 3 if self.version == 4 else 8], axis=0, return_counts=True)[1].max())
        lasts = sizes / request.rate
        if request.host_rate is not None:
            lasts = np.maximum(lasts, 1 / request.host_rate)
        if request.network_rate is not None:
            lasts = np.maximum(lasts, np.minimum(sizes, crowd) / request.network_rate)
        begins = np.cumsum(lasts) - lasts
        within = np.arange(len(queue)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        due: npt.NDArray[np.float64] = np.repeat(begins, sizes) + within * np.repeat(lasts / sizes, sizes)
        return due

    # Asking

    def next(self, most: int, now: float) -> Probes:
        """The probes to send now, at most so many; none when this round has asked everything, or limits say wait."""
        if self._round_new:
            self._round_began, self._round_new = now, False
        if self._due is not None:
            most = min(most, int(np.searchsorted(self._due, now - self._round_began, "right")) - self._at)
        probes: Probes = self._queue[self._at : self._at + max(most, 0)].astype(np.int64)
        self._at += len(probes)
        return self._unsuspected(probes)

    def _unsuspected(self, probes: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Those to hosts on which not every port answers: of the others enough is known."""
        return probes[~np.isin(probes // len(self.ports), list(self._suspects))] if self._suspects else probes

    def destinations(self, probes: Probes) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint16], npt.NDArray[np.uint32]]:
        """Address, port and sequence number of each probe."""
        host = probes // len(self.ports)
        return self.addresses.take(host, axis=0), self.ports.take(probes - host * len(self.ports)), self.sequences.take(probes)

    def sent(self, probes: Probes, now: float) -> None:
        """These are on their way."""
        if self._started is None:
            self._started = now
        np.add.at(self._asked, probes, np.uint8(1))
        self._sent_at[probes] = now - self._started
        self._last_sent = now
        if self.round == 1:
            self._first_sent = now
        self.packets += len(probes)

    def refused(self, probes: Probes) -> None:
        """These have just been noted as sent, and this machine did not let them out: nobody was asked."""
        np.subtract.at(self._asked, probes, np.uint8(1))

    # Answers

    def answered(self, replies: Replies, now: float) -> list[Open]:
        """What the answers change; the ports found open by them, unless something answers for their host."""
        hosts, places = self._find(replies.address), self._place[replies.port]
        probes = hosts * len(self.ports) + places
        valid = np.flatnonzero((hosts >= 0) & (places >= 0))
        valid = valid[(self.sequences[probes[valid]] == replies.sequence[valid]) & (self._asked[probes[valid]] > 0)]
        self.repeated = probes[:0]
        if len(valid) == 0 or self._started is None:
            return []
        probes, kinds, codes, at = probes[valid], replies.kind[valid], replies.code[valid], replies.at[valid]
        self.answers += len(probes)
        once = (self._asked[probes] == 1) & (self.state[probes] == SILENT) & (kinds != UNREACHABLE)
        trips = at[once] - self._started - self._sent_at[probes[once]]
        self._measured(trips[trips > 0], probes[once][trips > 0] // len(self.ports))
        if self._control_answers:
            for probe in probes[kinds != UNREACHABLE].tolist():
                if probe in self._control_answers:
                    self._control_answers[probe][1] += 1

        opened = _distinct(probes[kinds == SYN_ACK])
        self.repeated = opened[self.state[opened] == OPEN]
        opened = opened[self.state[opened] != OPEN]
        self._first_answer(opened[self.state[opened] == SILENT], OPEN)
        self.state[opened] = OPEN
        closed = _distinct(probes[kinds == RESET])
        closed = closed[(self.state[closed] == SILENT) | (self.state[closed] == FILTERED)]
        self._first_answer(closed, CLOSED)
        self.state[closed] = CLOSED
        unreachable = kinds == UNREACHABLE
        if unreachable.any():
            self._refused(probes[unreachable], codes[unreachable])
        return self._tell(opened, now - self._started)

    def _measured(self, trips: npt.NDArray[np.float64], hosts: Probes) -> None:
        np.minimum.at(self._quickest_s, hosts, trips)
        # A host whose answer got no answer repeats it after a second: that is no round trip. Another host may well be so much farther away.
        self.trip.measured(trips[trips < 4 * self._quickest_s[hosts] + 0.15])

    def _refused(self, probes: Probes, codes: npt.NDArray[np.uint8]) -> None:
        for_good = probes[~np.isin(codes, _SOFT[self.version])]
        self.state[for_good[self.state[for_good] == SILENT]] = FILTERED
        self._prohibited[probes[np.isin(codes, _PROHIBITED[self.version])] // len(self.ports)] = True

    def _first_answer(self, probes: Probes, state: int) -> None:
        self.heard += len(probes)
        asked = int(self._asked[probes].sum())
        self._known[state][0] += asked - len(probes)
        self._known[state][1] += asked

    def _tell(self, opened: Probes, after_s: float) -> list[Open]:
        hosts = opened // len(self.ports)
        np.add.at(self._opened, hosts, 1)
        places = opened % len(self.ports)
        for host in {*hosts[places < self._decoys].tolist(), *hosts[self._opened[hosts] > TOO_MANY].tolist()}:
            decoys = int((self.state[host * len(self.ports) : host * len(self.ports) + self._decoys] == OPEN).sum())
            if decoys >= 3 or self._opened[host] > TOO_MANY:
                self._suspects.add(host)
        return [
            Open(self._name(host), "tcp", int(self.ports[place]), round(after_s, 4))
            for host, place in zip(hosts.tolist(), places.tolist(), strict=True)
            if host not in self._suspects
        ]

    # Rounds

    def round_over(self, now: float) -> bool:
        """Everything of this round is asked, and what will be answered has been."""
        if self._at < len(self._queue):
            return False
        if not self.trip.known and self.round < self.rounds_needed():
            # Nothing answers so far: there is no round trip to wait for before asking again.
            return now >= self._round_began + self.trip.apart_s()
        silent = int((self.state == SILENT).sum())
        if silent == 0:
            return True
        wait_s, most_are_silent = self.trip.wait_s(), silent * 2 > len(self._queue)
        if self.round == 1 < self.rounds_needed() and most_are_silent and now >= self._round_began + max(APART_S, wait_s):
            # The next round takes as long as this one, and comes to each port long after its answer was due.
            return True
        if now < self._last_sent + wait_s:
            return False
        # They say whether this round was the last: what has not answered by now counts as lost.
        self._close_controls()
        if self.round >= self.rounds_needed():
            return now >= self._first_sent + FIRST_WAIT_S or not self._some_may_be_far()
        if self.round == 1:
            return True
        return now >= AGAIN_S + (self._round_began if most_are_silent else self._last_sent)

    def _some_may_be_far(self) -> bool:
        """Of a host with silent ports no round trip is known: those of others say nothing of it."""
        return bool((self.state.reshape(len(self.addresses), -1)[np.isinf(self._quickest_s)] == SILENT).any())

    def end_round(self) -> None:
        """Decide: enough, or another round for what is silent."""
        self._close_controls()
        pace_s = (self._last_sent - self._round_began) / max(len(self._queue), 1)
        silent = self._unsuspected(self._first[self.state[self._first] == SILENT])
        if len(silent) == 0 or self.round >= self.rounds_needed():
            self.done = True
            return
        self.round += 1
        self._queue, self._at, self._round_new = self._with_controls(silent, pace_s), 0, True
        self._due = self._schedule(self._queue)

    def rounds_needed(self) -> int:
        """By the loss so far."""
        if self.request.rounds is not None:
            return min(self.request.rounds, MOST_ROUNDS)
        lost, asked = self.sample()
        needed = loss.rounds_needed(lost, asked, int((self.state == OPEN).sum()))
        if asked == 0 and self.heard and not self._control_answers:
            # The first answers came as late as now, as after a neighbour was long in being found: asked again, they tell the loss.
            return max(needed, min(self.round + 1, loss.MOST))
        return needed

    def sample(self) -> tuple[int, int]:
        """Round trips lost, and round trips that count: to ports known to answer."""
        if loss.shut_out(*self._controls):
            return self._controls[0] + self.request.known[0], self._controls[1] + self.request.known[1]
        lost, asked = self._known[OPEN][0] + self._controls[0], self._known[OPEN][1] + self._controls[1]
        closed = int((self.state == CLOSED).sum())
        if closed * 2 > len(self.state):
            # A host that refuses every port. Where few refuse, it may be a limit on refusals and no loss.
            lost, asked = lost + self._known[CLOSED][0], asked + self._known[CLOSED][1]
        return lost + self.request.known[0], asked + self.request.known[1]

    def _with_controls(self, silent: Queue, pace_s: float) -> Queue:
        """Questions to ports that answered, strewn evenly among the others; `pace_s`: from one question to the next, in the round before."""
        known = np.flatnonzero(self.state == OPEN)
        if len(known) == 0:
            known = np.flatnonzero(self.state == CLOSED)
        if len(known) == 0 or self._suspects or self.request.rounds is not None:
            return silent
        self._chance.shuffle(known)
        # Where most ports answered, these tell whether whoever asks was shut out before the others were asked.
        most = CONTROLS if len(silent) * 4 >= len(self.state) else max(1, min(CONTROLS, len(silent) // 4))
        known = known[:most]
        # A port in the middle of answering may not answer again: until our reset has come, one round trip later.
        seconds = len(silent) * pace_s
        times = int(max(1, min(CONTROLS_A_PORT, most // len(known), seconds / (2 * self.trip.smooth_s + 0.02))))
        controls = np.tile(known, times)
        self._control_answers = {probe: [times, 0] for probe in known.tolist()}
        places = np.linspace(0, len(silent), len(controls), endpoint=False).astype(np.int64)
        return np.insert(silent, places, controls)

    def _close_controls(self) -> None:
        for asked, got in self._control_answers.values():
            self._controls[0] += max(asked - got, 0)
            self._controls[1] += asked
        self._control_answers = {}

    # Telling

    def expected_packets(self) -> int:
        """At least so many, all in all."""
        silent = int((self.state == SILENT).sum())
        return self.packets + len(self._queue) - self._at + max(self.rounds_needed() - self.round, 0) * silent

    def open_probes(self) -> Probes:
        """Those that answered with SYN-ACK."""
        return np.flatnonzero(self.state == OPEN)

    def suspects(self) -> list[int]:
        """Hosts on which every port seems to answer, by their place in the request."""
        return sorted(self._suspects)

    def tallies(self) -> list[Tally]:
        """What became of each address; with `sparse`, of each that answered."""
        state = self.state.reshape(len(self.addresses), -1)
        closed, filtered = (state == CLOSED).sum(axis=1), (state == FILTERED).sum(axis=1)
        asked = (self._asked.reshape(len(self.addresses), -1) > 0).sum(axis=1)
        opened = (state == OPEN).sum(axis=1)
        told = []
        for host in np.flatnonzero(opened + closed + filtered).tolist() if self.request.sparse else range(len(self.addresses)):
            everywhere = host in self._suspects or opened[host] > too_many(len(self.ports))
            note = EVERY_PORT if everywhere else PROHIBITED if self._prohibited[host] and opened[host] + closed[host] == 0 else None
            told.append(
                Tally(
                    self._name(host),
                    int(asked[host]),
                    tuple(sorted(self.ports[state[host] == OPEN].tolist())) if opened[host] else (),
                    int(closed[host]),
                    int(filtered[host]),
                    int(asked[host] - opened[host] - closed[host] - filtered[host]),
                    note,
                    rtt_s=round(float(self._quickest_s[host]), 6) if self._quickest_s[host] < np.inf else None,
                )
            )
        return told

    def progress(self, now: float) -> Progress:
        """How far it is."""
        expected, seconds = self.expected_packets(), max(now - (self._started or now), 1e-6)
        lost, asked = self.sample()
        rate = self.packets / seconds
        return Progress(
            self.packets, expected, int((self.state == OPEN).sum()), rate, (expected - self.packets) / max(rate, 1.0), lost / asked if asked else None
        )

    def _name(self, host: int) -> str:
        return str(ip_address(self.addresses[host].tobytes()))


def _distinct(probes: Probes) -> Probes:
    """Each once, in their order. Not by np.unique, which loads numpy's masked arrays first: longer than a round trip."""
    ordered = np.sort(probes)
    first = np.ones(len(ordered), np.bool_)
    first[1:] = ordered[1:] != ordered[:-1]
    return ordered[first]


class RoundTrip:
    """How long answers take (RFC 6298), from first questions only: an answer to a repeated one may belong to either."""

    def __init__(self, seed_s: float | None, *, asked_before: bool = False) -> None:
        """`seed_s`, as of a Request; `asked_before`: a scan of the same addresses measured it, and it counts as if this one had."""
        self._seed_s = seed_s or 0.0
        self.smooth_s = seed_s or 0.1
        self._variation_s = self.smooth_s / 2
        self._most_s = 0.0
        self.known = seed_s is not None and asked_before

    def measured(self, samples: npt.NDArray[np.float64]) -> None:
        """Take samples in, seconds."""
        if len(samples) == 0:
            return
        mean = float(samples.mean())
        self._most_s = max(self._most_s, float(samples.max()))
        if not self.known:
            self.smooth_s, self._variation_s, self.known = mean, mean / 2, True
            return
        self._variation_s += 0.25 * (float(np.abs(samples - self.smooth_s).mean()) - self._variation_s)
        self.smooth_s += 0.125 * (mean - self.smooth_s)

    def apart_s(self) -> float:
        """How far apart rounds begin as long as nothing answers: an answer that is on its way must not find its port asked again, which would count as loss."""
        # A connection's quickest round trip, and a quarter for what varies.
        return max(APART_S, min(LONGEST_WAIT_S, 1.25 * self._seed_s))

    def wait_s(self) -> float:
        """How long after the last question an answer may still come."""
        if not self.known:
            # A connection may have gone another way, or end at a proxy: what it says makes a wait longer and never shorter.
            return max(FIRST_WAIT_S, min(LONGEST_WAIT_S, 2 * self._seed_s))
        return min(LONGEST_WAIT_S, max(SHORTEST_WAIT_S, self.smooth_s + 4 * self._variation_s, 2 * self._most_s))


class _Finder:
    """Places of addresses in a table, for many at once; -1 for strangers."""

    def __init__(self, addresses: npt.NDArray[np.uint8]) -> None:
        self._addresses = addresses
        while True:
            self._factor = np.frombuffer(os.urandom(8), np.uint64)[0] | np.uint64(1)
            keys = self._keys(addresses)
            self._order = np.argsort(keys)
            self._sorted = keys[self._order]
            # Two addresses with one key would hide each other: then another factor.
            if (self._sorted[1:] != self._sorted[:-1]).all():
                break

    def __call__(self, addresses: npt.NDArray[np.uint8]) -> Probes:
        keys = self._keys(addresses)
        at = np.minimum(np.searchsorted(self._sorted, keys), len(self._sorted) - 1)
        found = self._order[at]
        same = (self._addresses[found] == addresses).all(axis=1)
        return np.where(same, found, -1).astype(np.int64)

    def _keys(self, addresses: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
        if addresses.shape[1] == 4:
            return np.ascontiguousarray(addresses).view(np.uint32)[:, 0].astype(np.uint64)
        halves = np.ascontiguousarray(addresses).view(np.uint64)
        keys: npt.NDArray[np.uint64] = halves[:, 0] * self._factor ^ halves[:, 1]
        return keys
