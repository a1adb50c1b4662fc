"""What was not asked, or asked by somebody who was shut out meanwhile, is never taken for closed."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

import tutela.collect
from tests.exposure.net import TARGET, Net, dropping
from tutela.cli.elsewhere import _events
from tutela.collect.elsewhere import read_answer
from tutela.exposure.evidence import Recorder
from tutela.exposure.model import Summary, Tally
from tutela.facts.outside import MOST_MISSED

GUEST = Path(tutela.collect.__file__).parent / "guest" / "connect.py"
SCAN = """
import sys
from datetime import UTC, datetime
from ipaddress import ip_address
from tutela.exposure.evidence import Recorder
from tutela.exposure.model import Request
from tutela.exposure.scan import scan
ports = tuple(range(1, 65536))
recorder = Recorder(ports)
for event in scan(Request((ip_address("198.18.0.2"),), ports, rate=50_000), sys.argv[1]):
    recorder.take(event)
print(recorder.evidence("198.18.0.2", "198.18.0.1", datetime.now(UTC), whole=True).content.decode("ascii"))
"""
SYN_BYTES = 60


def shutting_out_after(syns: int) -> str:
    """A filter that takes so many questions of a scan, and from then on hears nothing of whoever asked: portsentry, psad, a filter of the network."""
    return f"""
        table inet ban {{
            chain in {{ type filter hook input priority -10; tcp flags syn quota over {syns * SYN_BYTES} bytes drop; }}
        }}
    """


@pytest.fixture
def net():
    with Net() as one:
        yield one


def lines(net: Net, method: str) -> list[str]:
    return net.python(SCAN, method).splitlines()


def missed(told: list[str]) -> float:
    return float(next(line for line in told if line.startswith("missed ")).split()[1])


def from_another_host(net: Net) -> Summary:
    said = net.run([sys.executable, "-I", "-S", "-B", str(GUEST), "10000", "90", "1-65535", TARGET]).stdout
    seen = read_answer(said.encode(), (TARGET,))
    assert seen is not None
    return next(event for event in _events(seen[0]) if isinstance(event, Summary))


@pytest.mark.root
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("method", ["raw", "connect"])
def test_who_is_shut_out_of_a_refusing_host_did_not_see_the_rest(net, method, share):
    net.open(3)
    net.nft(shutting_out_after(round(65535 * share)))
    assert missed(lines(net, method)) > MOST_MISSED


@pytest.mark.root
def test_who_is_shut_out_at_another_host_did_not_see_the_rest(net):
    net.open(3)
    net.nft(shutting_out_after(50_000))
    summary = from_another_host(net)
    assert summary.expected_missed is not None
    assert summary.expected_missed > MOST_MISSED


@pytest.mark.root
def test_by_connections_a_host_that_drops_the_rest_is_seen_whole(net):
    opened = net.open(3)
    net.nft(dropping(opened))
    assert missed(lines(net, "connect")) < MOST_MISSED
    summary = from_another_host(net)
    assert summary.expected_missed is not None
    assert summary.expected_missed < MOST_MISSED


@pytest.mark.root
def test_a_port_that_a_filter_of_this_machine_kept_from_being_asked_is_not_silent(net):
    opened = net.open(1)
    net.nft("table inet own {\n chain out {\n type filter hook output priority 0;\n tcp dport { 3306, 6379 } drop;\n }\n}\n", scanner=True)
    told = lines(net, "raw")
    assert "answers 65532 closed 0 filtered 0 silent" in told
    assert told[-1 if told[-1] else -2] == "cut"
    assert [line for line in told if line.startswith("open")] == [f"open tcp {port}" for port in opened]


def evidence(tally: Tally, summary: Summary) -> str:
    recorder = Recorder((22, 80))
    recorder.take(tally)
    recorder.take(summary)
    return recorder.evidence("192.0.2.10", "203.0.113.7", datetime(2026, 11, 22, tzinfo=UTC), whole=True).content.decode("ascii").splitlines()[-1]


def test_a_scan_that_the_resident_scanner_ended_is_no_whole_one():
    tally = Tally("192.0.2.10", 2, (), 1, 0, 1)
    assert evidence(tally, Summary("raw", 1.0, 2, 2, 0.0, 0.0)) == "end"
    assert evidence(tally, Summary("raw", 1.0, 2, 2, 0.0, 0.0, cut=True)) == "cut"


def test_a_scan_that_did_not_ask_every_port_is_no_whole_one():
    assert evidence(Tally("192.0.2.10", 1, (), 1, 0, 0), Summary("raw", 1.0, 2, 2, 0.0, 0.0)) == "cut"
