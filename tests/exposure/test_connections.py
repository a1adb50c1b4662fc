"""Round trips of connections that stand: what the kernel tells of them, and that a scan which is told of one finds the same ports, whatever it says."""

import json
import os
import random
import socket
import struct
import sys
import tempfile
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.exposure.net import SOURCE, TARGET, TARGET6, Net, dropping
from tests.exposure.test_resident import Scanner
from tutela.exposure import connections, tcp_info
from tutela.exposure.connections import longest_s, seeded, trip_s
from tutela.exposure.model import Request
from tutela.exposure.netlink import ask

HOST, HOST6 = ip_address("192.0.2.9"), ip_address("2001:db8::9")
MAPPED = ip_address("::ffff:192.0.2.9")
UNMEASURED = 0xFFFFFFFF


def told(peer, *, state=1, rtt=20_400, least=20_100, size=248):
    """An answer of sock_diag(7), with struct tcp_info cut to the size of an older kernel's."""
    info = bytearray(248)
    info[0] = state
    struct.pack_into("I", info, 68, rtt)
    struct.pack_into("I", info, 148, least)
    family = socket.AF_INET if peer.version == 4 else socket.AF_INET6
    message = struct.pack("BBBBHH16s16sI8s20s", family, state, 0, 0, 0xBEEF, 22, b"", peer.packed, 0, b"", b"")
    other = struct.pack("HHI", 8, 8, 7)
    return message + other + struct.pack("HH", 4 + size, 2) + bytes(info[:size])


@pytest.mark.parametrize(
    "answers,address,seconds",
    [
        ([], HOST, None),
        ([told(HOST)], HOST, 0.0201),
        ([told(HOST6)], HOST6, 0.0201),
        ([told(MAPPED)], HOST, 0.0201),
        ([told(HOST), told(HOST, least=31_000), told(HOST, least=9)], HOST, 0.031),
        ([told(ip_address("192.0.2.90")), told(HOST6)], HOST, None),
        ([told(HOST, least=UNMEASURED)], HOST, 0.0204),
        ([told(HOST, least=0)], HOST, 0.0204),
        ([told(HOST, size=104)], HOST, 0.0204),
        ([told(HOST, least=0, rtt=0)], HOST, None),
        ([told(HOST, size=40)], HOST, None),
        ([told(HOST, state=2)], HOST, None),
        ([told(HOST)[:72], told(HOST)[:30], b""], HOST, None),
    ],
)
def test_the_longest_trip_of_what_is_measured_on_connections_to_the_very_address(answers, address, seconds):
    assert longest_s(answers, address) == seconds


def test_nothing_that_looks_like_an_answer_raises():
    chance = random.Random(7)
    for _ in range(5000):
        whole = bytearray(told(HOST))
        for _ in range(chance.randrange(1, 9)):
            whole[chance.randrange(len(whole))] = chance.randrange(256)
        assert (longest_s([bytes(whole[: chance.randrange(len(whole) + 1)])], HOST) or 0.0) >= 0


@pytest.mark.parametrize("family,own,address", [
    (socket.AF_INET, "127.0.83.4", "127.0.83.4"), (socket.AF_INET6, "::1", "::1"), (socket.AF_INET6, "::ffff:127.0.83.6", "127.0.83.6"),
])  # fmt: skip
def test_the_kernel_tells_of_a_connection_while_it_stands(family, own, address):
    with socket.socket(family) as server:
        server.bind((own, 0))
        server.listen()
        with socket.socket(family) as client:
            client.connect(server.getsockname()[:2])
            seconds = trip_s(ip_address(address))
            assert seconds is not None
            assert 0 < seconds < 5
            assert trip_s(ip_address("127.0.83.99")) is None
            server.accept()[0].close()
    if address != "::1":
        # Others may speak to ::1.
        assert trip_s(ip_address(address)) is None


def test_a_kernel_that_refuses_is_no_error(monkeypatch):
    # No such family: the kernel says it is an error.
    assert ask(4, 20, connections.question(99, HOST), dump=True) == []

    def refused(*_words, **_options):
        raise PermissionError

    monkeypatch.setattr(connections, "ask", refused)
    assert trip_s(HOST) is None


def test_what_is_measured_on_one_address_serves_no_other(monkeypatch):
    monkeypatch.setattr(connections, "trip_s", lambda _address: 0.3)
    assert seeded(Request((HOST,), (22,))).rtt_s == 0.3
    assert seeded(Request((HOST, HOST6), (22,))).rtt_s is None


def test_what_getsockopt_tells_is_the_same_struct():
    with (
        socket.create_server(("127.0.83.5", 0)) as server,
        socket.create_connection(server.getsockname(), source_address=("127.0.83.7", 0)) as client,
    ):
        info = tcp_info.read(client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, tcp_info.MOST_BYTES))
        assert info is not None
        assert (info.state, info.unacked) == (tcp_info.ESTABLISHED, 0)
        assert info.rtt_s is not None
        assert info.rtt_s == trip_s(ip_address("127.0.83.5"))
        server.accept()[0].close()


# Real scans, of a host that is far away

OPEN = (22, 80, 443)
HOLD = """
import socket, sys
held = [socket.create_connection((address, 22)) for address in sys.argv[1:]]
print("held", flush=True)
sys.stdin.read()
"""
SCAN = """
import json, sys
from dataclasses import replace
from ipaddress import ip_address
from tutela.exposure.connections import seeded
from tutela.exposure.model import Request, Summary, Tally
from tutela.exposure.ports import parse
from tutela.exposure.scan import scan
from tutela.exposure.udp import scan_udp
target, method, ports, rounds, told = sys.argv[1:]
request = seeded(Request(tuple(map(ip_address, target.split(","))), parse(ports), rounds=int(rounds) or None))
if told:
    request = replace(request, rtt_s=float(told))
for event in scan_udp(request) if method == "udp" else scan(request, method):
    if isinstance(event, Tally):
        opened = event.open
    elif isinstance(event, Summary):
        print(json.dumps([opened, event.packets, event.lost, request.rtt_s, event.seconds]))
"""
ANSWER = """
import socket
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
one.bind(("198.18.0.2", 123))
print("answering", flush=True)
while True:
    said, peer = one.recvfrom(4096)
    one.sendto(said, peer)
"""


def far(delay_ms):
    with Net(delay_ms) as net:
        net.open(0, also=OPEN)
        yield net


@pytest.fixture(scope="module")
def abroad():
    yield from far(300)


@pytest.fixture(scope="module")
def slow():
    # Far beyond the patience of a scan that is told nothing, so that a busy machine changes no verdict.
    yield from far(1500)


class Held:
    """Connections from the scanner's namespace to the target's port 22, while the context lasts."""

    def __init__(self, net, *addresses):
        self.process = net.start([sys.executable, "-c", HOLD, *addresses])
        assert self.process.stdout.readline() == "held\n"

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        self.process.stdin.close()
        self.process.wait()


def scan(net, target, method, ports, *, rounds=0, told_s=""):
    return json.loads(net.python(SCAN, target, method, ports, str(rounds), str(told_s)))


@pytest.mark.root
@pytest.mark.parametrize("target", [TARGET, TARGET6])
def test_beside_a_connection_each_port_of_a_far_host_is_asked_once_and_no_loss_is_invented(slow, target):
    slow.nft("")
    opened, packets, lost, rtt_s, _ = scan(slow, target, "raw", "1-1000")
    assert (opened, rtt_s) == ([22, 80, 443], None)
    assert packets > 1000
    assert lost > 0
    with Held(slow, target):
        opened, packets, lost, rtt_s, _ = scan(slow, target, "raw", "1-1000")
        assert trip_s(ip_address(target)) is None, "of another network namespace nothing is told"
    assert (opened, packets, lost) == ([22, 80, 443], 1000, 0.0)
    assert rtt_s > 1.49


@pytest.mark.root
def test_the_command_asks_the_kernel_by_itself(slow):
    slow.nft("")
    argv = [sys.executable, "-m", "tutela", "scan", TARGET, "-p", "1-1000", "--no-identify", "-f", "jsonl"]
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    with Held(slow, TARGET):
        summary = json.loads(slow.run(argv, environment=environment).stdout.splitlines()[-1])
    assert (summary["packets"], summary["lost"]) == (1000, 0.0)


@pytest.mark.root
def test_the_resident_scanner_is_told_by_who_asks(slow):
    slow.nft("")
    with tempfile.TemporaryDirectory(prefix="tutela-") as name, Held(slow, TARGET):
        Path(name).chmod(0o755)
        scanner = Scanner(slow, Path(name))
        argv = [sys.executable, "-m", "tutela", "scan", TARGET, "-p", "1-1000", "--no-identify", "-f", "jsonl", "--scanner", str(scanner.path)]
        summary = json.loads(slow.run(argv, environment=os.environ | {"PYTHONPATH": str(SOURCE)}).stdout.splitlines()[-1])
        scanner.stop()
    assert (summary["resident"], summary["packets"], summary["lost"]) == (True, 1000, 0.0)


@pytest.mark.root
@pytest.mark.parametrize("told_s", [1e-6, 0.3, 5.0])
@pytest.mark.parametrize("method", ["raw", "connect"])
@pytest.mark.parametrize("drops", [False, True], ids=["rejects", "drops"])
def test_a_trip_that_is_told_wrong_costs_no_port(abroad, drops, method, told_s):
    abroad.nft(dropping(OPEN) if drops else "")
    for rounds in (0, 1):
        assert scan(abroad, TARGET, method, "20-90,443", rounds=rounds, told_s=told_s)[0] == [22, 80, 443]


@pytest.mark.root
@pytest.mark.parametrize("told_s", [1e-6, 0.02])
def test_a_trip_that_is_told_much_too_short_costs_no_port_of_a_host_half_a_second_away(told_s):
    """The connection may end at a proxy close by."""
    for net in far(600):
        net.nft(dropping(OPEN))
        for method in ("raw", "connect"):
            assert scan(net, TARGET, method, "22", rounds=1, told_s=told_s)[0] == [22]


@pytest.mark.root
@pytest.mark.parametrize("method", ["raw", "connect"])
def test_a_host_close_by_that_refuses_at_once_costs_one_far_away_no_port(method):
    for net in far(600):
        net.nft("")
        assert scan(net, f"127.0.0.1,{TARGET}", method, "20-500")[0] == [22, 80, 443]


@pytest.mark.root
@pytest.mark.parametrize("method", ["raw", "connect"])
def test_beside_a_connection_ports_are_found_for_which_another_scan_has_no_patience(slow, method):
    slow.nft(dropping(OPEN))
    assert scan(slow, TARGET, method, "22,80,81", rounds=1)[0] == []
    with Held(slow, TARGET):
        assert scan(slow, TARGET, method, "22,80,81", rounds=1)[0] == [22, 80]


@pytest.mark.root
def test_over_udp_too_a_far_host_is_asked_again_only_when_its_answer_is_overdue(slow):
    slow.nft("")
    answering = slow.start_on_target([sys.executable, "-c", ANSWER])
    assert answering.stdout.readline() == "answering\n"
    without = scan(slow, TARGET, "udp", "123")
    with Held(slow, TARGET):
        beside = scan(slow, TARGET, "udp", "123")
    assert (without[0], beside[0]) == ([123], [123])
    assert beside[1] < without[1]
    assert (without[2], beside[2]) == (0.5, 0.0)
