"""Shares of several scans, the budget of table entries, and the last look before a packet leaves: arithmetic only."""

import random
from ipaddress import ip_address, ip_network

import numpy as np
import pytest

from tutela.exposure.entries import LIFE_S, Entries
from tutela.exposure.guard import Guard
from tutela.exposure.turns import Turns


class Waiting:
    quantum = 64

    def __init__(self, **amounts: int) -> None:
        self.amounts = amounts
        self.sent = dict.fromkeys(amounts, 0)
        self.turns: Turns[str] = Turns(self.quantum)
        for name in amounts:
            self.turns.add(name)

    def send(self, name: str, most: int) -> int:
        count = min(most, self.amounts[name])
        self.amounts[name] -= count
        self.sent[name] += count
        return count


@pytest.mark.parametrize("allowed", [1, 7, 100, 1024])
def test_a_sweep_and_a_single_host_get_the_same_share(allowed):
    jobs = Waiting(sweep=1_000_000, one=5_000, other=5_000)
    steps = 0
    while jobs.amounts["one"]:
        assert jobs.turns.share(allowed, jobs.send) == allowed
        steps += 1
    # A third each: the single host is done after its share of the time, not after the sweep.
    assert steps * allowed == pytest.approx(15_000, abs=3 * 64 + allowed)
    assert jobs.sent["other"] == pytest.approx(5_000, abs=64)


def test_nobody_runs_ahead_by_more_than_a_turn():
    jobs = Waiting(a=10**6, b=10**6, c=10**6)
    for _ in range(500):
        jobs.turns.share(random.randint(1, 200), jobs.send)
        assert max(jobs.sent.values()) - min(jobs.sent.values()) <= 2 * 64


def test_what_one_leaves_goes_to_the_others():
    jobs = Waiting(slow=3, quick=10_000)
    assert jobs.turns.share(1000, jobs.send) == 1000
    assert jobs.sent == {"slow": 3, "quick": 997}


def test_who_had_nothing_to_send_has_saved_nothing_up():
    jobs = Waiting(idle=0, busy=10**6)
    for _ in range(100):
        jobs.turns.share(100, jobs.send)
    jobs.amounts["idle"] = 10**6
    before = jobs.sent["busy"]
    jobs.turns.share(100, jobs.send)
    assert jobs.sent["idle"] <= 64
    assert jobs.sent["busy"] - before >= 36


def test_who_comes_new_is_next():
    jobs = Waiting(sweep=10**6)
    jobs.turns.share(10, jobs.send)
    jobs.amounts["new"], jobs.sent["new"] = 80, 0
    jobs.turns.add("new")
    jobs.turns.share(10, jobs.send)
    assert jobs.sent["new"] == 10
    jobs.turns.remove("new")
    jobs.turns.share(10, jobs.send)
    assert jobs.sent["new"] == 10


def test_nobody_there_and_nothing_to_send():
    assert Turns().share(100, lambda _, most: most) == 0
    jobs = Waiting(a=0, b=0)
    assert jobs.turns.share(100, jobs.send) == 0


def test_new_ports_wait_while_the_table_of_a_filter_is_full_of_ours():
    entries = Entries(1000)
    assert entries.left(0.0) == 1000
    entries.began(600, 0.2)
    entries.began(400, 1.0)
    assert entries.left(1.5) == 0
    entries.answered(450)
    assert entries.left(2.0) == 450
    entries.began(450, 3.0)
    assert entries.left(LIFE_S - 1) == 0
    # The first second's entries end; those of the third remain.
    assert entries.left(LIFE_S + 2.5) == 550
    assert entries.left(2 * LIFE_S) == 1000
    entries.answered(5)
    assert entries.left(2 * LIFE_S) == 1000


@pytest.mark.parametrize("version", [4, 6])
def test_the_guard_permits_what_python_itself_finds_permitted(version):
    chance = random.Random(version)
    bits = 32 if version == 4 else 128

    def networks(count, base):
        return [ip_network((base | chance.getrandbits(16) << bits - 32, bits - chance.randint(0, 14)), strict=False) for _ in range(count)]

    base = int(ip_address("198.18.0.0" if version == 4 else "2001:db8::"))
    allowed = [ip_network((base, 15 if version == 4 else 32))]
    opted_out = networks(40, base)
    guard = Guard(allowed, opted_out)
    picked = [base + chance.getrandbits(17) for _ in range(2000)] + [
        int(net.network_address) + step for net in opted_out for step in (-1, 0, net.num_addresses - 1, net.num_addresses)
    ]
    addresses = [ip_address(number.to_bytes(bits // 8, "big")) for number in picked]
    rows = np.array([list(one.packed) for one in addresses], np.uint8)
    expected = [any(one in net for net in allowed) and not any(one in net for net in opted_out) for one in addresses]
    assert guard.permits(rows).tolist() == expected
    # A sample of one kind alone would agree with a guard that never says no, or never yes.
    assert set(expected) == {True, False}


def test_the_guard_without_allowed_prefixes():
    rows = np.array([[192, 0, 2, 1], [192, 0, 2, 0]], np.uint8)
    assert Guard().permits(rows).tolist() == [True, True]
    assert Guard([]).permits(rows).tolist() == [False, False]
    assert Guard(None, [ip_network("192.0.2.0/32")]).permits(rows).tolist() == [True, False]
