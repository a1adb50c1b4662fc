"""A target, or somebody beside it, who answers falsely: no port opens by it, none is lost, nothing breaks."""

import json
import sys
from pathlib import Path

import pytest

from tests.exposure.net import TARGET, TARGET6, Net, dropping
from tests.exposure.truth import UNPACED, scan

pytestmark = pytest.mark.root
# A ring of 4096 frames that is read only once in eight steps of up to 1024 packets.
SELDOM = """
import json
from ipaddress import ip_address
from tutela.exposure import engine
from tutela.exposure.model import Request, Summary, Tally
from tutela.exposure.ring import Ring
engine.Ring = lambda version, ports: Ring(version, ports, frames=4096)
read, steps = engine.Engine._read, [0]
def seldom(self):
    steps[0] += 1
    return read(self) if steps[0] % 8 == 0 else iter(())
engine.Engine._read = seldom
with engine.Engine(method="frames") as one:
    events = list(one.run(Request((ip_address("198.18.0.2"),), tuple(range(1, 65536)), float("inf"))))
print(json.dumps({"open": [event.open for event in events if isinstance(event, Tally)][0], "notes": [note.en for event in events if isinstance(event, Summary) for note in event.notes]}))
"""

STALE = """
import socket, struct, time
from tutela.exposure.ring import Ring
ring = Ring(4, (61000, 61999), frames=4096)
sender = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
def send(payload):
    loopback = socket.inet_aton("127.0.0.1")
    sender.sendto(struct.pack("!BBHHHBBH", 0x45, 0, 0, 0, 0, 60, 6, 0) + 2 * loopback + struct.pack("!HH", 22, 61000) + payload, ("127.0.0.1", 0))
taken = 0
while taken < 4096:
    for _ in range(512):
        send(bytes([255]) * 100)
    taken += len(ring.take()[0])
send(b"")
row = ring.take()[0][-1]
print(row[:24].any(), row[24:].any())
"""


@pytest.fixture(scope="module")
def net():
    with Net() as one:
        for run, name in ((one.run, "scan0"), (one.target, "host0")):
            run(["ip", "link", "set", name, "mtu", "9216"])
        yield one


@pytest.fixture(scope="module")
def opened(net):
    return net.open(200, also=(22, 80, 443))


@pytest.mark.parametrize(
    "kind,target,method,rate",
    [("rejects", TARGET, "raw", 1e5), ("drops", TARGET, "frames", UNPACED), ("rejects", TARGET6, "frames", UNPACED), ("drops", TARGET6, "raw", 1e5)],
)
def test_lies_open_no_port_and_hide_none(net, opened, kind, target, method, rate):
    net.nft(dropping(opened) if kind == "drops" else "")
    liar = net.start_on_target([sys.executable, str(Path(__file__).parent / "liar.py"), "host0"])
    assert liar.stdout.readline() == "lying\n"
    found = scan(net, target, method, rate)
    assert liar.poll() is None
    liar.kill()
    liar.wait()
    assert set(found["open"]) == opened
    assert found["filtered"] == 0
    assert kind == "rejects" or found["closed"] == 0


def test_answers_that_found_no_room_are_told_and_asked_for_again(net, opened):
    net.nft("")
    found = json.loads(net.python(SELDOM))
    assert set(found["open"]) == opened
    assert any("came faster than this machine read them" in note for note in found["notes"])


def test_a_short_packet_is_not_read_on_into_the_one_before(net):
    assert net.python(STALE) == "True False\n"
