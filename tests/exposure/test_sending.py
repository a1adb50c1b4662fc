"""Frames that leave by express, and what becomes of them where there is none."""

import pytest

from tests.exposure.net import TARGET, Net

pytestmark = pytest.mark.root

SEND = """
import subprocess, sys
from ipaddress import ip_address
import numpy as np
from tutela.exposure.packets import SynPackets
from tutela.exposure.routes import next_hop
from tutela.exposure.sending import MOST, FrameSender

def rows_to(port, count=5000):
    packets = SynPackets(ip_address("198.18.0.1").packed, 61000, count)
    to = np.tile(np.frombuffer(ip_address(sys.argv[1]).packed, np.uint8), (count, 1))
    packets.fill(to, np.full(count, port, np.uint16), np.arange(count, dtype=np.uint32), 1)
    return packets.rows, to

one = FrameSender(4, next_hop(ip_address(sys.argv[1])))
assert one._express is not None
"""


@pytest.fixture(scope="module")
def net():
    with Net() as one:
        yield one


@pytest.fixture
def counted(net):
    net.nft(
        """
        table netdev sink { chain in { type filter hook ingress device "host0" priority 0; tcp dport 1 counter drop; tcp dport 2 counter drop; tcp dport 3 counter drop; }
        }"""
    )

    def count(port: int) -> int:
        listed = net.target(["nft", "list", "ruleset"]).stdout
        return int(listed.partition(f"tcp dport {port} counter packets ")[2].split()[0])

    return count


def test_every_frame_arrives(net, counted):
    net.python(SEND + "assert one.send(*rows_to(1)) == one.send(*rows_to(1)) == []", TARGET)
    assert counted(1) == 10_000


def test_who_comes_second_sends_through_a_packet_socket(net, counted):
    code = "other = FrameSender(4, next_hop(ip_address(sys.argv[1])))\nassert other._express is None\nassert one.send(*rows_to(2)) == other.send(*rows_to(3)) == []"
    net.python(SEND + code, TARGET)
    assert counted(2) == counted(3) == 5000


def test_an_interface_that_goes_down_refuses(net, counted):
    code = "one.send(*rows_to(1))\nsubprocess.run(['ip', 'link', 'set', 'scan0', 'down'], check=True)\nprint(one.send(*rows_to(1, 50)) == list(range(50)), one.refused_with)"
    said = net.python(SEND + code, TARGET)
    net.run(["ip", "link", "set", "scan0", "up"])
    assert said.split() == ["True", "100"]  # ENETDOWN
    assert counted(1) == 5000
