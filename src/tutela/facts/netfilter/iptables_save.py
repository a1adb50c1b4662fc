"""Rules from iptables-save and ip6tables-save, of the legacy and of the nf_tables kind, and from files in that format.

Source: iptables-save(8), iptables-extensions(8); ipset(8) for `-m set`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address
from itertools import pairwise

from tutela.facts.netfilter.addresses import BITS, NOBODY, Addresses, of_words, union
from tutela.facts.netfilter.rules import ALWAYS, EITHER, NEVER, Base, Condition, Part, Rule, Ruleset, Verdict, compacted, one, unknown
from tutela.record import record

HOOKS = {"PREROUTING": "prerouting", "INPUT": "input", "FORWARD": "forward"}
PRIORITIES = {"raw": -300, "mangle": -150, "nat": -100, "filter": 0, "security": 50}
_BASE = frozenset(["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"])

_GOES_ON = frozenset(
    [
        "LOG",
        "NFLOG",
        "ULOG",
        "MARK",
        "CONNMARK",
        "SET",
        "TCPMSS",
        "TRACE",
        "AUDIT",
        "CHECKSUM",
        "CLASSIFY",
        "DSCP",
        "TOS",
        "TTL",
        "HL",
        "SECMARK",
        "CONNSECMARK",
    ]
)
_MARKS = re.compile(r"--(?:set-x?mark|or-mark|xor-mark) (0x[0-9a-f]{1,8}|[0-9]{1,10})")
_WORDS = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')


@record
class IpSet:
    """One set of ipset: its type, and its entries as they stand there."""

    kind: str
    entries: tuple[str, ...]


def read(text: str, family: int, origin: str, sets: Mapping[str, IpSet] | None = None) -> tuple[Ruleset, frozenset[str]] | None:
    """The rules, and the names of the tables; None when a line is not understood as iptables-save's."""
    chains: dict[tuple[str, str, str], list[Rule]] = {}
    bases: list[Base] = []
    tables: set[str] = set()
    table = ""
    reader = _Reader(family, sets, _marks(text))
    for raw in text.split("\n"):
        line = raw.strip()
        if not line or line.startswith("#") or line == "COMMIT":
            continue
        if line.startswith("*"):
            table = line[1:].strip()
            tables.add(table)
        elif line.startswith(":") and table:
            name, _, rest = line[1:].partition(" ")
            chains.setdefault((origin, table, name), [])
            if name in HOOKS:
                bases.append(_base(origin, table, name, rest.split(" ", 1)[0], family))
        elif line.startswith(("-A ", "-I ", "[")) and table:
            words = _split(re.sub(r"^\[[0-9:]+\] ", "", line))
            if words is None or len(words) < 2 or words[0] not in ("-A", "-I"):
                return None
            rules = chains.setdefault((origin, table, words[1]), [])
            numbered = words[0] == "-I" and len(words) > 2 and re.fullmatch(r"[0-9]{1,5}", words[2]) is not None
            made = reader.rules(words[3:] if numbered else words[2:])
            at = len(rules) if words[0] == "-A" else max(0, int(words[2]) - 1) if numbered else 0
            rules[at:at] = made
        else:
            return None  # -D, -N and the like: a script, no saved table
    return Ruleset({key: compacted(rules) for key, rules in chains.items()}, tuple(bases), (origin,) if chains else ()), frozenset(tables)


_JUMP = re.compile(r"(?<= )(?:-j|-g|--jump|--goto) (\S+)")


def _marks(text: str) -> frozenset[int]:
    """Marks that a packet on its way in may get: kube-proxy keeps a chain for one that most nodes never call."""
    table = ""
    jumps: dict[tuple[str, str], set[tuple[str, str]]] = {}
    set_in: dict[tuple[str, str], set[int]] = {}
    for line in text.split("\n"):
        if line.startswith("*"):
            table = line[1:].strip()
        found = _RULE.match(line)
        if found is None:
            continue
        chain = (table, found[1])
        jumps.setdefault(chain, set()).update((table, target) for target in _JUMP.findall(line))
        set_in.setdefault(chain, set()).update(_number(mark) for mark in _MARKS.findall(line))
    open_ends = [chain for chain in jumps if HOOKS.get(chain[1]) in ("prerouting", "input", "forward")]
    called = set(open_ends)
    while open_ends:
        new = jumps.get(open_ends.pop(), set()) - called
        called |= new
        open_ends += new
    return frozenset(mark for chain in called for mark in set_in.get(chain, ()))


_RULE = re.compile(r"\s*(?:\[[0-9:]+\] )?-[AI] (\S+) ")


def read_sets(text: str) -> dict[str, IpSet]:
    """`ipset save`: create NAME TYPE …, add NAME ENTRY …"""
    kinds: dict[str, str] = {}
    entries: dict[str, list[str]] = {}
    for line in text.split("\n"):
        words = line.split()
        if len(words) >= 3 and words[0] == "create":
            kinds[words[1]] = words[2]
            entries[words[1]] = []
        elif len(words) >= 3 and words[0] == "add" and words[1] in entries:
            entries[words[1]].append(words[2] + (" nomatch" if "nomatch" in words[3:] else ""))
    return {name: IpSet(kind, tuple(entries[name])) for name, kind in kinds.items()}


def _base(origin: str, table: str, name: str, policy: str, family: int) -> Base:
    priority = PRIORITIES.get(table, 0)
    if table == "nat" and name == "INPUT":
        priority = 100
    return Base(
        key=(origin, table, name),
        kind="nat" if table == "nat" else "filter",
        hook=HOOKS[name],
        priority=priority,
        policy=Verdict.DROP if policy == "DROP" else Verdict.ACCEPT,
        families=(family,),
    )


def _split(line: str) -> list[str] | None:
    words = []
    at = 0
    for match in _WORDS.finditer(line):
        if line[at : match.start()].strip():
            return None
        words.append(match[2] if match[2] is not None else re.sub(r"\\(.)", r"\1", match[1]))
        at = match.end()
    return words


class _Reader:
    """Reads the words of one rule."""

    def __init__(self, family: int, sets: Mapping[str, IpSet] | None, marks: frozenset[int]) -> None:
        self.family = family
        self.sets = sets
        self.marks = marks

    def rules(self, words: list[str]) -> list[Rule]:
        """The rule; several for DNAT to a range."""
        conditions: list[Condition] = []
        at = 0
        module = ""
        negated = False
        protocol = ""
        target: tuple[bool, list[str]] | None = None
        while at < len(words):
            word = words[at]
            if word == "!":
                negated = True
                at += 1
                continue
            if word in ("-m", "--match"):
                module = words[at + 1] if at + 1 < len(words) else ""
                conditions += self._module(module)
                at += 2
                continue
            if word in ("-j", "-g", "--jump", "--goto"):
                # iptables-save writes the target last; people (and ufw) also write matches behind it.
                end = next((i for i in range(at + 2, len(words)) if words[i] in ("-m", "-p", "-s", "-d", "-i", "-o", "!")), len(words))
                target = (word in ("-g", "--goto"), words[at + 1 : end])
                at = end
                continue
            if word in ("-c", "--set-counters"):
                at += 3
                continue
            values = []
            at += 1
            while at < len(words) and not (words[at].startswith("-") and not re.fullmatch(r"-[0-9].*", words[at])) and words[at] != "!":
                values.append(words[at])
                at += 1
            if word in ("-p", "--protocol") and values and not negated:
                protocol = values[0]
            conditions.append(self._option(module, word, values, negated, protocol))
            negated = False
        return [self._target(tuple(conditions), *target) if target is not None else Rule(tuple(conditions))]

    def _module(self, module: str) -> list[Condition]:
        if module in _EITHER:
            return [EITHER]
        if module in (
            "socket",
            "physdev",
            "mac",
            "string",
            "u32",
            "bpf",
            "geoip",
            "cpu",
            "owner",
            "cgroup",
            "dscp",
            "realm",
            "ipvs",
            "osf",
            "nfacct",
            "cluster",
        ):
            return [_UNKNOWN_MODULE.get(module, unknown(f"-m {module}"))]
        if module in ("icmp", "icmp6", "ipv6-icmp", "sctp", "dccp", "esp", "ah", "igmp"):
            return [NEVER]
        return []

    def _option(self, module: str, word: str, values: list[str], negated: bool, protocol: str) -> Condition:
        value = values[0] if values else ""
        quoted = " ".join(["!"] * negated + [word, *values])
        if word in ("-s", "--source", "-d", "--destination"):
            return self._addresses("saddr" if word in ("-s", "--source") else "daddr", value.split(","), negated, quoted)
        if word in ("-p", "--protocol"):
            name = {"6": "tcp", "17": "udp", "all": "", "0": ""}.get(value, value)
            return (NEVER if negated else ALWAYS) if name == "" else one("protocol", (name,), negated=negated)
        if word in ("-i", "--in-interface", "-o", "--out-interface"):
            plain = "".join(f"[{char}]" if char in "*?[" else char for char in value.removesuffix("+")) + ("*" if value.endswith("+") else "")
            return one("iif" if word in ("-i", "--in-interface") else "oif", (plain,), negated=negated)
        if word in ("-f", "--fragment"):
            return ALWAYS if negated else NEVER
        if word in ("--dport", "--destination-port", "--dports", "--destination-ports", "--ports"):
            spans = _spans(value)
            if spans is None:
                return unknown(quoted)
            either = ((Part("dport", spans),), (Part("sport", spans),))
            return Condition(either, negated) if word == "--ports" else one("dport", spans, negated=negated)
        if word in ("--sport", "--source-port", "--sports", "--source-ports"):
            return EITHER
        if word in ("--ctstate", "--state"):
            states = tuple(value.lower().split(","))
            # DNAT among them is no state: a redirected packet has it beside being new.
            alternatives = ((Part("state", states),), (Part("status", ("dnat",)),)) if "dnat" in states else ((Part("state", states),),)
            return Condition(alternatives, negated)
        if word == "--ctstatus":
            return one("status", tuple(value.lower().split(",")), negated=negated)
        if word == "--ctdir":
            return ALWAYS if (value.upper() == "ORIGINAL") is not negated else NEVER
        if word == "--ctorigdstport":
            spans = _spans(value)
            return unknown(quoted) if spans is None else one("original_dport", spans, negated=negated)
        if word == "--ctorigdst":
            return self._addresses("original_daddr", [value], negated, quoted)
        if word == "--ctproto":
            return one("protocol", ({"6": "tcp", "17": "udp"}.get(value, value),), negated=negated)
        if word in ("--src-range", "--dst-range"):
            return self._addresses("saddr" if word == "--src-range" else "daddr", [value], negated, quoted)
        if word in ("--dst-type", "--src-type"):
            return one("daddr_type" if word == "--dst-type" else "saddr_type", tuple(value.lower().split(",")), negated=negated)
        if word == "--syn":
            return NEVER if negated else ALWAYS
        if word == "--tcp-flags" and len(values) == 2:
            have = {"SYN"} & _flags(values[0])
            return ALWAYS if (have == _flags(values[1])) is not negated else NEVER
        if word == "--pkt-type":
            return ALWAYS if (value == "unicast") is not negated else NEVER
        if word == "--match-set":
            return self._match_set(values, negated, quoted)
        if module == "recent" and word in ("--rcheck", "--update", "--remove"):
            # A list of addresses seen before: nobody is on it with the first packet.
            return ALWAYS if negated else NEVER
        if module == "recent" and word == "--set":
            return NEVER if negated else ALWAYS
        if module in ("mark", "connmark") and word == "--mark":
            return self._mark(value, negated, quoted)
        if module == "policy" and word == "--pol":
            return ALWAYS if (value == "none") is not negated else NEVER
        if module == "rpfilter":
            return NEVER if word == "--invert" else ALWAYS
        if module in _KNOWN_MODULES or module in _EITHER:
            return ALWAYS if module in _EITHER or word in _HARMLESS_OPTIONS or module == "comment" else unknown(quoted)
        if module in _UNKNOWN_MODULE or module in ("physdev", "mac", "u32", "bpf", "geoip", "owner", "cgroup"):
            return unknown(f"-m {module} {quoted}")
        if protocol not in ("tcp", "udp", "", "all") and module == protocol:
            return NEVER
        return unknown(quoted)

    def _mark(self, value: str, negated: bool, quoted: str) -> Condition:
        """A mark is 0 until a rule sets it; a mark that no rule sets is on no packet."""
        wanted, _, mask = value.partition("/")
        number, bits = _number(wanted), _number(mask or "0xffffffff")
        if number < 0 or bits < 0 or (any(mark & bits == number for mark in self.marks) if number else bool(self.marks)):
            return unknown(quoted)
        return ALWAYS if (number == 0) is not negated else NEVER

    def _addresses(self, name: str, words: list[str], negated: bool, quoted: str) -> Condition:
        spans: list[tuple[int, int]] = []
        for word in words:
            found = self._network(word)
            if found is None:
                return unknown(quoted)
            spans += found.spans
        other = 10 - self.family
        return one(name, {self.family: union(spans), other: NOBODY}, negated=negated)

    def _network(self, word: str) -> Addresses | None:
        address, slash, mask = word.partition("/")
        if slash and self.family == 4 and re.fullmatch(r"[0-9.]+", mask) and "." in mask:
            return of_words(word, 4)
        if slash and ":" in mask:
            return self._masked(address, mask)
        return of_words(word, self.family)

    def _masked(self, address: str, mask: str) -> Addresses | None:
        """ip6tables writes some prefixes with a written-out mask."""
        try:
            bits = int(ip_address(mask))
        except ValueError:
            return None
        length = bits.bit_count()
        whole = (1 << BITS[self.family]) - 1
        if bits != whole ^ (whole >> length):
            return None
        return of_words(f"{address}/{length}", self.family)

    def _match_set(self, values: list[str], negated: bool, quoted: str) -> Condition:
        known = self.sets.get(values[0]) if self.sets is not None and len(values) == 2 else None
        if known is None or not known.kind.startswith(("hash:", "bitmap:")):
            return unknown(quoted)
        kinds = known.kind.partition(":")[2].split(",")
        sides = values[1].split(",")
        if len(kinds) > len(sides) or any(kind not in ("ip", "net", "port", "iface") for kind in kinds) or any("nomatch" in entry for entry in known.entries):
            return unknown(quoted)
        alternatives: list[tuple[Part, ...]] = []
        spans: list[tuple[int, int]] = []
        for entry in known.entries:
            fields = entry.split(",")
            if len(fields) != len(kinds):
                return unknown(quoted)
            parts = []
            for kind, side, text in zip(kinds, sides, fields, strict=False):
                part = self._set_part(kind, side, text)
                if part is None:
                    return unknown(quoted)
                parts.append(part)
            if len(parts) == 1 and parts[0].field == "saddr":
                spans += parts[0].values[self.family].spans
            else:
                alternatives.append(tuple(parts))
        if spans:
            alternatives.append((Part("saddr", {self.family: union(spans), 10 - self.family: NOBODY}),))
        return Condition(tuple(alternatives), negated)

    def _set_part(self, kind: str, side: str, text: str) -> Part | None:
        if kind in ("ip", "net"):
            found = self._network(text)
            if found is None:
                return None
            return Part("saddr" if side == "src" else "daddr", {self.family: found, 10 - self.family: NOBODY})
        if kind == "iface":
            return Part("iif" if side == "src" else "oif", (text,))
        protocol, colon, port = text.rpartition(":")
        spans = _spans(port.replace("-", ":"))
        if spans is None or (colon and protocol not in ("tcp", "udp")) or side != "dst":
            return None
        # The protocol of an entry is part of it; a packet of another one does not match.
        return Part("dport", spans) if not colon else Part(f"dport_{protocol}", spans)

    def _target(self, conditions: tuple[Condition, ...], goto: bool, words: list[str]) -> Rule:
        name = words[0] if words else ""
        options = dict(pairwise(words[1:]))
        if name == "ACCEPT":
            return Rule(conditions, Verdict.ACCEPT)
        if name in ("DROP", "REJECT"):
            return Rule(conditions, Verdict.DROP)
        if name == "RETURN":
            return Rule(conditions, Verdict.RETURN)
        if name in _GOES_ON:
            return Rule(conditions)
        if name == "NOTRACK" or (name == "CT" and "--notrack" in words):
            return Rule(conditions, Verdict.NOTRACK)
        if name == "CT":
            return Rule(conditions)
        if name in ("SNAT", "MASQUERADE"):
            return Rule(conditions, Verdict.ACCEPT)
        if name == "REDIRECT":
            ports = options.get("--to-ports", "")
            return Rule(conditions, Verdict.DNAT, to_port=int(ports) if re.fullmatch(r"[0-9]{1,5}", ports) else None)
        if name == "DNAT":
            return self._dnat(conditions, options.get("--to-destination", ""), words)
        if name in ("QUEUE", "NFQUEUE", "TPROXY", "NETMAP", "SYNPROXY", "TARPIT", "DELUDE", "CHAOS", "TEE", "IDLETIMER", "RATEEST"):
            if name in ("TEE", "IDLETIMER", "RATEEST"):
                return Rule(conditions)
            return Rule(conditions, Verdict.UNKNOWN, " ".join(["-j", *words])[:160])
        return Rule(conditions, Verdict.GOTO if goto else Verdict.JUMP, name)

    def _dnat(self, conditions: tuple[Condition, ...], where: str, words: list[str]) -> Rule:
        match = re.fullmatch(r"(?:\[([0-9a-f:.]+)\]|([0-9.]+)|([0-9a-f:]+))?(?::([0-9]{1,5}))?", where)
        if match is None:
            return Rule(conditions, Verdict.UNKNOWN, " ".join(["-j", *words])[:160])
        address = match[1] or match[2] or match[3]
        try:
            to = int(ip_address(address)) if address else None
        except ValueError:
            return Rule(conditions, Verdict.UNKNOWN, " ".join(["-j", *words])[:160])
        return Rule(conditions, Verdict.DNAT, to=to, to_port=int(match[4]) if match[4] else None)


_EITHER = frozenset(
    [
        "limit",
        "hashlimit",
        "connlimit",
        "statistic",
        "time",
        "quota",
        "length",
        "ttl",
        "hl",
        "connbytes",
        "random",
        "string",
        "tos",
        "dscp",
        "ecn",
        "tcpmss",
        "frag",
        "rt",
        "hbh",
        "dst",
        "ipv6header",
    ]
)
"""Matters of rate, time and of what the sender writes: both ways are possible."""
_UNKNOWN_MODULE: dict[str, Condition] = {"string": EITHER, "dscp": EITHER, "owner": NEVER, "cgroup": NEVER, "socket": unknown("-m socket")}
_KNOWN_MODULES = frozenset(
    ["recent", "comment", "conntrack", "state", "set", "addrtype", "policy", "mark", "connmark", "tcp", "udp", "multiport", "rpfilter", "iprange"]
)
_HARMLESS_OPTIONS = frozenset(
    [
        "--name",
        "--seconds",
        "--hitcount",
        "--rttl",
        "--mask",
        "--rsource",
        "--rdest",
        "--reap",
        "--dir",
        "--strict",
        "--reqid",
        "--proto",
        "--limit-iface-in",
        "--return-nomatch",
        "--loose",
        "--validmark",
        "--accept-local",
    ]
)


def _spans(words: str) -> tuple[tuple[int, int], ...] | None:
    spans = []
    for word in words.split(","):
        low, colon, high = word.partition(":")
        if not re.fullmatch(r"[0-9]{1,5}", low or "0") or not re.fullmatch(r"[0-9]{1,5}", high or "65535"):
            return None
        spans.append((int(low or 0), int(high or 65535) if colon else int(low or 0)))
    return tuple(spans)


def _flags(words: str) -> set[str]:
    if words == "NONE":
        return set()
    return {"FIN", "SYN", "RST", "PSH", "ACK", "URG"} if words == "ALL" else set(words.split(","))


def _number(words: str) -> int:
    try:
        return int(words, 0)
    except ValueError:
        return -1
