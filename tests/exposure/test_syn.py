"""The logic of a scan against hosts made of arithmetic: no socket, no clock, so a hundred runs take seconds."""

from ipaddress import ip_address, ip_network

import numpy as np
import pytest

from tutela.exposure import loss
from tutela.exposure.model import Request
from tutela.exposure.ports import ALL, DECOYS, POPULAR, in_order
from tutela.exposure.replies import RESET, SYN_ACK, UNREACHABLE, Replies
from tutela.exposure.syn import OPEN, SHORTEST_WAIT_S, RoundTrip, SynScan

RTT_S = 0.02


class World:
    """Hosts that answer after a round trip, the first of several perhaps after another, and lose packets by chance."""

    def __init__(
        self,
        scan: SynScan,
        open_probes: np.ndarray,
        *,
        otherwise: int | None,
        loss_each_way: float,
        seed: int,
        rtt_s: float = RTT_S,
        first_rtt_s: float | None = None,
    ) -> None:
        self.scan, self.open, self.otherwise, self.loss, self.rtt_s = scan, open_probes, otherwise, loss_each_way, rtt_s
        self.first_rtt_s = rtt_s if first_rtt_s is None else first_rtt_s
        self.chance = np.random.default_rng(seed)
        self.now = 0.0
        self.flying: list[tuple[float, np.ndarray]] = []

    def run(self, rate: float = 100_000.0) -> list[int]:
        """Until the scan is done; returns the ports told open, in the order of the telling."""
        told = []
        for _ in range(1_000_000):
            probes = self.scan.next(max(int(rate * 0.002), 1), self.now)
            if len(probes):
                self.scan.sent(probes, self.now)
                first = probes < len(self.scan.ports)
                self.flying += [(self.now + self.first_rtt_s, probes[first]), (self.now + self.rtt_s, probes[~first])]
                self.flying.sort(key=lambda one: one[0])
            while self.flying and self.flying[0][0] <= self.now:
                told += [one.port for one in self.scan.answered(self.answers(*self.flying.pop(0)), self.now)]
            if self.scan.round_over(self.now):
                self.scan.end_round()
            if self.scan.done:
                return told
            self.now += 0.002
        raise AssertionError("the scan does not end")

    def answers(self, at: float, probes: np.ndarray) -> Replies:
        there = self.chance.random((2, len(probes))) >= self.loss
        probes = probes[there[0] & there[1]]
        opened = np.isin(probes, self.open)
        if self.otherwise is None:
            probes, opened = probes[opened], opened[opened]
        destinations, ports, sequences = self.scan.destinations(probes)
        kinds = np.where(opened, SYN_ACK, self.otherwise or 0).astype(np.uint8)
        return Replies(
            kinds, np.full(len(probes), 13, np.uint8), destinations, ports, np.full(len(probes), 61000, np.uint16), sequences, np.full(len(probes), at)
        )


def scan_of(count: int, seed: int, **more) -> tuple[SynScan, np.ndarray]:
    scan = SynScan(Request((ip_address("192.0.2.9"),), tuple(ALL), **more))
    return scan, np.random.default_rng(seed).choice(np.arange(DECOYS, 65535), count, replace=False)


@pytest.mark.parametrize("each_way", [0.0, 0.01, 0.05])
@pytest.mark.parametrize("otherwise", [RESET, None, UNREACHABLE], ids=["rejects", "drops", "refused on the way"])
def test_no_open_port_is_missed(otherwise, each_way):
    for seed in range(6):
        scan, chosen = scan_of(200, seed)
        told = World(scan, chosen, otherwise=otherwise, loss_each_way=each_way, seed=seed).run()
        assert sorted(told) == sorted(scan.ports[chosen].tolist())
        assert scan.tallies()[0].open == tuple(sorted(told))


def test_a_rejecting_host_without_loss_is_asked_once():
    scan, chosen = scan_of(200, 1)
    World(scan, chosen, otherwise=RESET, loss_each_way=0, seed=1).run()
    assert scan.packets == 65535


def test_a_dropping_host_without_loss_is_asked_twice_and_its_open_ports_measure_the_loss():
    scan, chosen = scan_of(200, 1)
    World(scan, chosen, otherwise=None, loss_each_way=0, seed=1).run()
    assert scan.round == 2
    assert scan.sample()[0] == 0
    assert scan.sample()[1] >= 1200


def test_a_dropping_host_is_asked_twice_without_a_pause_and_then_waited_for():
    scan, chosen = scan_of(200, 1)
    world = World(scan, chosen, otherwise=None, loss_each_way=0, seed=1)
    world.run(rate=150_000)
    assert scan.round == 2
    # Two rounds of 0.44 s without a pause, and the shortest wait after them; a third round would begin at 0.99 s.
    assert world.now < 0.96


def test_a_host_whose_first_answers_come_at_the_very_end_is_asked_on():
    """A neighbour long in being found: of all the questions before, the kernel kept the last few and dropped the others."""

    class Late(World):
        def answers(self, at: float, probes: np.ndarray) -> Replies:
            last = probes[~np.isin(probes, self.open)][-1:]
            return super().answers(at, probes if self.scan.round > 3 else probes[:0] if self.scan.round < 3 else last)

    scan, chosen = scan_of(200, 1)
    told = Late(scan, chosen, otherwise=RESET, loss_each_way=0, seed=1).run()
    assert sorted(told) == sorted(scan.ports[chosen].tolist())


@pytest.mark.parametrize("open_ports", [200, 3])
def test_the_loss_is_measured(open_ports):
    scan, chosen = scan_of(open_ports, 1)
    World(scan, chosen, otherwise=None if open_ports == 200 else RESET, loss_each_way=0.05, seed=1).run()
    lost, asked = scan.sample()
    assert 0.07 < lost / asked < 0.125


def test_a_silent_host_ends_after_three_rounds_and_says_nothing_of_loss():
    scan, _ = scan_of(0, 1)
    World(scan, np.array([], np.int64), otherwise=None, loss_each_way=0, seed=1).run()
    assert scan.round == 3
    assert scan.sample() == (0, 0)
    assert scan.tallies()[0].silent == 65535


def test_a_host_that_answers_everywhere_is_named_before_a_port_is_told():
    scan, _ = scan_of(0, 1)
    world = World(scan, np.arange(65535), otherwise=None, loss_each_way=0.01, seed=1)
    assert world.run() == []
    assert scan.tallies()[0].note is not None


@pytest.mark.parametrize("rounds", [None, 1])
@pytest.mark.parametrize("true_s", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("told_s", [1e-6, 0.02, 0.9, 1000.0])
@pytest.mark.parametrize("otherwise", [RESET, None], ids=["rejects", "drops"])
def test_no_round_trip_that_a_connection_tells_costs_a_port(otherwise, told_s, true_s, rounds):
    """It may be of another way, of another hour, or of a proxy."""
    seconds = {}
    for seed_s in (None, told_s):
        scan = SynScan(Request((ip_address("192.0.2.9"),), (22, 80, 443), rtt_s=seed_s, rounds=rounds))
        world = World(scan, np.array([0, 2]), otherwise=otherwise, loss_each_way=0, seed=1, rtt_s=true_s)
        assert len(world.run()) == 2
        seconds[seed_s] = world.now
    if told_s <= 0.02:
        assert seconds[told_s] == seconds[None]
    elif otherwise is not None:
        # The first answer ends its say.
        assert seconds[told_s] <= seconds[None]


def test_a_long_way_that_a_connection_tells_keeps_ports_from_being_asked_before_their_answers_are_due():
    """Else every answer is one to a second question, and half of the questions seem lost."""
    sample = {}
    for told_s in (None, 0.3):
        scan = SynScan(Request((ip_address("192.0.2.9"),), (*range(1, 1001),), rtt_s=told_s))
        World(scan, np.arange(20), otherwise=RESET, loss_each_way=0, seed=1, rtt_s=0.3).run()
        sample[told_s] = scan.packets, scan.sample(), scan.tallies()[0].rtt_s
    assert sample[None] == (2000, (1000, 2000), None)
    assert sample[0.3][:2] == (1000, (0, 1000))
    assert sample[0.3][2] == pytest.approx(0.3, abs=0.01)


def test_a_slow_host_is_waited_for_where_a_connection_tells_that_it_is_slow():
    for told_s, found in ((None, []), (1.6, [22])):
        scan = SynScan(Request((ip_address("192.0.2.9"),), (22,), rtt_s=told_s, rounds=1))
        assert World(scan, np.array([0]), otherwise=None, loss_each_way=0, seed=1, rtt_s=1.6).run() == found


def test_what_this_scan_or_the_one_before_measured_shortens_waits():
    told, before, measured = RoundTrip(0.01), RoundTrip(0.01, asked_before=True), RoundTrip(2.0)
    measured.measured(np.array([0.01]))
    assert (told.wait_s(), told.known) == (1.0, False)
    assert (before.wait_s(), before.known) == (SHORTEST_WAIT_S, True)
    assert (measured.wait_s(), measured.known) == (SHORTEST_WAIT_S, True)


@pytest.mark.parametrize("ports", [200, 1000, 20_000])
@pytest.mark.parametrize("far_s", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("rounds", [None, 1])
def test_a_host_close_by_costs_one_far_away_no_port(rounds, far_s, ports):
    """However quickly the one refuses every port, the other's answers are waited for."""
    scan = SynScan(Request((ip_address("192.0.2.1"), ip_address("192.0.2.9")), (*range(1, ports + 1),), rounds=rounds))
    chosen = np.arange(ports, 2 * ports, ports // 20)
    World(scan, chosen, otherwise=RESET, loss_each_way=0, seed=1, rtt_s=far_s, first_rtt_s=0.0003).run()
    near, far = scan.tallies()
    assert (near.closed, len(far.open), far.silent) == (ports, len(chosen), 0)


def test_one_late_answer_makes_no_host_slow():
    """A gentle sweep leaves hosts in peace that slow down: an answer that waited for us is none of theirs."""
    scan = SynScan(Request((ip_address("192.0.2.9"),), (22, 80, 443)))
    probes = scan.next(3, 0.0)
    scan.sent(probes, 0.0)
    world = World(scan, probes, otherwise=None, loss_each_way=0.0, seed=1)
    for at, probe in ((0.02, probes[:1]), (0.9, probes[1:2]), (0.03, probes[2:])):
        scan.answered(world.answers(at, probe), 1.0)
    assert scan.tallies()[0].rtt_s == pytest.approx(0.02)


def test_a_limit_on_refusals_is_not_taken_for_loss():
    scan, chosen = scan_of(200, 1)
    world = World(scan, np.concatenate((chosen, [])), otherwise=None, loss_each_way=0, seed=1)
    honest = world.answers
    closed = np.random.default_rng(5).choice(65535, 400, replace=False)

    def limited(at: float, probes: np.ndarray) -> Replies:
        some = probes[np.isin(probes, closed) & ~np.isin(probes, chosen) & (world.chance.random(len(probes)) < 0.5)]
        first = honest(at, probes)
        destinations, ports, sequences = scan.destinations(some)
        return Replies(
            np.concatenate((first.kind, np.full(len(some), RESET, np.uint8))), np.concatenate((first.code, np.zeros(len(some), np.uint8))),
            np.concatenate((first.address, destinations)), np.concatenate((first.port, ports)), np.concatenate((first.our_port, np.full(len(some), 61000, np.uint16))),
            np.concatenate((first.sequence, sequences)), np.concatenate((first.at, np.full(len(some), at))),
        )  # fmt: skip

    world.answers = limited
    assert sorted(world.run()) == sorted(scan.ports[chosen].tolist())
    assert scan.round == 2


@pytest.mark.parametrize("each_way", [0.0, 0.01])
def test_a_sweep_finds_every_pair(each_way):
    addresses = tuple(ip_network("198.18.0.0/20").hosts())
    scan = SynScan(Request(addresses, (22, 80, 443, 3306, 6379), rounds=2 if each_way == 0 else 4))
    chosen = np.random.default_rng(3).choice(len(scan.state), 800, replace=False)
    World(scan, chosen, otherwise=None, loss_each_way=each_way, seed=3).run()
    assert np.array_equal(np.flatnonzero(scan.state == OPEN), np.sort(chosen))


def test_limits_of_hosts_and_networks_hold_in_every_second_of_every_round():
    addresses = tuple(ip_network("198.18.0.0/25").hosts()) + tuple(ip_network("198.18.9.0/28").hosts())
    scan = SynScan(Request(addresses, tuple(range(1, 41)), rate=2000, host_rate=10, network_rate=400, rounds=2))
    world = World(scan, np.array([], np.int64), otherwise=None, loss_each_way=0, seed=1)
    sent: list[tuple[float, int]] = []
    plain = scan.sent
    scan.sent = lambda probes, now: (sent.extend((now, int(probe) // 40) for probe in probes), plain(probes, now))[1]
    world.run(rate=2000)
    times, hosts = np.array([one[0] for one in sent]), np.array([one[1] for one in sent])
    assert len(sent) == 2 * 40 * len(addresses)
    for host in (0, 5, 130):
        own = times[hosts == host]
        assert max(np.searchsorted(own, own + 1.0) - np.arange(len(own))) <= 11
    big = times[hosts < 126]
    assert max(np.searchsorted(big, big + 1.0) - np.arange(len(big))) <= 400 * 1.1
    assert max(np.searchsorted(times, times + 1.0) - np.arange(len(times))) <= 2000 * 1.1


def test_popular_ports_are_asked_first_and_decoys_before_them():
    ports, decoys = in_order(tuple(ALL), np.random.default_rng(1))
    assert sorted(ports.tolist()) == list(ALL)
    assert ports[decoys : decoys + len(POPULAR)].tolist() == list(POPULAR)
    assert not set(ports[:decoys].tolist()) & set(POPULAR)
    few, none = in_order((8080, 22, 9999), np.random.default_rng(1))
    assert (few.tolist(), none) == ([22, 8080, 9999], 0)


def test_ipv6_addresses_are_told_apart():
    addresses = tuple(ip_address(f"2001:db8::{number:x}") for number in range(1, 2000))
    scan = SynScan(Request(addresses, (22,), rounds=2))
    chosen = np.arange(0, 1999, 7)
    World(scan, chosen, otherwise=None, loss_each_way=0, seed=1).run()
    assert {tally.address for tally in scan.tallies() if tally.open} == {str(addresses[place]) for place in chosen}


@pytest.mark.parametrize("lost,asked,bound", [(0, 0, 1.0), (0, 100, 0.0263), (2, 100, 0.0587), (100, 100, 1.0)])
def test_the_upper_bound_is_wilsons(lost, asked, bound):
    assert loss.upper_bound(lost, asked) == pytest.approx(bound, abs=0.0002)


def test_rounds_grow_with_loss_and_with_what_may_be_missed():
    assert loss.rounds_needed(0, 0, 0) == 3
    assert loss.rounds_needed(0, 1400, 200) == 2
    assert loss.rounds_needed(28, 1400, 200) == 4
    assert loss.rounds_needed(140, 1400, 200) == 6
    assert loss.rounds_needed(1400, 1400, 200) == 8
    assert all(loss.rounds_needed(lost, 1000, 5) <= loss.rounds_needed(lost + 1, 1000, 5) for lost in range(999))
