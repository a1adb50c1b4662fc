"""Sets of addresses against plain sets, parsers against bytes nobody wrote on purpose, and what the walk may claim."""

from __future__ import annotations

import itertools
import json
import string
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import scenes
from tutela.evidence import Reason, Unobserved
from tutela.facts import exposure, firewall, firewall_saved, guards, sockets
from tutela.facts.look import Look
from tutela.facts.memory import Memory
from tutela.facts.netfilter import host, iptables_save, nft_json, nft_text
from tutela.facts.netfilter.addresses import EVERYONE, NOBODY, Addresses, of_words, union
from tutela.facts.netfilter.host import Host
from tutela.facts.netfilter.rules import Base, Rule, Ruleset, Verdict
from tutela.language import Text

UNSEEN = Unobserved(Reason.NO_DATA, "ip -o addr", Text("没有采集", "not collected"))
SPAN = st.tuples(st.integers(0, 200), st.integers(0, 8)).map(lambda pair: (pair[0], pair[0] + pair[1]))
# Few and many intervals take different ways.
SPANS = st.one_of(st.lists(SPAN, max_size=3), st.lists(SPAN, min_size=15, max_size=60)).map(union)


def members(addresses: Addresses) -> set[int]:
    return {number for low, high in addresses.spans for number in range(low, high + 1)}


@settings(max_examples=500)
@given(SPANS, SPANS)
def test_sets_of_intervals_are_sets(one: Addresses, other: Addresses) -> None:
    assert members(one | other) == members(one) | members(other)
    assert members(one & other) == members(one) & members(other)
    assert members(one - other) == members(one) - members(other)
    assert one.count == len(members(one))
    for result in (one | other, one & other, one - other):
        assert all(low <= high for low, high in result.spans)
        assert list(result.spans) == sorted(result.spans)


@pytest.mark.parametrize(
    ("words", "family", "count"),
    [
        ("192.0.2.0/24", 4, 256),
        ("192.0.2.0/255.255.255.240", 4, 16),
        ("192.0.2.1-192.0.2.9", 4, 9),
        ("2001:db8::/127", 6, 2),
        ("192.0.2.1", 6, 0),
        ("0.0.0.0/0", 4, 1 << 32),
    ],
)
def test_words_become_addresses(words: str, family: int, count: int) -> None:
    found = of_words(words, family)
    assert found is not None
    assert found.count == count


@pytest.mark.parametrize("words", ["example.org", "192.0.2.300", "192.0.2.9-192.0.2.1", "192.0.2.1-2001:db8::1", ""])
def test_what_is_no_address_is_none(words: str) -> None:
    assert of_words(words, 4) is None


WORDS = st.text(st.sampled_from(string.ascii_lowercase + string.digits + ' {}[]":,.;@$-\n\\#!/|&()='), max_size=200)


@settings(max_examples=300, deadline=None)
@given(st.one_of(WORDS, st.text(max_size=100)))
def test_no_text_raises(text: str) -> None:
    nft_text.read(text, lambda _: None)
    nft_text.read(f"table inet filter {{\n chain input {{\n type filter hook input priority 0; policy drop;\n {text}\n }}\n}}\n", lambda _: [text])
    nft_json.read(text)
    iptables_save.read(f"*filter\n:INPUT DROP [0:0]\n-A INPUT {text}", 4, "x")
    iptables_save.read_sets(text)


WORDS_OF_NFT = tuple(
    "rule chain table set family name expr match left right op payload protocol field vmap key data elem val concat prefix addr len range "
    "meta ct fib hook prio policy type jump target dnat port".split()
)
JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-5, 70000),
        st.sampled_from(["ip", "inet", "filter", "input", "saddr", "tcp", "dport", "accept", "@x", "192.0.2.1"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(WORDS_OF_NFT),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=25,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(JSON, max_size=5))
def test_no_listing_raises(objects: list[object]) -> None:
    found = nft_json.read(json.dumps({"nftables": objects}))
    if found is not None:
        Host(found[0], UNSEEN).ways(4, "tcp", 22)


def test_nesting_is_refused_before_it_is_parsed() -> None:
    assert nft_json.read('{"nftables": ' + "[" * 5000 + "]" * 5000 + "}") is None


def test_chains_that_call_each_other_are_not_decided() -> None:
    chains = {("x", "t", name): (Rule((), Verdict.JUMP, other), Rule((), Verdict.JUMP, other)) for name, other in (("a", "b"), ("b", "a"))}
    ruleset = Ruleset(chains, (Base(("x", "t", "a"), "filter", "input", 0, Verdict.DROP, (4, 6)),))

    assert isinstance(Host(ruleset, UNSEEN).ways(4, "tcp", 22), Unobserved)


def test_a_host_that_many_share_keeps_the_ways_of_so_many_ports_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "MAX_KNOWN", 8)
    shared = saved("-A INPUT -p tcp -m tcp --dport 22 -d 192.0.2.7 -j ACCEPT")

    said = [shared.ways(4, "tcp", 22, to) for to in (*range(50), (192 << 24) + (2 << 8) + 7)]

    assert len(shared._known) <= 8
    assert said[0] == shared.ways(4, "tcp", 22, 0)
    assert said[0] != said[-1]


def saved(*rules: str, policy: str = "DROP") -> Host:
    read = iptables_save.read("\n".join(("*filter", f":INPUT {policy} [0:0]", *rules, "COMMIT")), 4, "x")
    assert read is not None
    return Host(read[0], UNSEEN)


def reached(host: Host, port: int = 22) -> tuple[Addresses, Addresses]:
    ways = host.ways(4, "tcp", port)
    assert not isinstance(ways, Unobserved)
    return ways[0].sure, ways[0].maybe


@pytest.mark.parametrize(
    "match",
    [
        "-m geoip --source-country CN",
        "-m mac --mac-source 02:00:00:00:00:01",
        "-m set --match-set admins src",
        "-m u32 --u32 0x0",
        "-m newthing --x y",
        "-m bpf --bytecode 1",
    ],
)
def test_what_is_not_understood_is_never_sure(match: str) -> None:
    assert reached(saved(f"-A INPUT {match} -j ACCEPT"))[0] == NOBODY
    assert reached(saved(f"-A INPUT {match} -j DROP", policy="ACCEPT"))[0] == NOBODY


def test_a_doubtful_rule_before_the_same_sure_verdict_leaves_no_doubt() -> None:
    sure, maybe = reached(saved("-A INPUT -m geoip --source-country CN -j ACCEPT", policy="ACCEPT"))

    assert sure == EVERYONE[4]
    assert maybe == NOBODY


def test_a_mark_that_no_rule_sets_is_on_no_packet() -> None:
    assert reached(saved("-A INPUT -m mark --mark 0x8000/0x8000 -j DROP", policy="ACCEPT")) == (EVERYONE[4], NOBODY)
    assert reached(saved("-A INPUT -j MARK --set-xmark 0x8000/0x8000", "-A INPUT -m mark --mark 0x8000/0x8000 -j DROP", policy="ACCEPT"))[0] == NOBODY


def test_a_mark_that_is_set_only_in_a_chain_that_nobody_calls_is_on_no_packet() -> None:
    """As kube-proxy before Kubernetes 1.28 leaves them: the host's own ports were all undecided."""
    drops = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -m mark --mark 0x8000/0x8000 -j DROP\nCOMMIT\n"
    sets = "-A KUBE-MARK-DROP -j MARK --set-xmark 0x8000/0x8000\n-A PREROUTING -j KUBE-SERVICES\n-A POSTROUTING -j KUBE-MARK-DROP\n"
    idle = f"{drops}*nat\n:PREROUTING ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n:KUBE-MARK-DROP - [0:0]\n:KUBE-SERVICES - [0:0]\n{sets}"

    for called, sure in (("", EVERYONE[4]), ("-A KUBE-SERVICES -p tcp --dport 80 -j KUBE-MARK-DROP\n", NOBODY)):
        read = iptables_save.read(f"{idle}{called}COMMIT\n", 4, "x")
        assert read is not None
        assert reached(Host(read[0], UNSEEN)) == (sure, EVERYONE[4] - sure)


def test_sets_of_ipset_are_read() -> None:
    sets = iptables_save.read_sets("create admins hash:net family inet hashsize 1024 maxelem 65536\nadd admins 192.0.2.0/28\nadd admins 198.51.100.7\n")
    read = iptables_save.read("*filter\n:INPUT DROP [0:0]\n-A INPUT -m set --match-set admins src -p tcp --dport 22 -j ACCEPT", 4, "x", sets)
    assert read is not None

    assert reached(Host(read[0], UNSEEN))[0].prefixes(4) == ("192.0.2.0/28", "198.51.100.7")


RULE = st.tuples(
    st.integers(0, 255),
    st.sampled_from([28, 30, 32]),
    st.sampled_from(["ACCEPT", "DROP", "RETURN"]),
    st.sampled_from(["", "-p tcp --dport 22", "-m conntrack --ctstate NEW"]),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(RULE, max_size=25))
def test_the_walk_of_a_chain_is_the_first_match_of_every_address(rules: list[tuple[int, int, str, str]]) -> None:
    host = saved(*(f"-A INPUT -s 192.0.2.{last & ~((1 << (32 - length)) - 1)}/{length} {more} -j {verdict}" for last, length, verdict, more in rules))
    expected = set()
    for last in range(256):
        verdict = next((verdict for base, length, verdict, _ in rules if last >> (32 - length) == base >> (32 - length)), "DROP")
        expected |= {last} if verdict == "ACCEPT" else set()

    sure, maybe = reached(host)
    assert {number & 255 for number in members(sure)} == expected
    assert maybe == NOBODY


def test_a_target_may_stand_before_its_matches() -> None:
    assert reached(saved("-A INPUT -j ACCEPT -s 192.0.2.0/28 -p tcp"))[0].prefixes(4) == ("192.0.2.0/28",)


def test_an_insert_stands_in_front() -> None:
    assert reached(saved("-A INPUT -j DROP", "-I INPUT -s 192.0.2.1 -j ACCEPT"))[0].prefixes(4) == ("192.0.2.1",)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=120), st.text(max_size=120))
def test_no_bytes_of_a_host_raise(one: str, other: str) -> None:
    sources = dict.fromkeys(
        (sockets.SS, firewall.NFT, "iptables-save", "ip -o addr", "/proc/net/ip_tables_names", "/proc/net/route", "meta", "ipset save"), one
    )
    sources |= {
        "iptables-legacy-save": other,
        "/etc/nftables.conf": other,
        "env TZ=UTC0 systemctl show -p Id,LoadState,ActiveState,SubState,UnitFileState,MainPID,x": other,
    }
    look = scenes.look({"sources": sources})
    for parse in (sockets.parse, firewall.parse, exposure.parse, firewall_saved.parse):
        look.fact(parse)


def test_a_name_of_a_process_cannot_make_a_socket_local() -> None:
    line = 'tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:((" 127.0.0.1:99 ",pid=7,fd=3)) ino:1 cgroup:/x.service'
    found = scenes.look({"sources": {sockets.SS: line, "meta": "uid=0"}}).fact(sockets.parse)
    assert not isinstance(found, Unobserved)

    assert [(one.address, one.port, one.local, one.process) for one in found.listening] == [("0.0.0.0", 22, False, " 127.0.0.1:99 ")]


def _rules(number: int, conditions: str) -> str:
    """A chain of that many rules; of `conditions` {i} is the number of the rule and {a} an address of its own."""
    rules = [
        {"rule": {"family": "inet", "table": "f", "chain": "input", "expr": [*json.loads(text), {("accept", "drop")[i % 2]: None}]}}
        for i in range(number)
        for text in [conditions.replace("{i}", str(i)).replace("{a}", f"{i * 7919 % 200 + 11}.{i % 251}.{i * 31 % 256}.{i % 199}")]
    ]
    base = {"family": "inet", "table": "f", "name": "input", "type": "filter", "hook": "input", "prio": 0, "policy": "drop"}
    return json.dumps({"nftables": [{"metainfo": {}}, {"table": {"family": "inet", "name": "f"}}, {"chain": base}, *rules]})


_NO_LEGACY = dict.fromkeys(firewall.LEGACY_TABLES, "")
_SOURCE = '{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "{a}"}}'


@pytest.mark.parametrize(
    "conditions",
    [
        f"[{_SOURCE}]",
        f'[{_SOURCE}, {{"xt": {{"type": "match", "name": "x{{i}}"}}}}]',
        f'[{{"match": {{"op": "==", "left": {{"payload": {{"protocol": "tcp", "field": "dport"}}}}, "right": {{i}}}}}}, {_SOURCE}]',
    ],
    ids=["sources", "doubts", "ports"],
)
def test_four_times_the_rules_take_four_times_the_steps(conditions: str) -> None:
    spent = []
    for number in (100, 400):
        look = scenes.look({"sources": _NO_LEGACY | {firewall.NFT: _rules(number, conditions)}})
        with _counted_lines() as lines:
            assert isinstance(look.fact(firewall.parse), firewall.Firewall)
        spent.append(next(lines))
    assert spent[1] < 6 * spent[0]


@contextmanager
def _counted_lines() -> Iterator[Iterator[int]]:
    """Gives the next number after as many lines of Python as were run inside: the same on a busy machine as on an idle one."""
    lines = itertools.count()

    def step(frame: FrameType, event: str, argument: object) -> Any:
        next(lines)
        return step

    before = sys.gettrace()
    sys.settrace(step)
    try:
        yield lines
    finally:
        sys.settrace(before)


def test_a_rule_set_that_takes_too_long_is_not_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tutela.facts.netfilter.rules.MAX_STEPS", 300)
    look = scenes.look({"sources": _NO_LEGACY | {firewall.NFT: _rules(400, f"[{_SOURCE}]")}})
    found = look.fact(firewall.parse)
    assert isinstance(found, firewall.Firewall)
    assert isinstance(found.ipv4_default, Unobserved)


def _saved_rules(number: int) -> Look:
    """A host whose rules each name a port of their own, loaded as its nftables.conf says."""
    rules = "\n".join(f"tcp dport {1000 + n} ip saddr 192.0.2.{n % 250} accept \ncounter ip saddr 203.0.113.{n % 250} drop" for n in range(number))
    conf = f"flush ruleset\ntable inet f {{\nchain input {{ type filter hook input priority 0; policy drop;\n{rules}\n}}\n}}\n"
    port = '[{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": {i}}}, ' + _SOURCE + "]"
    units = "Id=nftables.service\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled\n"
    sources = _NO_LEGACY | {"/etc/nftables.conf": conf, firewall.NFT: _rules(number, port), guards.SHOW: units, sockets.SS: "", "meta": "uid=0"}
    return scenes.look({"base": "ssh-host", "sources": scenes.load(scenes.TESTS / "checks" / "_base" / "ssh-host.yaml")["sources"] | sources})


def test_saved_rules_with_more_ports_and_rules_than_can_be_compared_are_not_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tutela.facts.firewall_saved.MAX_STEPS_IN_ALL", 2000)
    found = _saved_rules(40).fact(firewall_saved.parse)

    assert isinstance(found, firewall_saved.FirewallSaved)
    assert isinstance(found.differences, tuple)
    assert [one.why.en for one in found.differences if isinstance(one, Unobserved)] == ["too many ports and too many rules to decide each"]


def _forwarding(*prerouting: dict[str, object]) -> str:
    nat = {"family": "ip", "table": "nat", "name": "pre", "type": "nat", "hook": "prerouting", "prio": -100, "policy": "accept"}
    rules = [
        {
            "rule": {
                "family": "ip",
                "table": "nat",
                "chain": "pre",
                "expr": [one, {"dnat": {"addr": "172.17.0.2"}}] if one else [{"dnat": {"addr": "172.17.0.2"}}],
            }
        }
        for one in prerouting
    ]
    return json.dumps({"nftables": [{"metainfo": {}}, {"table": {"family": "ip", "name": "nat"}}, {"chain": nat}, *rules]})


_PORT_80 = {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 80}}
_FORWARDS = _NO_LEGACY | {sockets.SS: "", "meta": "uid=0", "ip -o addr": "3: eth0 inet 192.0.2.40/24 scope global eth0"}


def _forwarded(rules: str) -> exposure.Exposure:
    found = scenes.look({"sources": _FORWARDS | {firewall.NFT: rules}}).fact(exposure.parse)
    assert isinstance(found, exposure.Exposure)
    return found


def test_a_forwarded_port_is_listed_though_nothing_listens_there() -> None:
    assert [(one.port, one.protocol, one.target, one.external) for one in _forwarded(_forwarding(_PORT_80)).ports] == [(80, "tcp", "172.17.0.2:80", True)]


def test_a_forwarded_port_whose_walk_is_not_decided_is_unknown_and_not_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tutela.facts.netfilter.rules.MAX_STEPS", 0)
    ports = _forwarded(_forwarding(_PORT_80)).ports

    assert (80, "tcp") in [(one.port, one.protocol) for one in ports]
    assert all(isinstance(one.external, Unobserved) and one.via == "dnat" for one in ports)


def test_an_address_that_is_forwarded_whole_is_listed() -> None:
    assert [(one.port, one.protocol, one.target) for one in _forwarded(_forwarding({})).ports] == [(0, "tcp", "172.17.0.2"), (0, "udp", "172.17.0.2")]


def test_a_host_with_too_many_ports_and_rules_is_decided_up_to_a_bound_that_does_not_depend_on_other_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tutela.facts.exposure.MAX_STEPS_IN_ALL", 200)
    port = '[{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": {i}}}, ' + _SOURCE + "]"
    heard = "\n".join(f'tcp LISTEN 0 128 0.0.0.0:{n} 0.0.0.0:* users:(("a",pid=7,fd=3)) ino:1 cgroup:/x.service' for n in range(1, 9))
    scene = {"sources": _FORWARDS | {firewall.NFT: _rules(90, port), sockets.SS: heard}}
    memory = Memory()
    decided = []
    for look in (scenes.look(scene), *(Look(scenes.bundle(scene), scenes.site(scene), scenes.content().reference, memory=memory) for _ in range(2))):
        found = look.fact(exposure.parse)
        assert isinstance(found, exposure.Exposure)
        decided.append([not isinstance(one.external, Unobserved) for one in found.ports])

    assert decided[0] == decided[1] == decided[2] == [True] * 3 + [False] * 5


def test_an_answer_costs_the_same_whether_it_is_known_or_not() -> None:
    found = scenes.look({"sources": _NO_LEGACY | {firewall.NFT: _rules(50, f"[{_SOURCE}]")}}).fact(firewall.parse)
    assert isinstance(found, firewall.Firewall)

    assert found.host.steps(4, "tcp", 80) == found.host.steps(4, "tcp", 80) == found.host.steps(4, "tcp", 81) > 0


@pytest.mark.parametrize("text", ['"' + '\\"' * 50_000, "table inet f {" + " \n" * 50_000, "'" * 50_001])
def test_quotes_and_blanks_without_end_take_no_time(text: str) -> None:
    begun = time.process_time()
    nft_text.read(text, lambda _: None)
    assert time.process_time() - begun < 5  # it was minutes


def test_a_blank_at_the_end_of_a_line_does_not_join_it_to_the_next() -> None:
    rules = nft_text.read(
        "table inet f {\nchain input { type filter hook input priority 0; policy drop; \ntcp dport 22 accept \ntcp dport 80 drop \n}\n}\n", lambda _: None
    )
    assert rules is not None
    assert [rule.verdict for rule in rules.rules()] == [Verdict.ACCEPT, Verdict.DROP]


def test_ports_that_no_rule_mentions_share_one_answer_and_others_do_not() -> None:
    port = '[{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": {"range": [0, 80]}}}]'
    found = scenes.look({"sources": _NO_LEGACY | {firewall.NFT: _rules(1, port)}}).fact(firewall.parse)
    assert isinstance(found, firewall.Firewall)
    for number, open_ in ((81, False), (9000, False), (80, True), (1, True)):
        ways = found.host.ways(4, "tcp", number)
        assert not isinstance(ways, Unobserved)
        assert bool(ways[0].sure) is open_, number


INPUT = {"family": "inet", "table": "a", "name": "i", "handle": 1, "type": "filter", "hook": "input", "prio": 0, "policy": "drop"}
EARLY = {"family": "netdev", "table": "b", "name": "i", "handle": 1, "type": "filter", "hook": "ingress", "prio": 0}


def bases(*objects: dict[str, Any]) -> list[str] | None:
    found = nft_json.read(json.dumps({"nftables": objects}))
    return None if found is None else [base.hook for base in found[0].bases]


@pytest.mark.parametrize(
    ("flags", "hooks"),
    [(None, ["input"]), ("owner", ["input"]), (["owner", "persist"], ["input"]), ("dormant", []), ("a", None), ("Lester Gooch #5", None)],
)
def test_a_table_with_flags_that_nobody_knows_may_be_dormant(flags: Any, hooks: list[str] | None) -> None:
    table = {"family": "inet", "name": "a", "handle": 1} | ({} if flags is None else {"flags": flags})

    assert bases({"table": table}, {"chain": INPUT}) == hooks


@pytest.mark.parametrize(
    ("more", "hooks"),
    [({"dev": "lo", "policy": "drop"}, ["ingress", "input"]), ({"policy": "accept"}, ["input"]), ({"policy": "drop"}, None)],
)
def test_what_is_dropped_early_on_an_interface_that_is_not_named_protects_no_other(more: dict[str, str], hooks: list[str] | None) -> None:
    assert bases({"chain": EARLY | more}, {"chain": INPUT}) == hooks
