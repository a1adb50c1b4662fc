"""The symbolic walk against the kernel: rule sets are loaded in a network namespace, and real packets are sent from three places.

Everything happens in namespaces that this test makes: a host, a container behind it, and the outside with an admin, a campus and an external address.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests import scenes
from tutela.evidence import Bundle, Unobserved, Vantage
from tutela.evidence.bundle import read_frames
from tutela.facts import exposure, firewall, interfaces
from tutela.facts.look import Look
from tutela.facts.netfilter import nft_text
from tutela.facts.netfilter.host import Host
from tutela.site import Site

pytestmark = pytest.mark.root

PROBE = Path(__file__).parents[2] / "src" / "tutela" / "collect" / "probe.sh"
SOURCES = {
    4: {"admin": "198.18.0.2", "admin2": "198.18.0.200", "campus": "198.18.77.7", "external": "198.19.7.7"},
    6: {"admin": "2001:db8:0:ad::2", "campus": "2001:db8:0:77::7", "external": "2001:db8:1900::7"},
}
TARGET = {4: "198.18.0.10", 6: "2001:db8:0:ad::10"}
CONTAINER = "172.17.0.2"
PORTS = (22, 80, 443, 2222, 3306, 8080, 40000)
"""Where the host listens, TCP and UDP, both families."""
KNOWN_TO_NOBODY = 47001
"""Listens too; no rule mentions it."""

# What is loaded: nft text, or command lines of iptables.
RULESETS: dict[str, str] = {
    "empty": "",
    "policy drop, admins by prefix": """
        table inet filter { chain input { type filter hook input priority 0; policy drop;
            ct state vmap { established : accept, related : accept, invalid : drop }
            iif lo accept
            meta l4proto { icmp, ipv6-icmp } accept
            ip saddr 198.18.0.0/28 tcp dport 22 accept
            ip6 saddr 2001:db8:0:ad::/64 tcp dport 22 accept
            tcp dport { 80, 443 } accept } }""",
    "IPv6 forgotten": """
        table ip filter { chain input { type filter hook input priority 0; policy drop;
            ct state established,related accept
            tcp dport 80 accept } }""",
    "negated source in an inet table leaves IPv6 alone": """
        table inet filter { chain input { type filter hook input priority 0; policy accept;
            ip saddr != 198.18.0.0/24 tcp dport 22 drop
            ip6 saddr != { 2001:db8:0:ad::/64, 2001:db8:0:77::7 } tcp dport 3306 reject } }""",
    "drop in a later chain beats accept in an earlier one": """
        table inet a { chain early { type filter hook input priority -10; policy accept; tcp dport { 22, 80 } accept; } }
        table inet b { chain late { type filter hook input priority 10; policy accept; tcp dport 22 drop; } }""",
    "named sets, intervals, timeouts, concatenations": """
        table inet filter {
            set knocked { type ipv4_addr; flags timeout; elements = { 198.18.77.7 timeout 1h } }
            set nets { type ipv4_addr; flags interval; elements = { 198.18.0.0/25, 198.19.0.0-198.19.255.255 } }
            set pairs { type ipv4_addr . inet_service; flags interval; elements = { 198.18.0.0/24 . 3306, 198.19.7.7 . 8000-8100 } }
            chain input { type filter hook input priority 0; policy drop;
                ct state established accept
                ip saddr @knocked tcp dport 22 accept
                ip saddr @nets tcp dport 443 accept
                ip saddr . tcp dport @pairs accept
                ip saddr . udp dport { 198.18.77.7 . 80 } accept } }""",
    "verdict maps, jumps, goto, return": """
        table inet filter {
            map services { type inet_service : verdict; elements = { 22 : jump ssh, 80 : accept, 443 : goto web } }
            chain ssh { ip saddr 198.19.0.0/16 return; ip saddr 198.18.0.0/16 accept; }
            chain web { ip saddr 198.18.77.7 return; accept; }
            chain input { type filter hook input priority 0; policy drop;
                ct state established accept
                tcp dport vmap @services
                ip saddr 198.18.77.7 tcp dport 443 accept
                tcp dport 22 ip saddr 198.19.7.7 accept
                ip saddr vmap { 198.18.0.2 : accept, 198.19.0.0/16 : drop }
                udp dport 40000 accept } }""",
    "operators, ranges, protocols, interfaces": """
        table inet filter { chain input { type filter hook input priority 0; policy drop;
            ct state established accept
            iifname != "veth*" accept
            iifname "veth0" tcp dport < 100 tcp dport != 80 accept
            meta l4proto udp udp dport 2000-9000 accept
            th dport 40000 ip saddr 198.18.0.0/16 accept
            ip protocol tcp ip daddr 198.18.0.10 tcp dport 3306 accept
            ip6 daddr 2001:db8:0:ad::99 tcp dport 3306 accept
            tcp flags & (fin | syn | rst | ack) == syn tcp dport 8080 accept
            tcp flags & (fin | syn | rst | ack) == ack tcp dport 443 accept
            fib daddr type local udp dport 22 accept
            meta nfproto ipv6 tcp dport 2222 accept } }""",
    "rate limits let the first packet through": """
        table inet filter {
            set slow { type ipv4_addr; flags dynamic, timeout; timeout 1m; }
            chain input { type filter hook input priority 0; policy drop;
                ct state established accept
                tcp dport 22 ct state new limit rate 100/second burst 100 packets accept
                tcp dport 80 add @slow { ip saddr limit rate over 100/second burst 100 packets } drop
                tcp dport 80 accept
                tcp dport 443 ct count over 1000 drop
                tcp dport 443 accept
                log prefix "no: " limit rate 1/second counter reject with icmpx admin-prohibited } }""",
    "redirect": """
        table inet nat { chain pre { type nat hook prerouting priority dstnat; policy accept; tcp dport 80 redirect to :8080; ip saddr 198.18.77.7 tcp dport 443 redirect to :2222; } }
        table inet filter { chain input { type filter hook input priority 0; policy drop; ct state established accept; tcp dport 8080 accept; ct status dnat tcp dport 2222 accept; } }""",
    "published by maps": """
        table ip nat {
            map published { type inet_service : ipv4_addr . inet_service; elements = { 9080 : 172.17.0.2 . 80, 8081 : 172.17.0.2 . 81 } }
            chain pre { type nat hook prerouting priority dstnat; policy accept;
                ip saddr 198.18.0.0/16 dnat ip to tcp dport map @published
                dnat to tcp dport map { 80 : 172.17.0.2 }
                meta l4proto udp redirect to :udp dport map { 443 : 8080, 22 : 2222 } } }
        table inet filter {
            chain input { type filter hook input priority 0; policy drop; ct state established accept; udp dport 8080 accept; }
            chain through { type filter hook forward priority 0; policy drop; ct state established accept; ct status dnat accept; } }""",
    "published container port, firewalld's way": """
        table ip nat { chain pre { type nat hook prerouting priority dstnat; policy accept; fib daddr type local tcp dport 9080 dnat to 172.17.0.2:80; } }
        table inet fw {
            chain through { type filter hook forward priority 10; policy accept; ct state established accept; ct status dnat accept; reject; }
            chain input { type filter hook input priority 10; policy accept; ct state established accept; ct status dnat accept; iif lo accept; tcp dport 80 accept; drop; } }""",
    "raw prerouting drops before everything": """
        table inet raw { chain pre { type filter hook prerouting priority raw; policy accept; ip saddr 198.19.0.0/16 drop; fib saddr . iif oif missing drop; tcp dport 22 drop; } }
        table inet filter { chain input { type filter hook input priority 0; policy accept; } }""",
    "iptables: accept before drop, and behind the final reject": """
        iptables -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
        iptables -A INPUT -p tcp --dport 80 -j ACCEPT
        iptables -A INPUT -p tcp --dport 80 -j DROP
        iptables -A INPUT -s 198.18.0.0/24 -p tcp -m multiport --dports 22,8000:8100 -m comment --comment "adm's \\"ssh\\"" -j ACCEPT
        iptables -A INPUT -m iprange --src-range 198.19.7.1-198.19.7.9 -p udp --dport 443 -j ACCEPT
        iptables -A INPUT -j REJECT --reject-with icmp-host-prohibited
        iptables -A INPUT -p tcp --dport 443 -j ACCEPT
        ip6tables -P INPUT DROP
        ip6tables -A INPUT -p ipv6-icmp -j ACCEPT
        ip6tables -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT
        ip6tables -A INPUT ! -s 2001:db8:0:77::/64 -p tcp -m tcp --dport 22 -j ACCEPT""",
    "iptables: negations, flags, recent, limits, sets of ports": """
        iptables -P INPUT DROP
        iptables -A INPUT -m state --state ESTABLISHED -j ACCEPT
        iptables -N SSH
        iptables -A INPUT -p tcp --dport 22 -j SSH
        iptables -A SSH -m recent --name seen --rcheck --seconds 60 -j ACCEPT
        iptables -A SSH ! -s 198.18.0.0/16 -j DROP
        iptables -A SSH -m recent --name brute --set
        iptables -A SSH -m recent --name brute --update --seconds 2 --hitcount 20 -j DROP
        iptables -A SSH -p tcp --syn -m limit --limit 100/sec --limit-burst 100 -j ACCEPT
        iptables -A INPUT -p tcp ! --syn -j DROP
        iptables -A INPUT -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m addrtype --dst-type LOCAL --dport 443 -j ACCEPT
        iptables -A INPUT ! -i veth0 -p tcp --dport 3306 -j ACCEPT
        iptables -A INPUT -i veth+ -p udp --dport 40000 -m connlimit --connlimit-above 100 -j DROP
        iptables -A INPUT -i veth+ -p udp --dport 40000 -j ACCEPT""",
    "docker beside ufw-like rules": """
        iptables -P INPUT DROP
        iptables -P FORWARD DROP
        iptables -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
        iptables -t nat -N DOCKER
        iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
        iptables -t nat -A DOCKER -i docker0 -j RETURN
        iptables -t nat -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
        iptables -t nat -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8081 -j DNAT --to-destination 172.17.0.2:81
        iptables -N DOCKER-USER
        iptables -N DOCKER
        iptables -A FORWARD -j DOCKER-USER
        iptables -A DOCKER-USER -i veth0 -m conntrack --ctorigdstport 8081 ! -s 198.18.0.0/16 -j DROP
        iptables -A DOCKER-USER -j RETURN
        iptables -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
        iptables -A FORWARD -o docker0 -j DOCKER
        iptables -A FORWARD -i docker0 ! -o docker0 -j ACCEPT
        iptables -A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
        iptables -A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 81 -j ACCEPT""",
    "iptables: what was redirected has a state of its own": """
        iptables -P INPUT DROP
        iptables -P FORWARD DROP
        iptables -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT
        iptables -A FORWARD -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
        iptables -A FORWARD -i veth0 -j ACCEPT
        iptables -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
        iptables -t nat -A PREROUTING -p tcp --dport 80 -j REDIRECT --to-ports 8080
        iptables -t nat -A PREROUTING -p tcp --dport 9080 -j DNAT --to-destination 172.17.0.2:80
        ip6tables -P INPUT DROP""",
    "iptables: whoever is let in is noted": """
        iptables -P INPUT DROP
        iptables -A INPUT -m state --state ESTABLISHED -j ACCEPT
        iptables -A INPUT -p tcp --dport 22 -m recent --name seen --update --seconds 1 --hitcount 20 -j DROP
        iptables -A INPUT -p tcp --dport 22 -m state --state NEW -m recent --name seen --set -j ACCEPT
        ip6tables -P INPUT DROP""",
    "whoever is let in is noted": """
        table inet filter {
            set seen { type ipv4_addr; flags dynamic, timeout; timeout 1m; }
            chain input { type filter hook input priority 0; policy drop;
                ct state established accept
                tcp dport 22 ct state new update @seen { ip saddr limit rate 100/second burst 100 packets } accept
                tcp dport 443 add @seen { ip saddr } accept } }""",
    "everything else in a map": """
        table inet filter {
            map services { type inet_service : verdict; elements = { 22 : accept, 80 : drop, * : goto rest } }
            chain rest { tcp dport 3306 accept; }
            chain input { type filter hook input priority 0; policy drop;
                ct state established accept
                ip saddr vmap { 198.19.0.0/16 : drop, * : continue }
                tcp dport vmap @services } }""",
    "flags as a set": """
        table inet filter { chain input { type filter hook input priority 0; policy drop;
            ct state established accept
            tcp flags { fin, rst } tcp dport 80 accept
            tcp flags { syn, ack } tcp dport 22 accept
            tcp flags != { syn, ack } tcp dport 443 accept
            tcp dport 3306 tcp flags vmap { syn : accept, fin : drop } } }""",
    "sent on to loopback, where the interface allows it": """
        echo 1 > /proc/sys/net/ipv4/conf/veth0/route_localnet
        iptables -P INPUT DROP
        iptables -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT
        iptables -A INPUT -d 127.0.0.1 -j ACCEPT
        iptables -t nat -A PREROUTING -p tcp --dport 80 -j DNAT --to-destination 127.0.0.1:8080
        ip6tables -P INPUT DROP""",
    "sent on to loopback, where it is a martian": """
        iptables -P INPUT DROP
        iptables -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT
        iptables -A INPUT -d 127.0.0.1 -j ACCEPT
        iptables -t nat -A PREROUTING -p tcp --dport 80 -j DNAT --to-destination 127.0.0.1:8080
        ip6tables -P INPUT DROP""",
    "legacy tables beside nf_tables": """
        iptables-legacy -A INPUT -s 198.19.0.0/16 -p tcp --dport 22 -j DROP
        ip6tables-legacy -P INPUT DROP
        ip6tables-legacy -A INPUT -p ipv6-icmp -j ACCEPT
        ip6tables-legacy -A INPUT -p tcp -m tcp --dport 443 -j ACCEPT
        ip6tables-legacy -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT
        iptables -A INPUT -s 198.18.77.0/24 -p tcp --dport 22 -j DROP""",
}

LISTEN = """
import select, socket, sys
poll = select.poll(); socks = {}
for port in map(int, sys.argv[1].split(",")):
    for family in (socket.AF_INET, socket.AF_INET6):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            s = socket.socket(family, kind)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            s.bind(("", port))
            if kind == socket.SOCK_STREAM: s.listen(64)
            poll.register(s, select.POLLIN); socks[s.fileno()] = s
print("ready", flush=True)
while True:
    for fd, _ in poll.poll():
        s = socks[fd]
        if s.type == socket.SOCK_STREAM: s.accept()[0].close()
        else:
            data, who = s.recvfrom(10); s.sendto(data, who)
"""

TRY = """
import errno, json, select, socket, sys, time
found = []; waiting = {}
for row in json.load(sys.stdin):
    family, kind, source, target, port = row
    s = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    s.setblocking(False); s.bind((source, 0))
    s.connect_ex((target, port))
    if kind == "udp":
        try: s.send(b"x")
        except OSError: pass
    waiting[s.fileno()] = (s, row)
poll = select.poll()
for fd, (s, row) in waiting.items(): poll.register(fd, select.POLLIN if row[1] == "udp" else select.POLLOUT)
end = time.monotonic() + 0.6
while waiting and time.monotonic() < end:
    for fd, _ in poll.poll(50):
        s, row = waiting.pop(fd); poll.unregister(fd)
        if row[1] == "tcp": good = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        else:
            try: good = s.recv(10) == b"x"
            except OSError: good = False
        if good: found.append(row)
        s.close()
json.dump(found, sys.stdout)
"""


@dataclass
class Bench:
    """Three namespaces and the listeners in them."""

    host: str
    container: str
    outside: str

    def run(self, where: str, *argv: str, text: str = "") -> str:
        done = subprocess.run(["ip", "netns", "exec", where, *argv], input=text, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, (argv, done.stderr)
        return done.stdout

    def load(self, rules: str) -> None:
        self.run(self.host, "nft", "flush", "ruleset")
        self.run(self.host, "sh", "-c", "echo 0 > /proc/sys/net/ipv4/conf/veth0/route_localnet")
        for tool in ("iptables-legacy", "ip6tables-legacy"):
            for table in ("filter", "nat"):
                self.run(self.host, tool, "-t", table, "-F")
            self.run(self.host, tool, "-P", "INPUT", "ACCEPT")
        if "iptables" in rules:
            self.run(self.host, "sh", "-ec", rules)
        elif rules:
            self.run(self.host, "nft", "-f", "-", text=re.sub(r" \}(?= \}|\n|$)", "\n}", rules))

    def look(self) -> Look:
        frames = subprocess.run(["ip", "netns", "exec", self.host, "sh", str(PROBE), "--quick"], capture_output=True, timeout=120, check=True).stdout
        sources = read_frames(frames)
        bundle = Bundle("bench", scenes.NOW, "1", Vantage.HOST, frames, sources)
        return Look(bundle, Site(), scenes.content().reference)

    def reached(self, tries: list[tuple[int, str, str, str, int]]) -> set[tuple[int, str, str, str, int]]:
        return {tuple(row) for row in json.loads(self.run(self.outside, sys.executable, "-c", TRY, text=json.dumps(tries)))}


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    names = [f"tutela-fw-{os.getpid()}-{part}" for part in ("host", "container", "outside")]
    made = Bench(*names)
    listeners: list[subprocess.Popen[bytes]] = []
    try:
        for name in names:
            subprocess.run(["ip", "netns", "add", name], check=True)
            made.run(name, "ip", "link", "set", "lo", "up")
            made.run(name, "sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/all/accept_dad; echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad")
        made.run(made.host, "ip", "link", "add", "veth0", "type", "veth", "peer", "name", "up0", "netns", made.outside)
        made.run(made.host, "ip", "link", "add", "docker0", "type", "veth", "peer", "name", "eth0", "netns", made.container)
        made.run(
            made.host,
            "sh",
            "-ec",
            """ip addr add 198.18.0.10/24 dev veth0; ip addr add 2001:db8:0:ad::10/64 dev veth0 nodad
            ip addr add 172.17.0.1/16 dev docker0; ip link set veth0 up; ip link set docker0 up
            ip route add default via 198.18.0.2; ip -6 route add default via 2001:db8:0:ad::2
            echo 1 > /proc/sys/net/ipv4/ip_forward; echo 10000 > /proc/sys/net/ipv4/icmp_ratelimit || true""",
        )
        commands = ["ip link set up0 up", *(f"ip addr add {a}/{24 if n.startswith('admin') else 32} dev up0" for n, a in SOURCES[4].items())]
        commands += [f"ip addr add {a}/{64 if n.startswith('admin') else 128} dev up0 nodad" for n, a in SOURCES[6].items()]
        made.run(made.outside, "sh", "-ec", "\n".join(commands))
        made.run(made.container, "sh", "-ec", "ip link set eth0 up; ip addr add 172.17.0.2/16 dev eth0; ip route add default via 172.17.0.1")
        # Without permanent neighbours a rule set that drops ICMPv6 would also stop neighbour discovery, now and then.
        for where, device, other in ((made.host, "veth0", "up0"), (made.outside, "up0", "veth0")):
            far = made.outside if where == made.host else made.host
            mac = json.loads(made.run(far, "ip", "-j", "link", "show", "dev", other))[0]["address"]
            for address in SOURCES[6].values() if where == made.host else (TARGET[6],):
                made.run(where, "ip", "-6", "neigh", "replace", address, "lladdr", mac, "dev", device, "nud", "permanent")
        for name, ports in ((made.host, (*PORTS, KNOWN_TO_NOBODY)), (made.container, (80, 81))):
            argv = ["ip", "netns", "exec", name, sys.executable, "-c", LISTEN, ",".join(map(str, ports))]
            listeners.append(subprocess.Popen(argv, stdout=subprocess.PIPE))
        for one in listeners:
            assert one.stdout is not None
            assert one.stdout.readline() == b"ready\n"
        time.sleep(0.2)
        yield made
    finally:
        for one in listeners:
            one.kill()
            one.wait()
            if one.stdout is not None:
                one.stdout.close()
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


@pytest.mark.parametrize("name", RULESETS)
def test_the_walk_says_what_the_kernel_does(bench: Bench, name: str) -> None:
    bench.load(RULESETS[name])
    look = bench.look()
    filtering = look.fact(firewall.parse)
    assert not isinstance(filtering, Unobserved), filtering

    tries = []
    said = set()
    for family, protocol, port in itertools.product((4, 6), ("tcp", "udp"), (*PORTS, KNOWN_TO_NOBODY, 9080, 8081)):
        ways = filtering.host.ways(family, protocol, port, int(ip_address(TARGET[family])))
        assert not isinstance(ways, Unobserved), ways
        assert [way.doubts for way in ways if way.maybe] == []
        for source in SOURCES[family].values():
            row = (family, protocol, source, TARGET[family], port)
            tries.append(row)
            for way in ways:
                listens = port in (*PORTS, KNOWN_TO_NOBODY) if way.target is None else way.target[1] in (80, 81) if not way.local else way.target[1] in PORTS
                if int(ip_address(source)) in way.sure and listens:
                    said.add(row)

    assert sorted(bench.reached(tries)) == sorted(said)


def test_published_container_ports_are_exposed_although_input_drops(bench: Bench) -> None:
    bench.load(RULESETS["docker beside ufw-like rules"])
    seen = bench.look().fact(exposure.parse)
    assert not isinstance(seen, Unobserved)

    forwarded = [(one.port, one.family, one.target, one.external, one.sources) for one in seen.ports if one.via == "dnat"]
    assert forwarded == [(8080, "ipv4", "172.17.0.2:80", True, ("0.0.0.0/0",)), (8081, "ipv4", "172.17.0.2:81", True, ("198.18.0.0/16",))]
    own = [one.classes for one in seen.ports if one.via == "socket" and one.port == 8080 and one.family == "ipv4" and one.protocol == "tcp"]
    assert own == [("loopback",)]


@pytest.mark.parametrize("name", [name for name, rules in RULESETS.items() if rules and "iptables" not in rules])
def test_a_saved_file_means_what_the_kernel_makes_of_it(bench: Bench, name: str) -> None:
    """The file is read by `nft_text`, the kernel's listing by `nft_json`; a walk must not tell them apart."""
    bench.load(RULESETS[name])
    loaded = bench.look().fact(firewall.parse)
    saved = nft_text.read(RULESETS[name], lambda _: None)
    assert not isinstance(loaded, Unobserved)
    assert saved is not None

    mine = Host(saved, bench.look().fact(interfaces.parse))
    for family, protocol, port in itertools.product((4, 6), ("tcp", "udp"), (*PORTS, KNOWN_TO_NOBODY, 9080, 8081)):
        assert mine.ways(family, protocol, port) == loaded.host.ways(family, protocol, port)
