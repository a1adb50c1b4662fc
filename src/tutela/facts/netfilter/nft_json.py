"""Rules from `nft -j list ruleset`. Source: libnftables-json(5).

Extensions of iptables-nft stand there as `xt` with a name and no arguments; `iptables_save` reads those tables from their own tool.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import Any

from tutela.facts.netfilter.addresses import NOBODY, of_words, union
from tutela.facts.netfilter.rules import ALWAYS, EITHER, NEVER, Base, Condition, Part, Rule, Ruleset, Verdict, compacted, one, unknown

FAMILIES = {"ip": (4,), "ip6": (6,), "inet": (4, 6), "netdev": (4, 6)}
"""Tables of other families (arp, bridge) see no packet on its way to a service."""
PRIORITIES = {"raw": -300, "mangle": -150, "dstnat": -100, "filter": 0, "security": 50, "srcnat": 100}
MAX_NESTING = 100

TABLE_FLAGS = frozenset(["dormant", "owner", "persist"])
_HARMLESS = frozenset(
    ["counter", "log", "comment", "last", "notflow", "flow", "secmark", "ct helper", "ct timeout", "ct expectation", "map", "tunnel", "delete"]
)
_SERVICES = {"ssh": 22, "http": 80, "https": 443, "domain": 53, "ntp": 123, "smtp": 25, "ftp": 21, "mysql": 3306, "postgresql": 5432, "redis": 6379}


class NotUnderstoodError(Exception):
    """The JSON does not have the shape that libnftables-json(5) describes; caught in `read`."""


def read(text: str) -> tuple[Ruleset, frozenset[tuple[str, str]]] | None:
    """The rules, and the (family, name) of tables that hold `xt` expressions; None when it is not nft's JSON."""
    if _too_deep(text):
        return None
    try:
        objects = json.loads(text)["nftables"]
        return _Reader(objects).ruleset()
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, NotUnderstoodError, RecursionError):
        return None


def read_objects(objects: list[dict[str, Any]]) -> Ruleset | None:
    """The same from the objects of a listing that is already parsed."""
    try:
        return _Reader(objects).ruleset()[0]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, NotUnderstoodError, RecursionError):
        return None


def _too_deep(text: str) -> bool:
    """Nesting is counted before json recurses; brackets inside strings only make this stricter."""
    depth = deepest = 0
    for char in text:
        if char in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in "]}":
            depth -= 1
    return deepest > MAX_NESTING


class _Reader:
    """Reads one listing."""

    def __init__(self, objects: Sequence[Mapping[str, Any]]) -> None:
        self.objects = objects
        self.sets: dict[tuple[str, str, str], Mapping[str, Any]] = {}
        self.extensions: set[tuple[str, str]] = set()
        self.dormant: set[tuple[str, str]] = set()
        self.marks = False

    def ruleset(self) -> tuple[Ruleset, frozenset[tuple[str, str]]]:
        chains: dict[tuple[str, str, str], list[Rule]] = {}
        bases: list[Base] = []
        for item in self.objects:
            for kind, value in item.items():
                if kind in ("set", "map"):
                    self.sets[value["family"], value["table"], value["name"]] = value
                elif kind == "table" and value.get("flags"):
                    flags = set(_list(value["flags"]))
                    if flags - TABLE_FLAGS:
                        raise NotUnderstoodError  # nft 1.0.6 prints any bytes there; the table may be dormant and filter nothing
                    if "dormant" in flags:
                        self.dormant.add((value["family"], value["name"]))
        words = json.dumps([item for item in self.objects if "rule" in item])
        self.marks = '"mangle"' in words or 'MARK"' in words  # else every mark is 0
        for item in self.objects:
            for kind, value in item.items():
                family = value.get("family")
                if kind not in ("chain", "rule") or family not in FAMILIES:
                    continue
                key = (family, value["table"], value["name"] if kind == "chain" else value["chain"])
                if not all(isinstance(word, str) for word in key):
                    raise NotUnderstoodError
                rules = chains.setdefault(key, [])
                if kind == "rule":
                    rules += self._rules(family, value["table"], _list(value.get("expr")))
                elif "hook" in value and (family, value["table"]) not in self.dormant:
                    bases += self._bases(key, family, value)
        ruleset = Ruleset({key: compacted(rules) for key, rules in chains.items()}, tuple(bases), ("nftables",) if bases else ())
        return ruleset, frozenset(self.extensions)

    def _bases(self, key: tuple[str, str, str], family: str, chain: Mapping[str, Any]) -> Iterator[Base]:
        priority = chain.get("prio", 0)
        if isinstance(priority, str):
            priority = PRIORITIES[priority]
        devices = _list(chain.get("dev")) or [None]
        if chain["hook"] == "ingress" and devices == [None]:
            # nft 1.0.6 does not say whose packets it is about. What it lets pass is asked again later; what it drops may be another interface's.
            if chain.get("policy") == "drop":
                raise NotUnderstoodError
            return
        for device in devices:
            yield Base(
                key=key,
                kind=str(chain["type"]),
                hook=str(chain["hook"]),
                priority=int(priority),
                policy=Verdict.DROP if chain.get("policy") == "drop" else Verdict.ACCEPT,
                families=FAMILIES[family],
                device=device,
            )

    # --- rules

    def _rules(self, family: str, table: str, expressions: list[Mapping[str, Any]]) -> list[Rule]:
        """One rule; a verdict map becomes one rule for each of its entries."""
        conditions: list[Condition] = [ALWAYS] if len(FAMILIES[family]) == 2 else [one("nfproto", FAMILIES[family])]
        for expression in expressions:
            ((kind, value),) = expression.items()
            if kind == "match":
                conditions += self._match(family, table, value)
            elif kind in ("limit", "quota", "ct count", "connlimit"):
                conditions.append(EITHER)
            elif kind == "set":
                conditions += self._noted(value.get("elem"))
                conditions += [EITHER] if any(set(one) & {"limit", "ct count", "quota"} for one in _list(value.get("stmt"))) else []
            elif kind == "mangle":
                if _redirects(value):
                    return [Rule(tuple(conditions), Verdict.UNKNOWN, _quote(expression))]
            elif kind == "xt":
                self.extensions.add((family, table))
                name = value.get("name") if isinstance(value, dict) else None
                known = _EXTENSIONS.get(str(name))
                if known is None:
                    conditions.append(unknown(f"xt {name or '?'}"))
                elif isinstance(known, Verdict):
                    return [Rule(tuple(conditions), known)]
            elif kind == "vmap":
                return self._vmap(family, table, tuple(conditions), value)
            elif kind in _HARMLESS:
                continue
            elif kind in ("dnat", "redirect") and (mapped := _mapped(value)) is not None:
                return self._sent_by_map(family, table, tuple(conditions), kind, value, mapped)
            else:
                return [self._verdict(tuple(conditions), kind, value)]
        return []

    def _noted(self, element: Any) -> list[Condition]:
        """What a packet must be for a set to note that of it: without an IPv4 address none of it is noted, and the rule ends."""
        if isinstance(element, dict) and "elem" in element:
            element = element["elem"]["val"]
        fields = element["concat"] if isinstance(element, dict) and "concat" in element else [element]
        return [condition for field in fields for condition in self._field(field)[1]]

    def _verdict(self, conditions: tuple[Condition, ...], kind: str, value: Any) -> Rule:
        if kind in ("accept", "drop", "return", "continue"):
            return Rule(conditions, Verdict(kind))
        if kind == "reject":
            return Rule(conditions, Verdict.DROP)
        if kind in ("jump", "goto"):
            return Rule(conditions, Verdict(kind), str(value["target"]))
        if kind == "notrack":
            return Rule(conditions, Verdict.NOTRACK)
        if kind in ("snat", "masquerade"):
            return Rule(conditions, Verdict.ACCEPT)
        if kind in ("dnat", "redirect"):
            value = value if isinstance(value, dict) else {}
            where = value.get("addr")
            port = value.get("port")
            try:
                to = int(ip_address(where)) if isinstance(where, str) else None
            except ValueError:
                to = None
            if (kind == "dnat" and to is None and where is not None) or not (port is None or isinstance(port, int)):
                return Rule(conditions, Verdict.UNKNOWN, _quote({kind: value}))
            return Rule(conditions, Verdict.DNAT, to=to, to_port=port)
        return Rule(conditions, Verdict.UNKNOWN, _quote({kind: value}))

    def _vmap(self, family: str, table: str, conditions: tuple[Condition, ...], value: Mapping[str, Any]) -> list[Rule]:
        rules = []
        for match, verdict in self._entries(family, table, value):
            ((kind, words),) = verdict.items()
            rules.append(self._verdict((*conditions, *match), kind, words))
        return rules

    def _sent_by_map(self, family: str, table: str, conditions: tuple[Condition, ...], kind: str, value: Mapping[str, Any], side: str) -> list[Rule]:
        """`dnat to tcp dport map { 80 : 192.0.2.2 }`: one rule for each entry; whatever matches none goes on."""
        rules = []
        for match, target in self._entries(family, table, value[side]["map"]):
            parts = target["concat"] if isinstance(target, dict) and "concat" in target else [target]
            sent = {"addr": parts[0], "port": parts[1]} if len(parts) == 2 else {side: target}
            rules.append(self._verdict((*conditions, *match), kind, {**value, **sent}))
        return rules

    def _entries(self, family: str, table: str, value: Mapping[str, Any]) -> Iterator[tuple[list[Condition], Any]]:
        """What a packet must be for each entry of a map, and what stands there for it."""
        data = value["data"]
        if isinstance(data, str):
            data = {"set": self._named(family, table, data).get("elem", [])}
        keys = [key for key, _ in data["set"] if self._element(key) != "*"]
        for key, found in data["set"]:
            op, right = ("!=", keys) if self._element(key) == "*" else ("==", [key])  # the star is for whatever no other key matches
            yield self._match(family, table, {"op": op, "left": value["key"], "right": {"set": right}}), found

    def _named(self, family: str, table: str, name: str) -> Mapping[str, Any]:
        found = self.sets.get((family, table, name.removeprefix("@")))
        if found is None:
            raise NotUnderstoodError
        return found

    # --- matches

    def _match(self, family: str, table: str, match: Mapping[str, Any]) -> list[Condition]:
        """The conditions of one match; the protocol that a payload field needs is one of its own, never negated."""
        left, right, op = match["left"], match["right"], match.get("op", "==")
        if op not in ("==", "!=", "in", "<", ">", "<=", ">="):
            return [unknown(_quote(match))]
        needed: list[Condition] = []
        fields: list[str] = []
        for each in left["concat"] if isinstance(left, dict) and "concat" in left else [left]:
            name, needs = self._field(each)
            needed += needs
            fields.append(name)
        if "never" in fields:
            return [*needed, NEVER]
        if "either" in fields:
            return [*needed, EITHER]
        if "unknown" in fields:
            return [*needed, unknown(_quote(match))]
        if "syn" in fields:
            return [*needed, _tcp_flags(match)]
        if op in ("<", ">", "<=", ">="):
            if fields[0] not in ("dport", "sport", "original_dport") or not isinstance(right, int):
                return [*needed, unknown(_quote(match))]
            spans = {"<": ((0, right - 1),), "<=": ((0, right),), ">": ((right + 1, 65535),), ">=": ((right, 65535),)}[op]
            return [*needed, one(fields[0], spans)]
        alternatives = self._alternatives(family, table, fields, right)
        if alternatives is None:
            return [*needed, unknown(_quote(match))]
        return [*needed, Condition(tuple(alternatives), op == "!=")]

    def _field(self, left: Any) -> tuple[str, list[Condition]]:
        """Which field of the packet an expression reads, and what the packet must be for it."""
        if not isinstance(left, dict) or len(left) != 1:
            return "unknown", []
        ((kind, value),) = left.items()
        if kind == "payload" and isinstance(value, dict) and "protocol" in value:
            return _payload(str(value["protocol"]), str(value.get("field")))
        if kind == "meta":
            key = str(value["key"])
            if key == "mark" and not self.marks:
                return "mark", []
            return _META.get(key, "unknown"), []
        if kind == "ct":
            return self._ct(value), []
        if kind == "fib":
            flags = set(_list(value.get("flags")))
            if value.get("result") == "type":
                return ("daddr_type" if "daddr" in flags else "saddr_type"), []
            # Reverse path: an answer to this packet goes back the way it came, or the sender gets none.
            return ("route" if "saddr" in flags else "unknown"), []
        if kind == "&":
            inner, needs = self._field(value[0])
            return (inner if inner in ("syn", "mark", "either") else "unknown"), needs
        if kind in ("numgen", "jhash", "symhash", "exthdr", "tcp option", "sctp chunk"):
            return "either", []
        return "unknown", []

    def _ct(self, value: Mapping[str, Any]) -> str:
        key, original = str(value.get("key")), value.get("dir", "original") == "original"
        if key == "mark" and not self.marks:
            return "mark"
        known = {"state": "state", "status": "status", "direction": "direction", "l3proto": "nfproto"}
        if key in known:
            return known[key]
        if original and value.get("dir") is not None:
            directed = {"proto-dst": "original_dport", "daddr": "original_daddr", "ip daddr": "original_daddr", "ip6 daddr": "original_daddr", "saddr": "saddr"}
            directed |= {"ip saddr": "saddr", "ip6 saddr": "saddr", "protocol": "protocol", "proto-src": "either"}
            return directed.get(key, "unknown")
        return {"packets": "either", "bytes": "either", "avgpkt": "either"}.get(key, "unknown")

    def _alternatives(self, family: str, table: str, fields: list[str], right: Any) -> list[tuple[Part, ...]] | None:
        """The right side of a match as alternatives; None when a value is not understood."""
        elements = self._elements(family, table, right)
        made = []
        if "*" in elements and fields[0] not in ("iif", "oif"):
            return [()]  # a set's star: whatever else it may be
        for element in elements:
            values = element["concat"] if isinstance(element, dict) and "concat" in element else [element]
            if len(values) != len(fields):
                return None
            parts = []
            for name, value in zip(fields, values, strict=True):
                part = _part(name, value)
                if part is None:
                    return None
                parts.append(part)
            made.append(tuple(parts))
        return _joined(made)

    def _elements(self, family: str, table: str, right: Any) -> list[Any]:
        if isinstance(right, str) and right.startswith("@"):
            right = {"set": self._named(family, table, right).get("elem", [])}
        if isinstance(right, dict) and "set" in right:
            inner = right["set"]
            if isinstance(inner, str):
                return self._elements(family, table, inner)
            return [self._element(item) for item in _list(inner)]
        if isinstance(right, dict) and "elem" in right:
            return [self._element(right)]
        return right if isinstance(right, list) else [right]

    def _element(self, item: Any) -> Any:
        """An element without its timeout, counter, comment."""
        return item["elem"]["val"] if isinstance(item, dict) and "elem" in item else item


def _mapped(value: Any) -> str | None:
    """Which part of where a packet is sent a map says."""
    sides = (side for side in ("addr", "port") if isinstance(value, dict) and isinstance(value.get(side), dict))
    return next((side for side in sides if "map" in value[side]), None)


def _redirects(mangle: Mapping[str, Any]) -> bool:
    """Changing a mark or a field leaves the packet on its way; changing an address or a port does not."""
    key = mangle.get("key")
    payload = key.get("payload") if isinstance(key, dict) else None
    return isinstance(payload, dict) and payload.get("field") in ("daddr", "dport", "saddr", "protocol", "nexthdr")


def _joined(alternatives: list[tuple[Part, ...]]) -> list[tuple[Part, ...]]:
    """Single addresses of a long set joined into one value: a ban list of thousands is one look, not thousands."""
    if len(alternatives) < 2 or any(len(parts) != 1 or parts[0].field not in ("saddr", "daddr") for parts in alternatives):
        return alternatives
    name = alternatives[0][0].field
    spans: dict[int, list[tuple[int, int]]] = {4: [], 6: []}
    for (part,) in alternatives:
        for family, found in part.values.items():
            spans[family] += found.spans
    return [(Part(name, {family: union(found) for family, found in spans.items()}),)]


def _payload(protocol: str, name: str) -> tuple[str, list[Condition]]:
    if protocol in ("ip", "ip6"):
        version = [one("nfproto", (4 if protocol == "ip" else 6,))]
        known = {"saddr": "saddr", "daddr": "daddr", "protocol": "protocol", "nexthdr": "protocol"}
        return known.get(name, "either"), version
    if protocol in ("tcp", "udp", "th"):
        needs = [] if protocol == "th" else [one("protocol", (protocol,))]
        if name == "flags":
            return "syn", needs
        return {"dport": "dport", "sport": "sport"}.get(name, "either"), needs
    if protocol in ("icmp", "icmpv6", "sctp", "dccp", "udplite", "esp", "ah", "comp", "arp", "igmp"):
        return "never", []
    if protocol == "ether" and name == "type":
        return "nfproto", []
    return "unknown", []


_META = {
    "iif": "iif",
    "iifname": "iif",
    "oif": "oif",
    "oifname": "oif",
    "l4proto": "protocol",
    "nfproto": "nfproto",
    "protocol": "nfproto",
    "pkttype": "pkttype",
    "length": "either",
    "random": "either",
    "cpu": "either",
    "time": "either",
    "hour": "either",
    "day": "either",
    "secpath": "secpath",
    "ipsec": "secpath",
}

_EXTENSIONS: dict[str, Verdict | bool | None] = {
    "comment": True,
    "tcp": None,
    "LOG": True,
    "NFLOG": True,
    "MARK": True,
    "CONNMARK": True,
    "SET": True,
    "TCPMSS": True,
    "CHECKSUM": True,
    "REJECT": Verdict.DROP,
}
"""What an extension does whatever its arguments are; the others need them."""

_WORDS = {"tcp": "tcp", "udp": "udp", "6": "tcp", "17": "udp"}
_FAMILY_WORDS = {"ipv4": 4, "ip": 4, "ipv6": 6, "ip6": 6, "2": 4, "10": 6}


def _part(name: str, value: Any) -> Part | None:
    """A field and one value of it."""
    if name in ("saddr", "daddr", "original_daddr"):
        return _address_part(name, value)
    if name in ("dport", "sport", "original_dport"):
        span = _port_span(value)
        return None if span is None else Part(name, (span,))
    if isinstance(value, dict):
        return None
    word = str(value)
    if name in ("iif", "oif"):
        # In nft only a `*` at the end stands for more; anything that fnmatch reads as a pattern is made plain.
        return Part(name, (_plain(word),))
    if name == "protocol":
        return Part(name, (_WORDS.get(word, word),))
    if name == "nfproto":
        return Part(name, (_FAMILY_WORDS.get(word, 0),))
    if name in ("state", "status", "daddr_type", "saddr_type"):
        return Part(name, (word,))
    # Fields of which the first packet has one known value become a protocol test that always or never holds.
    word = word.lower()
    truth = {
        "mark": word == "0",
        "direction": word in ("original", "0"),
        "pkttype": word in ("host", "unicast", "0"),
        "route": word in ("true", "exists", "1"),
        "secpath": word in ("false", "missing", "0"),
    }
    if name not in truth:
        return None
    return Part("nfproto", (4, 6) if truth[name] else ())


def _plain(word: str) -> str:
    star = word.endswith("*")
    word = word.removesuffix("*")
    return "".join(f"[{char}]" if char in "*?[" else char for char in word) + ("*" if star else "")


def _address_part(name: str, value: Any) -> Part | None:
    if isinstance(value, dict) and "prefix" in value:
        words = f"{value['prefix']['addr']}/{value['prefix']['len']}"
    elif isinstance(value, dict) and "range" in value:
        words = "-".join(map(str, value["range"]))
    elif isinstance(value, str):
        words = value
    else:
        return None
    found = {family: of_words(words, family) for family in (4, 6)}
    if found[4] is None or found[6] is None:
        return None
    return Part(name, {family: addresses if addresses is not None else NOBODY for family, addresses in found.items()})


def _port_span(value: Any) -> tuple[int, int] | None:
    if isinstance(value, dict) and "range" in value:
        low, high = (_port(one) for one in value["range"])
        return None if low is None or high is None else (low, high)
    port = _port(value)
    return None if port is None else (port, port)


def _port(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return _SERVICES.get(value) if isinstance(value, str) else None


def _tcp_flags(match: Mapping[str, Any]) -> Condition:
    """A new connection begins with SYN alone."""
    left, right, op = match["left"], match["right"], match.get("op", "==")
    mask = left["&"][1] if isinstance(left, dict) and "&" in left else None
    have = {"syn"} & set(_flags(mask)) if mask is not None else {"syn"}
    values = _list(right["set"]) if isinstance(right, dict) and "set" in right and op != "in" else [right]
    holds = any(bool(have & set(_flags(value))) if op == "in" and mask is None else have == set(_flags(value)) for value in values)
    return ALWAYS if holds is (op != "!=") else NEVER


def _flags(value: Any) -> list[str]:
    if isinstance(value, dict) and "|" in value:
        return [name for part in value["|"] for name in _flags(part)]
    if isinstance(value, dict) and "set" in value:
        return [name for part in _list(value["set"]) for name in _flags(part)]
    if isinstance(value, list):
        return [name for part in value for name in _flags(part)]
    if isinstance(value, int):
        return [name for bit, name in enumerate(("fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr")) if value >> bit & 1]
    if isinstance(value, str):
        return [value]
    raise NotUnderstoodError


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _quote(expression: Any) -> str:
    return json.dumps(expression, separators=(", ", ": "))[:160]
