"""Servers that mean harm: work and memory stay bounded, honest neighbours are still recognised, nothing reaches a terminal, and no port gets more than it should."""

import json
import sys
from pathlib import Path

import pytest

from tests.exposure import hostile, made_up
from tests.exposure.net import TARGET, Net

pytestmark = pytest.mark.root
ROOT = Path(__file__).parents[2]
LOOK = """
import json, resource, sys, time
from dataclasses import asdict
from tutela.exposure.identify import identify
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
began = time.process_time()
found = [asdict(service) for service in identify([(sys.argv[1], "tcp", int(port)) for port in sys.argv[2:]])]
print(json.dumps({"found": found, "seconds": time.process_time() - began, "kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before}))
"""
HONEST = (2375, 10255, 5984, 5901)


@pytest.fixture(scope="module")
def net():
    with Net() as one:
        bad = one.start_on_target([sys.executable, "-m", "tests.exposure.hostile"], cwd=ROOT)
        assert bad.stdout.readline() == "listening\n"
        good = one.start_on_target([sys.executable, "-m", "tests.exposure.made_up", "--only", *map(str, HONEST)], cwd=ROOT)
        assert good.stdout.readline() == "listening\n"
        yield one


@pytest.fixture(scope="module")
def seen(net):
    return json.loads(net.python(LOOK, TARGET, *map(str, (*hostile.SERVERS, *HONEST))))


def test_work_and_memory_are_bounded(seen):
    """Of the processor's time: what a port may take of the clock's is in test_identify_time.py."""
    assert seen["seconds"] <= 10
    assert seen["kib"] <= 40 * 1024


def test_every_port_has_an_answer(seen):
    assert sorted(one["port"] for one in seen["found"]) == sorted((*hostile.SERVERS, *HONEST))


def test_honest_neighbours_are_recognised(seen):
    found = {one["port"]: (one["name"], one["said"], one["without_authentication"]) for one in seen["found"]}
    assert {port: found[port] for port in HONEST} == {port: made_up.FOUND[port] for port in HONEST}


def test_what_they_say_is_harmless_and_short(seen):
    for one in seen["found"]:
        assert one["said"].isprintable()
        assert len(one["said"]) <= 80
        assert one["without_authentication"] is None or one["port"] in HONEST


def test_no_byte_to_printers_and_controllers_not_even_a_connection(net):
    net.nft(
        "table inet watch { counter fragile { }\n chain in { type filter hook input priority 0; tcp dport { 102, 502, 9100, 515, 631 } counter name fragile; }\n}"
    )
    assert json.loads(net.python(LOOK, TARGET, "102", "502", "9100", "515", "631"))["found"] == []
    assert "packets 0 bytes 0" in net.target(["nft", "list", "counter", "inet", "watch", "fragile"]).stdout
    net.nft("")


def test_no_port_has_more_than_three_connections_at_once(net):
    count = """
import selectors, socket, sys
one = socket.create_server(("", 40001), backlog=50)
print("listening", flush=True)
poll = selectors.DefaultSelector()
poll.register(one, selectors.EVENT_READ)
poll.register(sys.stdin, selectors.EVENT_READ)
most = 0
held = set()
while sys.stdin in poll.get_map():
    # Ends before beginnings, as the other side sees it.
    for key, _ in sorted(poll.select(), key=lambda pair: pair[0].fileobj is one):
        if key.fileobj is sys.stdin:
            poll.unregister(sys.stdin)
        elif key.fileobj is one:
            line = one.accept()[0]
            line.setblocking(False)
            held.add(line)
            poll.register(line, selectors.EVENT_READ)
            most = max(most, len(held))
        else:
            try:
                over = not key.fileobj.recv(65536)
            except OSError:
                over = True
            if over:
                poll.unregister(key.fileobj)
                held.discard(key.fileobj)
                key.fileobj.close()
print(most, flush=True)
"""
    server = net.start_on_target([sys.executable, "-c", count])
    assert server.stdout.readline() == "listening\n"
    net.python(LOOK, TARGET, "40001")
    server.stdin.close()
    assert 1 <= int(server.stdout.readline()) <= 3


def test_it_stops_at_once_when_told_to(net):
    code = """
import sys
from tutela.exposure.identify import identify
asked = []
def stop():
    asked.append(len(asked) + 1)
    return len(asked) == 4
list(identify([(sys.argv[1], "tcp", int(port)) for port in sys.argv[2:]], stop=stop))
print(len(asked))
"""
    assert int(net.python(code, TARGET, "4000", "5432", "6379")) == 4
