"""Sweeps against hosts made of arithmetic, under a clock of their own."""

import errno
import os
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network

import numpy as np
import pytest

from tutela.errors import ScanError
from tutela.exposure import sweep as module
from tutela.exposure.gate import Gate
from tutela.exposure.journal import Journal
from tutela.exposure.model import Asked, Change, Open, Request, Service, Summary, Tally
from tutela.exposure.notes import EVERY_PORT, STOPPED
from tutela.exposure.replies import RESET, SYN_ACK, UNREACHABLE, Replies
from tutela.exposure.since import Scanned, compared
from tutela.exposure.sweep import Sweep, cut, plan_of
from tutela.exposure.syn import SynScan
from tutela.exposure.window import Windows

STEP_S, RTT_S = 0.01, 0.02
HOSTS = [str(one) for one in ip_network("198.18.0.0/26").hosts()]


class Crash(Exception):
    pass


class World:
    """Hosts of which some ports are open; of `live` ones the others refuse. Everything sent is written down."""

    def __init__(self, opened, live=(), **traits):
        self.opened, self.live = frozenset(opened), frozenset(live)
        self.now = 0.0
        self.sent: list[tuple[float, str, int]] = []
        self.crash_at = traits.get("crash_at", 1 << 60)
        self.silent_after, self.slow_after, self.everywhere, self.prohibited = (
            traits.get(name, {}) for name in ("silent_after", "slow_after", "everywhere", "prohibited")
        )
        self.far = traits.get("far", ())
        self.gate = None

    def sleep(self, seconds):
        self.now += max(seconds, 0.05)

    def look(self, request, stop):
        scan, began, flying = SynScan(request), self.now, []
        while not scan.done and not stop():
            probes = scan.next(max(1, int(request.rate * STEP_S)), self.now)
            destinations, ports, sequences = scan.destinations(probes)
            if self.gate is not None and len(probes):
                allowed = self.gate.permits(destinations)
                probes, destinations, ports, sequences = probes[allowed], destinations[allowed], ports[allowed], sequences[allowed]
            if len(probes):
                scan.sent(probes, self.now)
                flying += [
                    (self.now + self.trip(name), *self.reply(name, port), address, port, sequence)
                    for name, address, port, sequence in self.told(destinations, ports, sequences)
                ]
            if len(self.sent) >= self.crash_at:
                raise Crash
            due = [one for one in flying if one[0] <= self.now and one[1]]
            flying = [one for one in flying if one[0] > self.now]
            if due:
                at, kinds, codes, addresses, numbers, cookies = zip(*due, strict=True)
                yield from scan.answered(
                    Replies(
                        np.array(kinds, np.uint8), np.array(codes, np.uint8), np.array(addresses, np.uint8), np.array(numbers, np.uint16),
                        np.full(len(due), 61000, np.uint16), np.array(cookies, np.uint32), np.array(at),
                    ),
                    self.now,
                )  # fmt: skip
            if scan.round_over(self.now):
                scan.end_round()
            self.now += STEP_S
        yield from scan.tallies()
        lost, counted = scan.sample()
        yield Summary("raw", self.now - began, scan.packets, scan.round, lost / counted if counted else None, None, (), counted)

    def told(self, destinations, ports, sequences):
        for address, port, sequence in zip(destinations, ports.tolist(), sequences.tolist(), strict=True):
            name = str(ip_address(address.tobytes()))
            self.sent.append((self.now, name, port))
            yield name, address, port, sequence

    def trip(self, name):
        # Some are far away, or an answer that takes seven times as long would not be waited for.
        return RTT_S * (8 if name in self.far else 7 if self.now > self.slow_after.get(name, 1e9) else 1)

    def reply(self, name, port):
        if name in self.everywhere or (name, port) in self.opened:
            return SYN_ACK, 0
        if name in self.prohibited:
            return UNREACHABLE, 13
        return (RESET, 0) if name in self.live and self.now <= self.silent_after.get(name, 1e9) else (0, 0)


@pytest.fixture(autouse=True)
def small_slices(monkeypatch):
    monkeypatch.setattr(module, "PROBES", 2000)


def request(hosts=HOSTS, ports=range(1, 301), **more):
    return Request(tuple(map(ip_address, hosts)), tuple(ports), **{"rate": 20_000.0, "rounds": 2} | more)


def pairs(hosts=HOSTS, ports=range(1, 301), count=150, seed=1):
    chance = np.random.default_rng(seed)
    return {(hosts[int(chance.integers(len(hosts)))], list(ports)[int(chance.integers(len(ports)))]) for _ in range(count)}


def run(world, asked, **more):
    made = Sweep(asked, world.look, sleep=world.sleep, clock=lambda: world.now, **more)
    world.gate = made._gate
    return made, list(made.run())


def result(events):
    """What a run tells, without times."""
    told = [(one.address, one.port) for one in events if isinstance(one, Open)]
    assert len(told) == len(set(told))
    return set(told), {one.address: (one.asked, one.open, one.closed, one.filtered, one.silent, one.note) for one in events if isinstance(one, Tally)}, [one for one in events if isinstance(one, Asked)]  # fmt: skip


def test_in_slices_every_pair_is_found_and_every_host_counted():
    opened = pairs()
    world = World(opened, live=HOSTS[:20])
    made, events = run(world, request())
    told, tallies, asked = result(events)
    assert len(made.slices) > 5
    assert told == opened
    assert asked == [Asked(("198.18.0.1-198.18.0.62",), "1-300")]
    assert tallies[HOSTS[0]] == (
        300,
        tuple(sorted(port for host, port in opened if host == HOSTS[0])),
        300 - sum(host == HOSTS[0] for host, _ in opened),
        0,
        0,
        None,
    )
    assert tallies[HOSTS[61]][4] == 300 - len(tallies[HOSTS[61]][1])
    assert made.complete
    assert isinstance(events[-1], Summary)


def test_slices_hold_every_port_once_and_are_the_same_for_the_same_seed():
    asked = request(ports=range(1, 65536))
    slices = cut(asked, 7)
    assert sorted(port for one in slices for port in one) == list(range(1, 65536))
    assert slices == cut(asked, 7) != cut(asked, 8)
    assert max(map(len, slices)) * len(HOSTS) <= 2000
    assert slices[1][0] == 22
    assert (
        cut(request(HOSTS[:1], range(1, 65536), host_rate=10.0), 1)[3:5] and max(map(len, cut(request(HOSTS[:1], range(1, 65536), host_rate=10.0), 1))) <= 1200
    )


def test_limits_of_hosts_and_networks_hold_across_slices(monkeypatch):
    monkeypatch.setattr(module, "PROBES", 300)
    world = World([])
    run(world, request(ports=range(1, 21), host_rate=10, network_rate=300))
    times, names = np.array([one[0] for one in world.sent]), np.array([one[1] for one in world.sent])
    assert len(times) == 2 * 20 * 62
    for name in HOSTS[::20]:
        own = times[names == name]
        assert max(np.searchsorted(own, own + 1.0) - np.arange(len(own))) <= 11
    assert max(np.searchsorted(times, times + 1.0) - np.arange(len(times))) <= 330


def test_two_slices_do_not_ask_a_host_in_quick_succession(monkeypatch):
    monkeypatch.setattr(module, "PROBES", 300)
    world = World([], live=HOSTS)
    run(world, request(ports=range(1, 21), host_rate=5, rounds=1))
    for name in HOSTS[::10]:
        own = np.array([at for at, asked, _ in world.sent if asked == name])
        assert np.diff(own).min() >= 0.2 - 2 * STEP_S


@pytest.mark.parametrize("crash_at", [1, 900, 7_000, 15_000, 30_000])
@pytest.mark.parametrize("torn", [b"", b'{"open": ["198.18', b'{"slice": 3, "left": [], "pack'])
def test_killed_and_resumed_it_tells_the_same_and_asks_no_finished_slice_again(tmp_path, crash_at, torn):
    opened, asked = pairs(), request()
    _, undisturbed = run(World(opened, live=HOSTS[:20]), asked)
    first = World(opened, live=HOSTS[:20], crash_at=crash_at)
    journal = Journal(tmp_path / "journal", plan_of(asked, "raw"), seed=5)
    told_before = []
    with pytest.raises(Crash):
        for event in Sweep(asked, first.look, journal=journal, sleep=first.sleep, clock=lambda: first.now).run():
            told_before += [event] * isinstance(event, Open)
    finished = {port for number in journal.slices for port in cut(asked, 5)[number]}
    journal.close()
    with (tmp_path / "journal").open("ab") as file:
        file.write(torn)
    again = Journal(tmp_path / "journal", plan_of(asked, "raw"), seed=99)
    second = World(opened, live=HOSTS[:20])
    made, events = run(second, asked, journal=again)
    assert made.complete
    assert result(events) == result(undisturbed)
    assert {(one.address, one.port) for one in told_before} <= result(events)[0]
    assert {port for _, _, port in second.sent}.isdisjoint(finished)
    assert crash_at < 7_000 or finished
    again.close()
    assert result(run(World([]), asked, journal=Journal(tmp_path / "journal", plan_of(asked, "raw"), seed=1))[1]) == result(undisturbed)


def test_a_finished_journal_tells_all_and_asks_nothing(tmp_path):
    opened, asked = pairs(), request()
    journal = Journal(tmp_path / "journal", "plan", seed=5)
    _, events = run(World(opened), asked, journal=journal)
    journal.close()
    world = World([])
    _, again = run(world, asked, journal=Journal(tmp_path / "journal", "plan", seed=1))
    assert result(again) == result(events)
    assert again[-1].method == "raw"
    assert world.sent == []


def test_interrupted_before_the_first_question_it_tells_nothing():
    world = World([])
    gate = Gate(windows=windows(world, start=datetime(2026, 11, 23, 12)))
    assert run(world, request(), gate=gate, wait=True, stop=lambda: world.now > 60)[1] == []
    assert world.sent == []


def test_a_journal_of_another_plan_is_refused(tmp_path):
    plans = {plan_of(request(**more), method) for more, method in [({}, "raw"), ({}, "connect"), ({"rate": 5.0}, "raw"), ({"ports": (1,)}, "raw"), ({"hosts": HOSTS[1:]}, "raw")]}  # fmt: skip
    assert len(plans) == 5
    Journal(tmp_path / "journal", "one", seed=5).close()
    with pytest.raises(ScanError, match="journal of another plan"):
        Journal(tmp_path / "journal", "other", seed=5)


HEAD = b'{"journal": "tutela/sweep/1", "plan": "one", "seed": 1}\n'
SLICE = (
    b'{"slice": 0, "left": [["192.0.2.1", "slowed"]], "packets": 9, "rounds": 2, "lost": 0, "counted": 9, "seconds": 1.5, "method": "raw",'
    b' "tallies": [["192.0.2.1", 3, [22], 2, 0, 0.01, null]]}\n'
)


def test_a_line_of_a_journal_is_read(tmp_path):
    (tmp_path / "journal").write_bytes(HEAD + b'{"open": ["192.0.2.1", 22, 0.1]}\n' + SLICE)
    journal = Journal(tmp_path / "journal", "one", seed=5)
    assert (journal.opened, list(journal.slices)) == ([Open("192.0.2.1", "tcp", 22, 0.1)], [0])
    journal.close()


@pytest.mark.parametrize(
    "content",
    [
        b"hello\nworld\n", b"hello", b"\x00" * 100, b"[]\n", HEAD + b'{"slice": "x"}\n', b"[" * 5000 + b"\n", HEAD + b'{"open": ["xx", 22, 0.1]}\n',
        HEAD + SLICE.replace(b'[["192.0.2.1", 3', b'[["xx", 3'), HEAD + SLICE.replace(b"slowed", b"tired"), HEAD + SLICE.replace(b"raw", b"smoke"), HEAD + SLICE.replace(b"0.01", b'"soon"'),
    ],
)  # fmt: skip
def test_what_is_no_journal_is_left_as_it_is(tmp_path, content):
    (tmp_path / "journal").write_bytes(content)
    with pytest.raises(ScanError, match="no journal"):
        Journal(tmp_path / "journal", "one", seed=5)
    assert (tmp_path / "journal").read_bytes() == content


def test_two_sweeps_cannot_share_a_journal(tmp_path):
    first = Journal(tmp_path / "journal", "one", seed=5)
    with pytest.raises(ScanError, match="in use"):
        Journal(tmp_path / "journal", "one", seed=5)
    first.close()
    Journal(tmp_path / "journal", "one", seed=5).close()


def test_a_full_disk_stops_the_sweep_and_says_so(tmp_path, monkeypatch):
    journal, write, asked = Journal(tmp_path / "journal", "plan", seed=5), os.write, request()
    left = [2000]

    def full(descriptor, raw):
        if left[0] <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        count = write(descriptor, raw[: left[0]])
        left[0] -= count
        return count

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(ScanError, match="cannot write the journal") as problem:
        run(World(pairs()), asked, journal=journal)
    assert "磁盘已满" in problem.value.message.zh
    journal.close()
    monkeypatch.undo()
    monkeypatch.setattr(module, "PROBES", 2000)
    _, events = run(World(pairs()), asked, journal=Journal(tmp_path / "journal", "plan", seed=5))
    assert result(events)[0] == pairs()


def windows(world, words="mon 07:00-09:00", start=datetime(2026, 11, 23, 8, 59, 58)):
    return Windows([words], lambda: start + timedelta(seconds=world.now))


def test_nothing_leaves_after_the_window_and_the_rest_is_said(tmp_path):
    opened = pairs()
    world, asked = World(opened, live=HOSTS[:20]), request(rate=5000.0)
    journal = Journal(tmp_path / "journal", "plan", seed=5)
    made, events = run(world, asked, journal=journal, gate=Gate(windows=windows(world)))
    journal.close()
    assert max(at for at, _, _ in world.sent) < 2.0
    assert not made.complete
    assert "window has ended" in events[-1].notes[0].en
    assert 0 < len(result(events)[0]) < len(opened)
    # The day after, and the rest.
    later = World(opened, live=HOSTS[:20])
    made, events = run(later, asked, journal=Journal(tmp_path / "journal", "plan", seed=5))
    assert made.complete
    assert result(events)[0] == opened


def test_it_waits_for_the_next_window_when_asked():
    opened = pairs()
    world = World(opened, live=HOSTS[:20])
    gate = Gate(windows=windows(world, "daily 08:59-09:00"))
    world.sleep = lambda seconds: setattr(world, "now", world.now + max(seconds, 600 if gate.closes() and gate.windows.opens_in_s() > 700 else 0))
    made, events = run(world, request(rate=5000.0), gate=gate, wait=True)
    assert made.complete
    assert result(events)[:2] == result(run(World(opened, live=HOSTS[:20]), request())[1])[:2]
    seconds = np.array([at for at, _, _ in world.sent]) % 86400
    assert ((seconds < 2.0) | (seconds >= 86400 - 58)).all()
    assert max(at for at, _, _ in world.sent) > 80000


def test_outside_of_every_window_it_does_not_begin():
    world = World([])
    with pytest.raises(ScanError, match="outside the maintenance windows; the next one begins in 166"):
        run(world, request(), gate=Gate(windows=windows(world, start=datetime(2026, 11, 23, 9, 0, 30))))
    assert world.sent == []


def test_an_interrupt_ends_it_with_what_is_known():
    world = World(pairs(), live=HOSTS)
    made, events = run(world, request(), stop=lambda: len(world.sent) > 5000)
    assert len(world.sent) < 5400
    told, tallies, _ = result(events)
    assert all(set(tally[1]) == {port for host, port in told if host == address} for address, tally in tallies.items())
    assert not made.complete


def test_a_slice_that_the_resident_scanner_ended_is_not_done(tmp_path):
    asked, world, slices = request(), World(pairs(), live=HOSTS), []
    look = world.look

    def ending_the_third(part, stop):
        slices.append(part)
        for event in look(part, (lambda: len(world.sent) > 4500) if len(slices) == 3 else stop):
            yield replace(event, cut=len(slices) == 3) if isinstance(event, Summary) else event

    world.look = ending_the_third
    with closing(Journal(tmp_path / "journal", plan_of(asked, "raw"), seed=5)) as journal:
        made, events = run(world, asked, journal=journal)
    assert (len(slices), sorted(journal.slices), made.complete, events[-1].cut) == (3, [0, 1], False, True)


def test_who_opts_out_in_the_middle_is_asked_no_more(tmp_path):
    path = tmp_path / "out"
    path.write_text("198.18.0.5\n")
    world = World([], live=HOSTS)
    gate = Gate(None, [path], clock=lambda: world.now)
    look, when = world.look, []

    def writing(part, stop):
        if len(world.sent) > 4000 and not when:
            path.write_text("198.18.0.5\n198.18.0.9\n")
            when.append(world.now)
        return look(part, stop)

    world.look = writing
    _, events = run(world, request(rate=1000.0), gate=gate)
    assert not any(name == "198.18.0.5" for _, name, _ in world.sent)
    assert when[0] - 1 < max(at for at, name, _ in world.sent if name == "198.18.0.9") < when[0] + 3
    assert next(one for one in events if isinstance(one, Asked)).addresses == ("198.18.0.1-198.18.0.4", "198.18.0.6-198.18.0.8", "198.18.0.10-198.18.0.62")


@pytest.mark.parametrize(
    "trait,why",
    [
        ({"silent_after": {HOSTS[3]: 0.3}}, "silenced"),
        ({"slow_after": {HOSTS[3]: 0.3}, "far": HOSTS[50:]}, "slowed"),
        ({"prohibited": {HOSTS[3]}}, "prohibited"),
    ],
)
def test_a_host_in_trouble_is_left_in_peace(trait, why):
    live = set(HOSTS) - (set(HOSTS[3:4]) if why == "prohibited" else set())
    for gentle in (True, False):
        world = World([], live=live, **trait)
        _, events = run(world, request(rounds=1, rtt_s=0.5), gentle=gentle)
        asked = {port for _, name, port in world.sent if name == HOSTS[3]}
        tally = next(one for one in events if isinstance(one, Tally) and one.address == HOSTS[3])
        assert tally.asked == len(asked)
        assert (len(asked) < 300, tally.note == STOPPED[why]) == (gentle, gentle)
        assert all(tally.note is None for tally in events if isinstance(tally, Tally) and tally.address != HOSTS[3])


def test_of_a_host_that_answers_everywhere_no_line_is_told():
    world = World({(HOSTS[1], 22)}, everywhere={HOSTS[2]})
    made, events = run(world, request(HOSTS[:8], range(1, 3001)))
    told, tallies, _ = result(events)
    assert len(made.slices[0]) == module.DECOYS
    assert told == {(HOSTS[1], 22)}
    assert tallies[HOSTS[2]][5] == EVERY_PORT
    assert 22 in tallies[HOSTS[2]][1]
    assert len({port for _, name, port in world.sent if name == HOSTS[2]}) < 300


def test_what_changed_since_is_told_and_silence_is_not_called_closed():
    before = Scanned()
    for event in (
        Tally(HOSTS[0], 3, (22, 80, 443), 0, 0, 0), Tally(HOSTS[1], 3, (22, 80), 1, 0, 0), Tally(HOSTS[40], 3, (22,), 0, 0, 2), Tally("192.0.2.1", 3, (22,), 0, 0, 2),
        Service(HOSTS[0], "tcp", 22, "ssh", "OpenSSH_9.2"), Service(HOSTS[0], "tcp", 443, "https", "nginx"), Asked((f"{HOSTS[0]}-{HOSTS[60]}", "192.0.2.1"), "22,80-81,443"),
    ):  # fmt: skip
        before.take(event)
    now = {(HOSTS[0], 22), (HOSTS[0], 443), (HOSTS[1], 81), (HOSTS[1], 3306), (HOSTS[61], 22)}
    world, asked = World(now, live=HOSTS[:2]), request(ports=(22, 80, 81, 443, 3306))
    _, events = run(world, asked)
    services = [Service(HOSTS[0], "tcp", 22, "ssh", "OpenSSH_9.9"), Service(HOSTS[0], "tcp", 443, "https", "nginx")]
    changes = [one for one in compared([*events[:-1], *services, events[-1]], before, world.look, asked) if isinstance(one, Change)]
    assert [(one.address, one.port, one.what, one.before, one.now) for one in changes] == [
        (HOSTS[1], 81, "opened", "", ""),
        (HOSTS[0], 22, "service", "ssh OpenSSH_9.2", "ssh OpenSSH_9.9"),
        (HOSTS[0], 80, "closed", "", ""),
        (HOSTS[1], 80, "closed", "", ""),
        (HOSTS[1], 22, "closed", "", ""),
        (HOSTS[40], 22, "silent", "", ""),
    ]
