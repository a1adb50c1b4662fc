"""UDP scans of services in a namespace of their own: real daemons, and small ones that speak the specifications (answers.py)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.exposure.answers import SERVED
from tests.exposure.net import SCANNER, SOURCE, TARGET, TARGET6, Net, losing
from tutela.exposure.payloads import PORTS, QUESTIONS

pytestmark = pytest.mark.root

ROOT = Path(__file__).parents[2]
SCAN = """
import json, sys
from ipaddress import ip_address
from tutela.exposure.model import Open, Request, Service, Summary, Tally
from tutela.exposure.udp import scan_udp, udp_ports
targets, rate, lost, host_rate = json.loads(sys.argv[1])
told, services, tallies = [], [], {}
for event in scan_udp(Request(tuple(map(ip_address, targets)), udp_ports(None), rate, host_rate), lost=lost):
    if isinstance(event, Open):
        told.append(event.port)
    elif isinstance(event, Service):
        services.append([event.port, event.name, event.said, event.without_authentication, event.amplification])
        assert event.amplification == round(event.answered_bytes / event.asked_bytes, 1)
    elif isinstance(event, Tally):
        tallies[event.address] = {name: getattr(event, name) for name in ("asked", "open", "closed", "filtered", "silent", "protocol")} | {"note": event.note and event.note.en}
    elif isinstance(event, Summary):
        summary = {name: getattr(event, name) for name in ("method", "seconds", "packets", "rounds", "lost", "expected_missed")} | {"notes": [note.en for note in event.notes]}
print(json.dumps({"told": told, "services": services, "tallies": tallies, **summary}))
"""
RATES = [100_000.0, 1_000.0, 1e9]


def scan(net, *targets, rate=100_000.0, lost=None, host_rate=None):
    return json.loads(net.python(SCAN, json.dumps([targets or [TARGET], rate, lost, host_rate])))


@pytest.fixture
def net():
    with Net() as one:
        yield one


def serve(net, names):
    """Small servers for these; returns the ports they hold."""
    server = net.start_on_target([sys.executable, "-m", "tests.exposure.answers"], env=os.environ | {"PYTHONPATH": f"{SOURCE}:{ROOT}"})
    server.stdin.write(json.dumps(sorted(names)))
    server.stdin.close()
    return set(json.loads(server.stdout.readline()))


def start(net, code, *words):
    """A Python program on the target that says `ready`."""
    program = net.start_on_target([sys.executable, "-c", code, *words])
    assert program.stdout.readline() == "ready\n"


ANSWERING = """
import json, select, socket, sys
def bound(*place):
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.bind(place)
    return one
held = {one.fileno(): one for one in (bound(*place) for place in json.loads(sys.argv[1]))}
%s
print("ready", flush=True)
poll = select.epoll()
for number in held:
    poll.register(number, select.EPOLLIN)
while True:
    for number, _ in poll.poll():
        one = held[number]
        asked, peer = one.recvfrom(2000)
        %s
"""


def answer(net, places, answering, before=""):
    """On the target each of these addresses and ports is answered by a line of Python, which has `one`, `asked` and `peer`."""
    start(net, ANSWERING % (before, answering), json.dumps(places))


def wait_until_held(net, *ports):
    for _ in range(100):
        held = net.target(["ss", "-Hulpn"]).stdout
        if all(f":{port} " in held for port in ports):
            return
        subprocess.run(["sleep", "0.1"], check=True)
    raise AssertionError(held)


@pytest.fixture(scope="module")
def daemons(tmp_path_factory):
    folder = tmp_path_factory.mktemp("daemons")
    folder.chmod(0o755)
    (folder / "snmpd.conf").write_text("rocommunity public\nsysDescr Linux target 6.1\nagentAddress udp:161,udp6:161\n")
    (folder / "ntp.conf").write_text("server 127.127.1.0\nrestrict default nomodify noquery\n")
    with Net() as net:
        commands = (
            ["dnsmasq", "-k", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--enable-tftp", f"--tftp-root={folder}", "--user=root", "--pid-file="],
            ["snmpd", "-f", "-C", "-c", str(folder / "snmpd.conf"), "-Lo", "-I", "-smux"],
            ["memcached", "-u", "nobody", "-U", "11211", "-l", "0.0.0.0,::"],
            [str(unpacked("ntpsec", folder) / "usr" / "sbin" / "ntpd"), "-n", "-c", str(folder / "ntp.conf"), "-u", "root"],
            ["openvpn", "--dev", "null", "--proto", "udp6", "--port", "1194", "--tls-server", "--dh", "none", *key(folder)],
            ["openssl", "s_server", "-dtls1_2", "-listen", "-quiet", "-accept", "4433", "-cert", "cert", "-key", "key"],
        )
        for command in commands:
            net.start_on_target(command, stderr=subprocess.DEVNULL, cwd=folder, env=os.environ | {"SNMP_PERSISTENT_DIR": str(folder)})
        wait_until_held(net, 53, 69, 123, 161, 1194, 4433, 11211)
        yield net


def unpacked(package, folder):
    """Its files, not installed: a second time daemon would drive out this machine's own."""
    subprocess.run(["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", package], cwd=folder, check=True, capture_output=True)
    (archive,) = folder.glob(f"{package}_*.deb")
    subprocess.run(["dpkg", "-x", archive, folder / package], check=True)
    return folder / package


def key(folder):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=target", "-keyout", "key", "-out", "cert"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    return ["--cert", "cert", "--key", "key", "--ca", "cert"]


@pytest.mark.parametrize("target", [TARGET, TARGET6])
def test_real_daemons_are_known_by_their_answers(daemons, target):
    found = scan(daemons, target)
    said = {(port, name): (words, anybody) for port, name, words, anybody, _ in found["services"]}
    assert found["tallies"][target]["open"] == [53, 69, 123, 161, 1194, 4433, 11211]
    assert said[53, "dns"] == ("REFUSED", None)
    assert said[69, "tftp"][1] is None
    assert said[123, "ntp"][0].startswith("version 4, stratum")
    assert said[11211, "memcached"][0].startswith("1.")
    assert said[11211, "memcached"][1] is True
    assert said[1194, "openvpn"] == said[4433, "dtls"] == ("", None)
    assert [one for one in found["services"] if one[1] == "snmp" and one[2].startswith("v3, engine")]
    if target == TARGET:
        # In its configuration rocommunity stands for IPv4 only; rocommunity6 is another word.
        assert [one[2:4] for one in found["services"] if one[1] == "snmp" and not one[2].startswith("v3")] == [["Linux target 6.1", True]]


def test_an_answer_much_larger_than_its_question_is_measured(daemons):
    factor = {name: amplification for _, name, said, _, amplification in scan(daemons)["services"] if not said.startswith("v3")}
    assert factor["memcached"] > 20
    assert factor["snmp"] > 5
    assert factor["ntp"] == 1.0


@pytest.mark.parametrize("target", [TARGET, TARGET6])
def test_every_service_is_found_and_named(net, target):
    held = serve(net, SERVED)
    found = scan(net, target)
    assert held == set(PORTS)
    assert found["tallies"][target]["open"] == sorted(held)
    assert sorted(found["told"]) == sorted(held)
    assert {(port, question.name) for question in QUESTIONS for port in question.ports} == {(port, name) for port, name, *_ in found["services"]}


@pytest.mark.parametrize("rate", RATES)
def test_the_same_services_at_every_rate(net, rate):
    held = serve(net, {"dns", "snmp", "quic", "dtls", "tftp", "stun"})
    found = scan(net, rate=rate)
    assert (found["tallies"][TARGET]["open"], found["rounds"]) == (sorted(held), 3)


def test_the_limit_for_one_host_holds(net):
    held = serve(net, {"dns", "stun"})
    found = scan(net, host_rate=60.0)
    assert found["tallies"][TARGET]["open"] == sorted(held)
    assert found["seconds"] > (found["packets"] - 1) / 60


@pytest.mark.parametrize("share", [0.01, 0.05])
def test_nothing_is_missed_where_packets_get_lost(net, share):
    held = serve(net, {"dns", "ntp", "snmp", "memcached", "ldap", "quic", "ike", "tftp", "sip", "stun"})
    net.nft(losing(share))
    for _ in range(2):
        assert set(scan(net, lost=1 - (1 - share) ** 2)["tallies"][TARGET]["open"]) == held


def test_silence_is_never_called_closed(net):
    held = serve(net, {"dns", "snmp"})
    net.nft("table inet filter { chain in { type filter hook input priority 0; udp dport { 53 } accept; meta l4proto udp drop; }\n}")
    tally = scan(net)["tallies"][TARGET]
    assert 161 in held
    assert tally == {"asked": len(PORTS), "open": [53], "closed": 0, "filtered": 0, "silent": len(PORTS) - 1, "protocol": "udp", "note": None}


def test_a_host_that_limits_its_refusals_has_few_closed_ports_and_many_silent_ones(net):
    serve(net, {"dns"})
    tally = scan(net)["tallies"][TARGET]
    assert tally["open"] == [53]
    assert 0 < tally["closed"] < len(PORTS) / 2
    assert tally["closed"] + tally["silent"] + 1 == len(PORTS)


@pytest.mark.parametrize("target", [TARGET, TARGET6])
def test_a_host_that_tells_all_its_refusals_has_closed_ports(net, target):
    serve(net, {"dns"})
    net.target(["sysctl", "-qw", "net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0"])
    tally = scan(net, target)["tallies"][target]
    assert (tally["open"], tally["closed"] >= len(PORTS) - 3) == ([53], True)


@pytest.mark.parametrize("target", [TARGET, TARGET6])
def test_what_a_filter_refuses_is_counted_apart(net, target):
    net.target(["sysctl", "-qw", "net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0"])
    net.nft("table inet filter { chain in { type filter hook input priority 0; meta l4proto udp reject with icmpx admin-prohibited; }\n}")
    tally = scan(net, target)["tallies"][target]
    assert (tally["open"], tally["closed"], tally["filtered"]) == ([], 0, len(PORTS))


def test_an_address_that_nobody_has_is_silent(net):
    tally = scan(net, "198.18.0.77")["tallies"]["198.18.0.77"]
    assert (tally["open"], tally["closed"], tally["filtered"], tally["silent"]) == ([], 0, 0, len(PORTS))


def test_an_answer_from_elsewhere_opens_nothing(net):
    net.target(["ip", "address", "add", "198.18.0.3/24", "dev", "host0"])
    forged = r'asked, b"\x00\x05\x00\x01no\x00", b"HTTP/1.1 200 OK\r\n\r\n", asked[:2] + b"\x81\x80" + asked[4:]'
    # From another port of the same host comes only what does not belong to the protocol.
    answer(
        net,
        [(TARGET, port) for port in (53, 69, 1900, 3478)],
        f'[other.sendto(said, peer) for said in ({forged})]; same.sendto(b"garbage", peer)',
        'other, same = bound("198.18.0.3", 0), bound("198.18.0.2", 0)',
    )
    found = scan(net)
    assert (found["told"], found["services"]) == ([], [])


def test_floods_and_huge_answers_neither_stop_it_nor_hide_others(net):
    start(
        net,
        """
import os, select, socket, threading
flood, fair = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
flood.bind(("198.18.0.2", 161))
fair.bind(("198.18.0.2", 3478))
print("ready", flush=True)
def answer():
    while True:
        asked, peer = fair.recvfrom(2000)
        fair.sendto(b"\\x01\\x01\\x00\\x00" + asked[4:20], peer)
threading.Thread(target=answer, daemon=True).start()
asked, peer = flood.recvfrom(2000)
while True:
    try:
        flood.sendto(os.urandom(60000), peer)
    except OSError:
        pass
""",
    )
    found = scan(net)
    assert found["tallies"][TARGET]["open"] == [161, 3478]
    assert found["seconds"] < 60
    assert [3478, "stun"] in [one[:2] for one in found["services"]]
    assert [one[1] for one in found["services"] if one[0] == 161 and one[4] > 100] != []


def test_where_something_answers_every_question_alike_it_says_so(net):
    answer(net, [(TARGET, port) for port in PORTS], r'one.sendto(b"\xff\xfe", peer)')
    found = scan(net)
    assert "in the host's place" in found["tallies"][TARGET]["note"]
    assert [one for one in found["services"] if one[1] is not None] == []


def test_many_hosts_side_by_side(net):
    for last in range(10, 20):
        net.target(["ip", "address", "add", f"198.18.0.{last}/24", "dev", "host0"])
    answer(net, [(f"198.18.0.{last}", 3478) for last in range(10, 20)], r'one.sendto(b"\x01\x01\x00\x00" + asked[4:20], peer)')
    targets = [f"198.18.0.{last}" for last in range(10, 30)]
    found = scan(net, *targets)
    assert [address for address, tally in found["tallies"].items() if tally["open"] == [3478]] == targets[:10]
    # Twenty take less time than ten would one after the other.
    assert found["seconds"] < 10 * scan(net, targets[0])["seconds"]


def test_who_opts_out_is_not_asked_though_the_list_of_targets_names_them(net, tmp_path):
    net.nft("table inet count { chain in { type filter hook prerouting priority 0; meta l4proto udp counter; }\n}")
    (tmp_path / "no").write_text(f"{TARGET}\n")
    code = f"""
from ipaddress import ip_address
from pathlib import Path
from tutela.exposure.gate import Gate
from tutela.exposure.model import Request
from tutela.exposure.udp import scan_udp
summary, *tallies = list(scan_udp(Request((ip_address("{TARGET}"),), (53, 123)), permits=Gate(None, (Path("{tmp_path}/no"),)).permits_one))[::-1]
print(summary.packets, tallies)
"""
    assert net.python(code) == "0 []\n"
    assert "packets 0 " in net.target(["nft", "list", "ruleset"]).stdout


def test_what_this_machine_refuses_to_send_is_an_error(net):
    net.nft("table inet no { chain out { type filter hook output priority 0; meta l4proto udp drop; }\n}", scanner=True)
    done = net.run([sys.executable, "-c", SCAN, json.dumps([[TARGET], 1e5, None, None])], check=False, environment=os.environ | {"PYTHONPATH": str(SOURCE)})
    assert "refused to send UDP to 198.18.0.2: Operation not permitted" in done.stderr


def test_this_machine_itself(net):
    code = f"import socket; one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); one.bind(('127.0.0.1', 3478)); print('ready', flush=True)\nwhile True:\n    asked, peer = one.recvfrom(2000); one.sendto(b'\\x01\\x01\\x00\\x00' + asked[4:20], peer)  # {SCANNER}"
    listener = net.start([sys.executable, "-c", code])
    assert listener.stdout.readline() == "ready\n"
    assert scan(net, "127.0.0.1")["tallies"]["127.0.0.1"]["open"] == [3478]
