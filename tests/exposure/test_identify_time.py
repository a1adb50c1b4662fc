"""How long a look at open ports takes, by a clock that goes on only while there is nothing to do: how fast this machine is makes no difference."""

import selectors
import socket

import pytest

from tutela.exposure.identify import AT_ONCE, identify
from tutela.exposure.identify.door import PORT_S

STANDS = b"+"
TURN_S = 0.1


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    one, really = Clock(), selectors.EpollSelector.select

    def select(self, timeout=None):
        happened = really(self, 0)
        if not happened and timeout:
            one.now += timeout
        return happened

    monkeypatch.setattr("time.monotonic", one)
    monkeypatch.setattr(selectors.EpollSelector, "select", select)
    return one


@pytest.fixture
def way():
    """Leads to services that take every connection; what they say is in `said`, by port."""
    ends = []

    def connect(address, port):
        here, there = socket.socketpair()
        there.sendall(STANDS + connect.said.get(port, b""))
        ends.append(there)
        return here

    connect.said = {}
    yield connect
    for end in ends:
        end.close()


def looked_at(count):
    return [("198.18.0.2", "tcp", 30_000 + number) for number in range(count)]


def test_a_port_that_says_nothing_has_its_time_and_no_more(clock, way):
    began = clock.now
    (service,) = identify(looked_at(1), way=way)
    assert service.name is None
    assert PORT_S - TURN_S <= clock.now - began <= PORT_S + TURN_S


def test_as_many_as_are_looked_at_at_once_take_as_long_as_one(clock, way):
    began = clock.now
    assert [service.name for service in identify(looked_at(AT_ONCE), way=way)] == [None] * AT_ONCE
    assert clock.now - began <= PORT_S + TURN_S


def test_what_speaks_is_told_before_the_time_of_the_silent_is_over(clock, way):
    way.said[30_001] = b"SSH-2.0-OpenSSH_9.2p1\r\n"
    told = {}
    began = clock.now
    for service in identify(looked_at(24), way=way):
        told[service.port] = service.name, clock.now - began
    assert told[30_001][0] == "ssh"
    assert told[30_001][1] <= TURN_S
    assert max(after for _, after in told.values()) <= PORT_S + TURN_S


def test_told_to_stop_it_ends_in_the_same_turn(clock, way):
    began = clock.now
    assert list(identify(looked_at(3), way=way, stop=lambda: clock.now - began > 0.3)) == []
    assert clock.now - began <= 0.3 + TURN_S
