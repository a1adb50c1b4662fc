"""Told to stop, a scan sends nothing more, takes the answers that are on their way, and ends without waiting for anything else."""

import json
import tempfile
from pathlib import Path

import pytest

from tests.exposure.net import TARGET, Net
from tests.exposure.test_resident import Scanner, Talk

pytestmark = pytest.mark.root
DELAY_MS = 150
RATE, STOPPED_AFTER = 3000, 1500
"""The answers to some four hundred questions are always on their way."""
FEW = 10
"""Resets of what was open, and what a kernel says by itself."""
TAKES_NO_DATA = """
    table inet takes {
        chain in { type filter hook input priority 0; tcp flags & psh == psh drop; }
    }
"""
SCAN = """
import json, sys
from ipaddress import ip_address
from tutela.exposure.model import Request, Tally
from tutela.exposure.scan import scan
def sent():
    return int(open("/proc/net/dev").read().split("scan0:")[1].split()[9])
stopped = []
def stop():
    if not stopped and sent() >= int(sys.argv[4]):
        stopped.append(sent())
    return bool(stopped)
request = Request((ip_address(sys.argv[1]),), tuple(range(1, 65536)), float(sys.argv[3]))
for event in scan(request, sys.argv[2], stop=stop):
    if isinstance(event, Tally):
        tally = event
print(json.dumps({"sent since": sent() - stopped[0], "asked": tally.asked, "silent": tally.silent, "open": tally.open}))
"""
PROOF = """
import sys
from tutela.exposure.handshake import really_answer
asked = []
def stop():
    asked.append(len(asked) + 1)
    return len(asked) == int(sys.argv[2])
really_answer(sys.argv[1], range(1000, 1040), stop=stop)
print(len(asked))
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
    with Net(delay_ms=DELAY_MS) as net:
        # Popular ports are asked first.
        net.open(0, also=(22, 443))
        said = json.loads(net.python(SCAN, TARGET, method, str(RATE), str(STOPPED_AFTER)))

    assert said["sent since"] <= FEW
    assert STOPPED_AFTER - FEW <= said["asked"] < 20_000
    assert (said["silent"], said["open"]) == (0, [22, 443])


def test_the_resident_scanner_takes_them_too():
    with tempfile.TemporaryDirectory() as folder, Net(delay_ms=DELAY_MS) as net:
        # pytest's own folder is closed to other users.
        tmp_path = Path(folder)
        tmp_path.chmod(0o755)
        net.open(0, also=(22, 443))
        scanner = Scanner(net, tmp_path, user=True)
        talk = Talk(scanner, 0).ask(rate=RATE)
        while scanner.packets() < STOPPED_AFTER:
            pass
        talk.socket.sendall(b'{"stop": true}\n')
        *_, tally, summary = talk.rest()
        assert scanner.stop() == 0

    assert (tally["silent"], tally["open"]) == (0, [22, 443])
    assert STOPPED_AFTER - FEW <= tally["asked"] < 20_000
    assert "ended early as asked" in summary["notes"][-1]["en"]


def test_proving_that_something_answers_in_the_hosts_place_ends_at_once():
    with Net() as net:
        net.open(0, also=range(1000, 1040))
        net.nft(TAKES_NO_DATA)
        assert int(net.python(PROOF, TARGET, "3")) == 3
        # Without being told, it asks oftener.
        assert int(net.python(PROOF, TARGET, "-1")) > 3


def test_a_scan_that_ends_while_its_answers_are_told_takes_none_of_the_others():
    with Net() as net:
        net.open(0, also=(22,))
        assert net.python(ENDED_WHILE_TOLD, TARGET) == "0 1 2\n"
