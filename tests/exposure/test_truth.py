"""Scans of a real kernel in a namespace of its own, whose open ports are known. See truth.py for the long run."""

import json
import os
import subprocess
import sys
import time

import pytest

from tests.exposure.net import SCANNER, SOURCE, TARGET, TARGET6, Net, answering_everywhere, dropping, losing, proxying_syns
from tests.exposure.truth import scan, scenes

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def net():
    with Net() as one:
        yield one


@pytest.fixture(scope="module")
def opened(net):
    return net.open(200, also=(22, 80, 443))


@pytest.mark.parametrize("name", [name for name, _ in scenes(frozenset({1}))])
def test_every_open_port_and_no_other(net, opened, name):
    net.nft(dict(scenes(opened))[name])
    found = scan(net)
    assert set(found["open"]) == opened
    assert sorted(found["told"]) == sorted(opened)


@pytest.mark.parametrize("name", ["rejects", "drops", "drops, 5% lost each way"])
@pytest.mark.parametrize(
    "target,method,rate",
    [(TARGET6, "raw", 1e5), (TARGET, "frames", float("inf")), (TARGET6, "frames", 1e5), (TARGET, "raw", float("inf")), (TARGET, "raw", 5e4)],
)
def test_the_same_ports_at_every_rate_in_every_way(net, opened, name, target, method, rate):
    net.nft(dict(scenes(opened))[name])
    assert set(scan(net, target, method, rate)["open"]) == opened


def test_the_same_ports_slowly(net, opened):
    net.nft(dropping(opened))
    ports = ",".join(map(str, sorted(opened)))
    assert set(scan(net, rate=1e4, ports=f"{ports},40000-48000")["open"]) == opened


@pytest.mark.parametrize(
    "name,target",
    [*((name, target) for name in ("rejects", "drops", "refuses by ICMP") for target in (TARGET, TARGET6)), ("rejects, 5% lost each way", TARGET)],
)
def test_without_privilege_the_same_ports(net, opened, name, target):
    net.nft(dict(scenes(opened))[name])
    found = scan(net, target, "connect")
    assert (set(found["open"]), found["method"]) == (opened, "connect")


@pytest.mark.parametrize("method", ["raw", "connect"])
@pytest.mark.parametrize("target", ["127.0.0.1", "::1"])
def test_this_machine_itself(net, method, target):
    code = "import socket, sys; held = [socket.create_server(('', port), family=socket.AF_INET6, dualstack_ipv6=True) for port in (22, 8080, 61500)]; print('ready', flush=True); sys.stdin.read()"
    listener = net.start([sys.executable, "-c", code])
    assert listener.stdout.readline() == "ready\n"
    assert scan(net, target, method)["open"] == [22, 8080, 61500]
    listener.stdin.close()
    listener.wait()


@pytest.mark.parametrize("method", ["raw", "connect"])
def test_ports_of_this_machine_that_lead_to_another_are_open(net, opened, method):
    """As Docker publishes those of containers."""
    net.nft("")
    net.nft(
        f"table ip nat {{\n chain out {{\n type nat hook output priority -100;\n ip daddr {SCANNER} tcp dport 8080 dnat to {TARGET}:22;\n }}\n}}\n",
        scanner=True,
    )
    found = scan(net, SCANNER, method, ports="8079-8081")
    net.nft("", scanner=True)
    assert (found["open"], found["closed"], found["silent"]) == ([8080], 2, 0)


@pytest.mark.parametrize("method", ["raw", "connect"])
def test_where_all_ports_lead_to_one_service_it_says_so(net, opened, method):
    net.nft(answering_everywhere(min(opened)))
    found = scan(net, method=method)
    assert "lead to some service" in found["note"]
    assert len(found["open"]) < 150


@pytest.mark.parametrize("method", ["raw", "connect"])
@pytest.mark.parametrize("ports", ["popular", "1-400"])
def test_a_syn_proxy_opens_none_of_a_few_ports_either(net, opened, ports, method):
    net.nft(proxying_syns(opened))
    net.target(["sysctl", "-qw", "net.netfilter.nf_conntrack_tcp_loose=0", "net.ipv4.tcp_syncookies=1", "net.ipv4.tcp_timestamps=1"])
    found = scan(net, method=method, ports=ports)
    assert "something answers in the host's place" in found["note"]
    assert set(found["open"]) <= opened


def test_many_ports_of_a_few_that_all_are_real_are_all_told(net, opened):
    net.nft("")
    wanted = range(30000, 30120)
    net.open(0, also=sorted(set(wanted) - opened))
    assert scan(net, ports="30000-30119", rate=500)["open"] == list(wanted)


def test_a_syn_proxy_opens_no_port(net, opened):
    net.nft(proxying_syns(opened))
    net.target(["sysctl", "-qw", "net.netfilter.nf_conntrack_tcp_loose=0", "net.ipv4.tcp_syncookies=1", "net.ipv4.tcp_timestamps=1"])
    found = scan(net)
    assert "something answers in the host's place" in found["note"]
    assert set(found["open"]) <= opened


def test_tables_of_filters_on_the_way_hold_one_entry_a_port(net, opened):
    # The scanner's own tracking sees what a filter on the way would see.
    net.nft(dropping(opened) + losing(0.01))
    net.nft("table inet track { chain out { type filter hook output priority 0; ct state new counter; }\n}", scanner=True)
    net.run(["sysctl", "-qw", "net.netfilter.nf_conntrack_max=1000000"], check=False)
    scan(net)
    count = int(net.run(["cat", "/proc/sys/net/netfilter/nf_conntrack_count"]).stdout)
    net.nft("", scanner=True)
    # What is left of other tests may send a packet more.
    assert 0 < count < 1.01 * 65535


DEAF = """
    table inet deaf {
        chain out { type filter hook output priority -300; tcp sport 61000-61999 notrack; }
        chain in { type filter hook input priority 0; tcp dport 61000-61999 counter drop; }
    }
"""
"""Of the scanner: its kernel hears no answer, and so resets nothing."""
LOSING_RESETS = """
    table inet resets {
        set lost { type inet_service; size 65535; flags dynamic; }
        chain in {
            type filter hook input priority -10;
            tcp flags & rst == rst tcp dport != @lost add @lost { tcp dport } counter drop
        }
    }
"""
"""Of the target: the first reset to each port does not come."""


@pytest.mark.parametrize("lost", ["", LOSING_RESETS], ids=["none lost", "the first lost"])
def test_no_half_open_connection_stays_behind_though_a_filter_keeps_answers_from_the_kernel(net, opened, lost):
    net.nft(dropping(opened) + lost)
    net.nft(DEAF, scanner=True)
    found = scan(net)
    # The last resets may still be on their way; by itself the target gives up after a minute.
    until = time.monotonic() + 10
    while (left := net.target(["ss", "-Htn", "state", "syn-recv"]).stdout) and time.monotonic() < until:
        time.sleep(0.05)
    dropped = (net.run if not lost else net.target)(["nft", "list", "ruleset"]).stdout
    net.nft("", scanner=True)
    assert set(found["open"]) == opened
    assert "packets 0 " not in dropped
    assert left == ""


MANY_FILES = """
import os, resource
from ipaddress import ip_address
from tutela.exposure.echo import answers_echo
from tutela.exposure.model import Open, Request
from tutela.exposure.scan import scan
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
held = [os.open("/dev/null", os.O_RDONLY) for _ in range(1100)]
target = ip_address("198.18.0.2")
print([event.port for event in scan(Request((target,), (22,)), "raw") if isinstance(event, Open)], answers_echo(target))
"""


AFTER_A_PAUSE = """
import time
from ipaddress import ip_address
from tutela.exposure.connect import scan_by_connecting
from tutela.exposure.model import Request
asked = []
def permits(_):
    asked.append(time.monotonic())
    if len(asked) == 10:
        time.sleep(2)
    return True
list(scan_by_connecting(Request((ip_address("198.18.0.2"),), tuple(range(40000, 40300)), 200.0), permits=permits))
print(sum(asked[10] <= at < asked[10] + 0.5 for at in asked))
"""


AFTER_A_LONG_PAUSE = """
import json, sys, time
from ipaddress import ip_address
from tutela.exposure.connect import scan_by_connecting
from tutela.exposure.model import Request, Summary, Tally
asked = []
def permits(_):
    asked.append(1)
    if len(asked) == 390:
        time.sleep(3)
    return True
opened = json.loads(sys.argv[1])
# They are begun in two goes, and the answers to the second wait for the end of the pause.
for event in scan_by_connecting(Request((ip_address("198.18.0.2"),), (*opened, *(port for port in range(40000, 40200) if port not in opened)), 1e5), permits=permits):
    if isinstance(event, Tally):
        found = event.open
    elif isinstance(event, Summary):
        print(len(found) == len(opened), event.seconds)
"""


# The same for the program that looks from another host.
GUEST_AFTER_A_LONG_PAUSE = """
import contextlib, io, json, socket, sys, time
from importlib import resources
asked = []
class Held(socket.socket):
    def connect_ex(self, address):
        asked.append(1)
        if len(asked) == 390:
            time.sleep(3)
        return super().connect_ex(address)
socket.socket = Held
opened = json.loads(sys.argv[1])
sys.argv = ["guest", "8000", "60", ",".join(map(str, {*opened, *range(40000, 40200)})), "198.18.0.2"]
began, said = time.monotonic(), io.StringIO()
with contextlib.redirect_stdout(said):
    exec((resources.files("tutela.collect") / "guest" / "connect.py").read_text())
print({int(line[5:]) for line in said.getvalue().splitlines() if line.startswith("open ")} == set(opened), time.monotonic() - began)
"""


@pytest.mark.parametrize("code", [AFTER_A_LONG_PAUSE, GUEST_AFTER_A_LONG_PAUSE], ids=["here", "guest"])
def test_by_connections_a_pause_of_ours_does_not_make_every_silent_port_slow(net, opened, code):
    net.nft(dropping(opened))
    whole, seconds = net.python(code, json.dumps(sorted(opened))).split()
    assert whole == "True"
    # The pause, and two rounds of silence.
    assert float(seconds) < 3 + 3


def test_by_connections_too_a_pause_is_not_made_up_for_in_one_burst(net):
    net.nft("")
    # 200 a second for half a second, and what 20 ms save up.
    assert int(net.python(AFTER_A_PAUSE)) <= 105


SLOW_GUARD = """
import time
from ipaddress import ip_address
from tutela.exposure.engine import Engine
from tutela.exposure.guard import Guard
from tutela.exposure.model import Request, Tally
class Slow(Guard):
    def permits(self, addresses):
        time.sleep(0.3)
        return super().permits(addresses)
with Engine(guard=Slow()) as engine:
    print(*(event.rtt_s < 0.1 for event in engine.run(Request((ip_address("198.18.0.2"),), (22, 80))) if isinstance(event, Tally)))
"""


def test_time_that_the_guard_takes_is_no_round_trip(net, opened):
    """Or a gentle sweep would leave hosts in peace because a list of those who opted out was slow to read."""
    net.nft("")
    assert net.python(SLOW_GUARD) == "True\n"


LATE_ECHO = """
from ipaddress import ip_address
from tutela.exposure import echo
# On loopback the answer is there when sendto(2) returns; by then time is up.
echo.WAIT_S = -1.0
print(echo.answers_echo(ip_address("127.0.0.1")))
"""


def test_an_echo_that_came_to_a_busy_program_is_read(net):
    assert net.python(LATE_ECHO) == "True\n"


def test_beside_a_thousand_open_files(net, opened):
    assert 22 in opened
    net.nft("")
    assert net.python(MANY_FILES) == "[22] True\n"


def test_what_this_machine_refuses_to_send_is_an_error(net):
    net.nft("table inet no { chain out { type filter hook output priority 0; ip daddr 198.18.0.2 drop; }\n}", scanner=True)
    done = net.run([sys.executable, "-m", "tutela", "scan", TARGET, "--lang", "en"], check=False, environment=os.environ | {"PYTHONPATH": str(SOURCE)})
    net.nft("", scanner=True)
    assert done.returncode == 1
    assert "refused to send to 198.18.0.2: Operation not permitted" in done.stderr


UNREACHABLE = """
from ipaddress import ip_address
from tutela.errors import ScanError
from tutela.exposure.model import Request
from tutela.exposure.scan import scan
from tutela.exposure.udp import scan_udp
for address in ("192.0.2.1", "2001:db8::1"):
    request = Request((ip_address(address),), (53,))
    for events in (scan(request, "raw"), scan(request, "connect"), scan_udp(request)):
        try:
            print(list(events))
        except ScanError as problem:
            print(problem.message.en)
"""


def test_without_a_route_nothing_is_said_of_the_host(net):
    lines = net.python(UNREACHABLE).splitlines()
    assert lines == [
        f"no route to {one}: Network is unreachable; look at this machine's network (ip route get {one})"
        for one in ("192.0.2.1", "2001:db8::1")
        for _ in range(3)
    ]


def test_an_interrupt_ends_it_and_keeps_what_was_found(net, opened):
    net.nft(dropping(opened))
    running = net.start(
        [sys.executable, "-m", "tutela", "scan", TARGET, "--rate", "5000", "-f", "jsonl"], env=os.environ | {"PYTHONPATH": str(SOURCE)}, stderr=subprocess.PIPE
    )
    first = json.loads(running.stdout.readline())
    running.terminate()
    rest = [json.loads(line) for line in running.stdout]
    assert running.wait() == 130
    assert first["port"] in opened
    assert rest[-1]["event"] == "summary"


def test_without_root_it_connects_and_says_so(net, opened):
    net.nft("")
    done = net.run(
        [
            "setpriv",
            "--reuid",
            "65534",
            "--clear-groups",
            "--bounding-set",
            "-all",
            "--inh-caps",
            "-all",
            sys.executable,
            "-m",
            "tutela",
            "scan",
            TARGET,
            "-p",
            "1-1000",
            "--lang",
            "zh",
        ],
        environment=os.environ | {"PYTHONPATH": str(SOURCE)},
    )
    assert "没有 CAP_NET_RAW，改用普通连接" in done.stdout
    assert "可能记入日志" in done.stdout
