"""The packet filter as the kernel has it, and what it does with a packet that no rule expects.

Source: `nft -j list ruleset` (also holds what iptables-nft, ufw and firewalld loaded); iptables-save where nft does not show the arguments of an extension or is not installed; iptables-legacy-save when the legacy modules hold tables; `ipset save` for sets that those name.
"""

from __future__ import annotations

from collections.abc import Iterable

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts import interfaces
from tutela.facts.look import Look
from tutela.facts.netfilter import iptables_save, nft_json
from tutela.facts.netfilter.addresses import Addresses, of_networks, union
from tutela.facts.netfilter.host import Host, destinations
from tutela.facts.netfilter.rules import Ruleset, Verdict, mentioned
from tutela.language import Text
from tutela.record import record

NFT = "nft -j list ruleset"
SAVES = {"iptables-save": 4, "ip6tables-save": 6}
LEGACY_SAVES = {"iptables-legacy-save": 4, "ip6tables-legacy-save": 6}
LEGACY_TABLES = {"/proc/net/ip_tables_names": 4, "/proc/net/ip6_tables_names": 6}
IPTABLES = "iptables -V"
IPSET = "ipset save"
MODULES = "/proc/modules"
NEEDS = (NFT, *SAVES, *LEGACY_SAVES, *LEGACY_TABLES, IPTABLES, IPSET, MODULES, *interfaces.NEEDS)

WIDE = {4: 1 << 25, 6: 1 << 120}
"""Sources from which a packet counts as coming from anywhere: about a hundredth of what there is."""


@record
class Opening:
    """Opening(family='ipv4', protocol='tcp', port=47001, sources=('0.0.0.0/0',)): a packet that no rule expects gets in."""

    family: str
    protocol: str
    port: int
    sources: tuple[str, ...]


@record
class Firewall:
    """Firewall(frontends=('nftables',), ipv4_default='drop', ipv6_default='accept', ipv6_openings=(Opening(…),), …)"""

    frontends: tuple[str, ...]
    """What holds rules: nftables, iptables-nft, iptables-legacy; empty: there is no packet filter."""
    ipv4_default: str | Unobserved
    """drop | accept: a new packet from outside to a port that no rule mentions."""
    ipv6_default: str | Unobserved
    openings: tuple[Opening, ...] | Unobserved
    """The ports that were tried and got in."""
    forwards_ports: bool
    """Some rule sends packets elsewhere before they are filtered (DNAT)."""
    host: Host
    """For walks of other facts."""


def parse(look: Look) -> Firewall | Unobserved:
    """The fact; Unobserved when the rules could not all be read."""
    ruleset = look.fact(_ruleset)
    if isinstance(ruleset, Unobserved):
        return ruleset
    host = host_of(look, ruleset)
    openings: list[Opening] = []
    default = {}
    for family in (4, 6):
        default[family] = default_of(look, host, family, openings)
    doubt = next((one for one in default.values() if isinstance(one, Unobserved)), None)
    return Firewall(
        frontends=ruleset.frontends,
        ipv4_default=default[4],
        ipv6_default=default[6],
        openings=doubt if doubt is not None and not openings else tuple(openings),
        forwards_ports=any(rule.verdict is Verdict.DNAT for rule in ruleset.rules()),
        host=host,
    )


def host_of(look: Look, ruleset: Ruleset) -> Host:
    """The host with these rules; of its own addresses what the rules tell apart, unless rules send packets on to addresses."""
    rules = list(ruleset.rules())
    if any(rule.verdict is Verdict.DNAT for rule in rules):
        return Host(ruleset, look.fact(interfaces.parse))
    return Host(ruleset, look.fact(interfaces.placed((family, among.spans) for family, among in destinations(rules))))


# --- the rules -------------------------------------------------------------------------------------------------------


def _ruleset(look: Look) -> Ruleset | Unobserved:
    """All rules of the kernel."""
    nft = look.source(NFT)
    if nft.status is not Status.ABSENT and isinstance(doubt := look.text(NFT), Unobserved):
        return doubt
    sets = _sets(look)
    saved = _saved(look, sets)
    if isinstance(saved, Unobserved):
        return saved
    legacy = _legacy(look, sets)
    if isinstance(legacy, Unobserved):
        return legacy
    if nft.status is Status.ABSENT:
        if (unasked := _unasked(look, SAVES)) is not None:
            return unasked
        if not saved and not any(look.source(name).status is Status.OK for name in SAVES):
            return _no_tool(look) if not legacy.bases else legacy
        merged = legacy
        for rules, _ in saved.values():
            merged = merged | rules
        return merged
    text = look.text(NFT)
    if isinstance(text, Unobserved):
        return text
    read = nft_json.read(text) if text.strip() else (Ruleset(), frozenset())
    if read is None:
        return Unobserved(Reason.FORMAT, NFT, Text("不是所知的 nft JSON", "not the JSON that nft is known to print"))
    ruleset, extensions = read
    if (unasked := _unasked(look, (name for name, family in SAVES.items() if any(kind == _FAMILIES[family] for kind, _ in extensions)))) is not None:
        return unasked
    replaced: set[tuple[str, str]] = set()
    merged = legacy
    for name, (rules, tables) in saved.items():
        family = _FAMILIES[SAVES[name]]
        if any(table in tables for kind, table in extensions if kind == family):
            replaced |= {(family, table) for table in tables}
            merged = merged | rules
    kept = Ruleset(
        {key: rules for key, rules in ruleset.chains.items() if key[:2] not in replaced},
        tuple(base for base in ruleset.bases if base.key[:2] not in replaced),
        ("nftables",) if any(base.key[:2] not in replaced for base in ruleset.bases) else (),
    )
    return kept | merged


_FAMILIES = {4: "ip", 6: "ip6"}


def _unasked(look: Look, names: Iterable[str]) -> Unobserved | None:
    """Why the answer of a command is missing that the probe asks wherever it is needed."""
    missing = next((name for name in names if look.source(name).status is Status.MISSING), None)
    text = None if missing is None else look.text(missing)
    return text if isinstance(text, Unobserved) else None


def _sets(look: Look) -> dict[str, iptables_save.IpSet] | None:
    text = look.text(IPSET)
    return None if isinstance(text, Unobserved) else iptables_save.read_sets(text)


def _saved(look: Look, sets: dict[str, iptables_save.IpSet] | None) -> dict[str, tuple[Ruleset, frozenset[str]]] | Unobserved:
    """What iptables-save says of tables in nf_tables."""
    found = {}
    for name, family in SAVES.items():
        if look.source(name).status in (Status.MISSING, Status.ABSENT):
            continue
        text = look.text(name)
        if isinstance(text, Unobserved):
            return text
        if not _of_nf_tables(look, text) and any(look.source(names).content.strip() for names in LEGACY_TABLES):
            continue  # this iptables-save is the legacy one; `_legacy` reads it
        read = iptables_save.read(text, family, f"iptables-nft {family}", sets)
        if read is None:
            return _not_understood(name)
        found[name] = read
    return found


def _legacy(look: Look, sets: dict[str, iptables_save.IpSet] | None) -> Ruleset | Unobserved:
    """Tables of the legacy modules, if they hold any."""
    merged = Ruleset()
    for names, family in LEGACY_TABLES.items():
        source = look.source(names)
        if source.status is Status.ABSENT:
            continue
        text = look.text(names)
        if isinstance(text, Unobserved):
            return text
        if not text.strip():
            continue
        name = next(one for one, version in LEGACY_SAVES.items() if version == family)
        if look.source(name).status is Status.ABSENT:
            name = next(one for one, version in SAVES.items() if version == family)
        saved = look.text(name)
        if isinstance(saved, Unobserved):
            return saved
        if name in SAVES and _of_nf_tables(look, saved):
            why = Text("旧式 iptables 模块中有规则，但没有能读它们的命令", "the legacy iptables modules hold rules and no command here reads them")
            return Unobserved(Reason.NO_ANSWER, names, why)
        read = iptables_save.read(saved, family, f"iptables-legacy {family}", sets)
        if read is None:
            return _not_understood(name)
        merged = merged | read[0]
    return merged


def _of_nf_tables(look: Look, saved: str) -> bool:
    """Whether this iptables-save is the one of nf_tables; before iptables 1.8.8 only the command itself says so."""
    version = look.text(IPTABLES)
    return "(nf_tables)" in saved or (isinstance(version, str) and "(nf_tables)" in version)


def _no_tool(look: Look) -> Ruleset | Unobserved:
    """Neither nft nor iptables is installed. Where no module of theirs is loaded, there are no rules."""
    modules = look.text(MODULES)
    if isinstance(modules, str) and modules.strip():
        loaded = {line.split(" ", 1)[0] for line in modules.split("\n")}
        if not loaded & {"nf_tables", "ip_tables", "ip6_tables", "iptable_filter", "bpfilter"}:
            return Ruleset()
    why = Text("没有 nft 也没有 iptables，读不到内核中的规则", "neither nft nor iptables is installed, so the kernel's rules cannot be read")
    return Unobserved(Reason.NO_ANSWER, NFT, why)


def _not_understood(name: str) -> Unobserved:
    return Unobserved(Reason.FORMAT, name, Text("有无法理解的行", "it has a line that is not understood"))


# --- the default -----------------------------------------------------------------------------------------------------


def outsiders(look: Look, family: int) -> Addresses:
    """Addresses that are neither loopback nor in the site's admin or campus networks: the class EXTERNAL."""
    networks = look.site.networks
    declared = of_networks((*(networks.admin or ()), *(networks.campus or ())), family)
    return strangers(family) - declared


def strangers(family: int) -> Addresses:
    """Addresses from which a packet can arrive at all."""
    if family == 4:
        return union(((1 << 24, (127 << 24) - 1), (128 << 24, (224 << 24) - 1)))
    return union(((1 << 125, (1 << 126) - 1), (0xFC << 120, (0xFE << 120) - 1), (0xFE80 << 112, (0xFEC0 << 112) - 1)))


def default_of(look: Look, host: Host, family: int, openings: list[Opening]) -> str | Unobserved:
    """drop | accept for ports that no rule mentions, from anywhere."""
    anyone = outsiders(look, family)
    doubt = None
    accepted = False
    for protocol, port in _unmentioned(host.ruleset):
        ways = host.ways(family, protocol, port)
        if isinstance(ways, Unobserved):
            doubt = doubt or ways
            continue
        for way in ways:
            if (way.sure & anyone).count > WIDE[family]:
                accepted = True
                openings.append(
                    Opening(f"ipv{family}", protocol, port, (way.sure & anyone).prefixes(family, 4) if way.sure != _all(family) else (_ANY[family],))
                )
            elif (way.maybe & anyone).count > WIDE[family]:
                doubt = doubt or quoted(way.doubts)
    return "accept" if accepted else doubt if doubt is not None else "drop"


_ANY = {4: "0.0.0.0/0", 6: "::/0"}


def _all(family: int) -> Addresses:
    return union(((0, (1 << (32 if family == 4 else 128)) - 1),))


def _unmentioned(ruleset: Ruleset) -> list[tuple[str, int]]:
    """A low and a high port for each protocol that no rule mentions, where there is such a port."""
    rules = list(ruleset.rules())
    spans = union(mentioned(rules, "dport") | mentioned(rules, "dport_tcp") | mentioned(rules, "dport_udp")).spans
    found = []
    for low, high, fallback in ((2, 1023, 7), (1024, 32767, 4999), (32768, 65000, 47001)):
        port = next((port for port in range(high, low, -1) if not any(first <= port <= last for first, last in spans)), fallback)
        found.append(port)
    return [(protocol, port) for protocol in ("tcp", "udp") for port in found]


def quoted(doubts: tuple[str, ...]) -> Unobserved:
    """An undecided walk, with the expressions that it did not understand."""
    words = "; ".join(doubts[:3]) or "?"
    return Unobserved(Reason.FORMAT, NFT, Text(f"不理解的规则表达式：{words}", f"expressions that are not understood: {words}"))
