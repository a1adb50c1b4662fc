"""Sweeps of real kernels: two hundred and fifty addresses in a namespace, some of them alive."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.exposure.net import SOURCE, TARGET, Net

pytestmark = pytest.mark.root
PREFIX = "198.19.0.0/24"
LIVE = [f"198.19.0.{number}" for number in range(3, 250, 10)]
OPEN = {22, 80, 5000}


class Sweeps:
    """The net, and `tutela scan` in it."""

    def __init__(self, net, folder):
        self.net, self.folder = net, folder
        self.environment = os.environ | {"PYTHONPATH": str(SOURCE), "TUTELA_LANG": "en"}

    def argv(self, *words):
        return [sys.executable, "-m", "tutela", "scan", "-f", "jsonl", "--method", "raw", *map(str, words)]

    def run(self, *words, status=0):
        done = self.net.run(self.argv(*words), check=False, environment=self.environment)
        assert done.returncode == status, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def start(self, *words):
        return self.net.start(self.argv(*words), env=self.environment, stderr=subprocess.PIPE)

    def asked(self):
        """SYNs that reached the target, by port."""
        listed = json.loads(self.net.target(["nft", "-j", "list", "set", "inet", "count", "ports"]).stdout)
        elements = next(one["set"] for one in listed["nftables"] if "set" in one).get("elem", [])
        return {one["elem"]["val"]: one["elem"]["counter"]["packets"] for one in elements}

    def forget(self):
        self.net.nft(RULES)


RULES = f"""
    table inet count {{
        set ports {{ type inet_service; flags dynamic; size 65535; counter; }}
        set live {{ type ipv4_addr; elements = {{ {", ".join(LIVE)} }}; }}
        chain in {{
            type filter hook prerouting priority -300;
            ip daddr {PREFIX} tcp flags & (syn | ack) == syn update @ports {{ tcp dport }}
            ip daddr {PREFIX} ip daddr != @live drop
        }}
    }}
"""


@pytest.fixture(scope="module")
def net():
    with Net() as one:
        one.target(["ip", "route", "add", "local", PREFIX, "dev", "lo"])
        one.run(["ip", "route", "add", PREFIX, "via", TARGET])
        one.open(0, also=sorted(OPEN))
        yield one


@pytest.fixture
def sweeps(net, tmp_path):
    made = Sweeps(net, tmp_path)
    made.forget()
    yield made


def found(lines):
    return {(one["address"], one["port"]) for one in lines if one["event"] == "open"}


def tallies(lines):
    return {
        one["address"]: (one["asked"], tuple(one["open"]), one["closed"], one["silent"])
        for one in lines
        if one["event"] == "tally" and one["silent"] < one["asked"]
    }


TRUTH = {(address, port) for address in LIVE for port in OPEN}


def test_a_prefix_is_swept(sweeps):
    lines = sweeps.run(PREFIX, "-p", "22,80,443,5000", "--rate", 20000)
    assert found(lines) == TRUTH
    assert tallies(lines) == dict.fromkeys(LIVE, (4, (22, 80, 5000), 1, 0))
    assert set(sweeps.asked()) == {22, 80, 443, 5000}
    assert lines[-2] == {"schema": "tutela/scan/1", "event": "asked", "addresses": ["198.19.0.1-198.19.0.254"], "ports": "22,80,443,5000", "protocol": "tcp"}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_and_resumed_it_finds_the_same_and_asks_no_finished_slice_again(sweeps, number):
    # Twelve slices, each a second and a half, by a limit on hosts.
    words = [PREFIX, "-p", "1-100,5000", "--rate", 10000, "--host-rate", 60, "--rounds", 1, "--journal", sweeps.folder / "journal"]
    code = "import sys; from tutela.exposure import sweep; sweep.SECONDS = 0.15; from tutela.cli import main; sys.exit(main(sys.argv[1:]))"
    argv = [sys.executable, "-c", code, *sweeps.argv(*words)[3:]]
    running = sweeps.net.start(argv, env=sweeps.environment, stderr=subprocess.PIPE)
    journal = sweeps.folder / "journal"
    for _ in range(1200):
        time.sleep(0.05)
        if journal.exists() and journal.read_bytes().count(b'"slice"') >= 4:
            break
    running.send_signal(number)
    time.sleep(0.3)
    stopped = sum(sweeps.asked().values())
    status = running.wait()
    assert sum(sweeps.asked().values()) == stopped
    assert status == (-9 if number == signal.SIGKILL else 130)
    done = journal.read_bytes().count(b'{"slice"')
    assert 4 <= done <= 8
    before = sweeps.asked()
    lines = [json.loads(line) for line in sweeps.net.run(argv, environment=sweeps.environment).stdout.splitlines()]
    after = sweeps.asked()
    again = [port for port in before if after[port] > before[port]]
    # At most one slice was under way; its nine ports may be asked twice.
    assert len(again) <= 9 < len(before)
    assert set(after) == {*range(1, 101), 5000}
    assert found(lines) == TRUTH
    assert tallies(lines) == dict.fromkeys(LIVE, (101, (22, 80, 5000), 98, 0))


def test_who_opted_out_gets_no_packet(sweeps):
    (sweeps.folder / "out").write_text("198.19.0.3\n198.19.0.128/25\n")
    sweeps.net.nft(RULES + "table inet out { chain in { type filter hook prerouting priority -310; ip daddr { 198.19.0.3, 198.19.0.128/25 } counter; }\n}")
    for more in ([], ["--journal", sweeps.folder / "journal"], ["--method", "connect", "--journal", sweeps.folder / "other"]):
        lines = sweeps.run(PREFIX, "-p", "22,80", "--opt-out", sweeps.folder / "out", *more)
        assert {address for address, _ in found(lines)} == {address for address in LIVE[1:] if int(address.split(".")[3]) < 128}
    assert "counter packets 0 bytes 0" in sweeps.net.target(["nft", "list", "table", "inet", "out"]).stdout


@pytest.mark.parametrize("method", ["raw", "connect"])
def test_the_limit_of_a_host_holds(sweeps, method):
    lines = sweeps.run("198.19.0.3", "198.19.0.13", "-p", "1-30", "--host-rate", 20, "--rounds", 1, "--method", method, "--no-identify")
    assert tallies(lines) == dict.fromkeys(["198.19.0.3", "198.19.0.13"], (30, (22,), 29, 0))
    assert lines[-1]["seconds"] > 1.4


def test_a_foreign_prefix_in_the_list_sends_nothing(sweeps):
    (sweeps.folder / "ours").write_text("198.19.0.0/25\n")
    (sweeps.folder / "list").write_text("198.19.0.0/26\n198.19.0.127\n198.19.0.128/30\n")
    assert sweeps.run(f"@{sweeps.folder / 'list'}", "-p", "22", "--allow", sweeps.folder / "ours", status=1) == []
    assert sweeps.asked() == {}


HARD_STOP = """
import sys
from datetime import datetime, timedelta
from ipaddress import ip_network
from tutela.exposure.gate import Gate
from tutela.exposure.model import Request
from tutela.exposure.scan import scan
from tutela.exposure.sweep import Sweep
from tutela.exposure.window import Windows
# A clock by which the window ends with the packet that is the 24,000th, however fast this machine is.
def sent():
    return int(open("/proc/net/dev").read().split("scan0:")[1].split()[9])
before = sent()
def clock():
    return datetime(2026, 11, 23, 8, 59, 58, 800_000) + timedelta(seconds=(sent() - before) / 20_000)
gate = Gate(windows=Windows(["daily 07:00-09:00"], clock))
request = Request(tuple(ip_network("198.19.0.0/24").hosts()), tuple(range(1, 1001)), rate=20000.0)
*_, last = scan(request, "raw", gate=gate, sweep=lambda look: Sweep(request, look, gate=gate))
print(last.packets, last.notes[0].en, flush=True)
sys.stdin.readline()
"""


def test_nothing_leaves_after_the_end_of_the_window(sweeps):
    running = sweeps.net.start([sys.executable, "-c", HARD_STOP], env=sweeps.environment)
    packets, note = running.stdout.readline().split(" ", 1)
    ended = sum(sweeps.asked().values())
    time.sleep(1.0)
    assert sum(sweeps.asked().values()) == ended
    running.stdin.write("\n")
    running.stdin.flush()
    assert running.wait() == 0
    assert 5_000 < ended <= int(packets) < 24_000
    assert "the window has ended" in note


def test_changes_since_the_previous_sweep(sweeps):
    (sweeps.folder / "before").write_text("\n".join(json.dumps(line) for line in sweeps.run(PREFIX, "-p", "22,80,443,5000")) + "\n")
    sweeps.net.nft(
        RULES
        + """table inet changed {
            chain in {
                type filter hook input priority 0;
                ip daddr 198.19.0.3 tcp dport 22 reject with tcp reset
                ip daddr 198.19.0.13 tcp dport 80 drop
                ip daddr 198.19.0.23 drop
            }
            chain nat { type nat hook prerouting priority -100; ip daddr 198.19.0.33 tcp dport { 443, 8443 } redirect to :80; }
        }"""
    )
    lines = sweeps.run(PREFIX, "-p", "22,80,443,8443", "--since", sweeps.folder / "before")
    assert [(one["address"], one["port"], one["what"]) for one in lines if one["event"] == "change"] == [
        ("198.19.0.33", 443, "opened"),
        ("198.19.0.3", 22, "closed"),
        ("198.19.0.23", 22, "silent"),
        ("198.19.0.13", 80, "silent"),
        ("198.19.0.23", 80, "silent"),
    ]
