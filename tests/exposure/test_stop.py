"""Told to stop, a scan sends nothing more, takes the answers that are on their way, and ends at once."""

import json
import tempfile
import time
from pathlib import Path

import pytest

from tests.exposure.net import TARGET, Net
from tests.exposure.test_resident import Scanner, Talk

pytestmark = pytest.mark.root
DELAY_S, STOPPED_AFTER_S, SOON_S = 0.15, 0.6, 0.5
TAKES_NO_DATA = """
    table inet takes {
        chain in { type filter hook input priority 0; tcp flags & psh == psh drop; }
    }
"""
SCAN = """
import json, sys, time
from ipaddress import ip_address
from tutela.exposure.model import Request, Tally
from tutela.exposure.scan import scan
began = time.monotonic()
request = Request((ip_address(sys.argv[1]),), tuple(range(1, 65536)), 3000.0)
for event in scan(request, sys.argv[2], stop=lambda: time.monotonic() > began + float(sys.argv[3])):
    if isinstance(event, Tally):
        tally = event
print(json.dumps({"seconds": time.monotonic() - began, "asked": tally.asked, "silent": tally.silent, "open": tally.open}))
"""
PROOF = """
import sys, time
from tutela.exposure.handshake import really_answer
began = time.monotonic()
really_answer(sys.argv[1], range(1000, 1040), stop=lambda: time.monotonic() > began + float(sys.argv[2]))
print(time.monotonic() - began)
"""
ENDED_WHILE_TOLD = """
import sys, time
from ipaddress import ip_address
from tutela.exposure.engine import Engine
from tutela.exposure.model import Request
told = []
with Engine() as engine:
    jobs = [job for _ in range(3) for job in engine.start(Request((ip_address(sys.argv[1]),), (22,), float("inf"), rounds=1))]
    for _ in range(5):
        for job, event in engine.step():
            told.append(jobs.index(job))
            # Whoever wanted it has gone.
            engine.end(job)
        # The answers to all of them come together.
        time.sleep(0.1)
print(*sorted(told))
"""


@pytest.mark.parametrize("method", ["raw", "connect"])
def test_answers_that_are_on_their_way_are_taken(method):
    with Net(delay_ms=DELAY_S * 1000) as net:
        # Popular ports are asked first.
        net.open(0, also=(22, 443))
        said = json.loads(net.python(SCAN, TARGET, method, str(STOPPED_AFTER_S)))

    assert 500 < said["asked"] < 3000 * STOPPED_AFTER_S + 500
    assert said["silent"] == 0
    assert said["open"] == [22, 443]
    assert said["seconds"] < STOPPED_AFTER_S + SOON_S


def test_the_resident_scanner_takes_them_too():
    with tempfile.TemporaryDirectory() as folder, Net(delay_ms=DELAY_S * 1000) as net:
        # pytest's own folder is closed to other users.
        tmp_path = Path(folder)
        tmp_path.chmod(0o755)
        net.open(0, also=(22, 443))
        scanner = Scanner(net, tmp_path, user=True)
        talk = Talk(scanner, 0).ask(rate=3000)
        time.sleep(STOPPED_AFTER_S)
        talk.socket.sendall(b'{"stop": true}\n')
        began = time.monotonic()
        *_, tally, summary = talk.rest()
        seconds = time.monotonic() - began
        assert scanner.stop() == 0

    assert (tally["silent"], tally["open"]) == (0, [22, 443])
    assert 500 < tally["asked"] < 3000 * STOPPED_AFTER_S + 1000
    assert "ended early as asked" in summary["notes"][-1]["en"]
    assert seconds < SOON_S


def test_proving_that_something_answers_in_the_hosts_place_ends_at_once():
    with Net() as net:
        net.open(0, also=range(1000, 1040))
        net.nft(TAKES_NO_DATA)
        assert float(net.python(PROOF, TARGET, "0.2")) < 0.2 + SOON_S
        assert float(net.python(PROOF, TARGET, "60")) > 1


def test_a_scan_that_ends_while_its_answers_are_told_takes_none_of_the_others():
    with Net() as net:
        net.open(0, also=(22,))
        assert net.python(ENDED_WHILE_TOLD, TARGET) == "0 1 2\n"
