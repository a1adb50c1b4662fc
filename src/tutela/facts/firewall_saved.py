"""What the packet filter becomes after a restart, beside what it is now (catalogue H-022).

The saved rules of whatever is switched on at boot are read and walked like the running ones; the two are compared by what they let in, not by their text.
Sources: /etc/nftables.conf (nft(8)); rules.v4 and rules.v6 of netfilter-persistent; /etc/sysconfig/iptables; ufw-framework(8); firewall-cmd(1) with and without --permanent.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts import firewall, guards, sockets
from tutela.facts.firewall import Firewall, Opening, default_of, strangers
from tutela.facts.look import Look
from tutela.facts.netfilter import iptables_save, nft_text
from tutela.facts.netfilter.addresses import NOBODY, Addresses
from tutela.facts.netfilter.host import MAX_STEPS_IN_ALL, Host, too_many
from tutela.facts.netfilter.rules import Ruleset, mentioned
from tutela.facts.unseen import unseen
from tutela.language import Text
from tutela.record import record

NFT_FILES = ("/etc/nftables.conf", "/etc/sysconfig/nftables.conf")
NFT_DIRECTORIES = ("/etc/nftables.d/", "/etc/nftables/")
PERSISTENT = {"/etc/iptables/rules.v4": 4, "/etc/iptables/rules.v6": 6}
SYSCONFIG = {"iptables.service": ("/etc/sysconfig/iptables", 4), "ip6tables.service": ("/etc/sysconfig/ip6tables", 6)}
UFW_CONF, UFW_DEFAULT = "/etc/ufw/ufw.conf", "/etc/default/ufw"
UFW_RULES = {4: ("before", "after", "user"), 6: ("before6", "after6", "user6")}
FIREWALLD = ("--list-all-zones", "--list-all-policies", "--direct --get-all-rules")
NEEDS = (
    *NFT_FILES,
    *NFT_DIRECTORIES,
    *PERSISTENT,
    *(name for name, _ in SYSCONFIG.values()),
    UFW_CONF,
    UFW_DEFAULT,
    *(f"/etc/ufw/{name}.rules" for names in UFW_RULES.values() for name in names),
    *(f"firewall-cmd {words}" for words in FIREWALLD),
    *(f"firewall-cmd --permanent {words}" for words in FIREWALLD),
    *firewall.NEEDS,
    *guards.NEEDS,
    *sockets.NEEDS,
)
FEW = {4: 256, 6: 256 << 64}
"""A difference this small is a ban or a knock, not another rule set."""
MOST_NAMED = 1000
"""Ports; of a longer list the rest is unknown."""


@record
class Difference:
    """Difference(what='ipv6 tcp 22', now='nobody', after='::/0'): what changes at the next start."""

    what: str
    """A port, `ipv6 other ports` (those that no rule mentions), or a setting of firewalld: `public ports`."""
    now: str
    """Who gets in, or the setting; empty: nothing set."""
    after: str


@record
class FirewallSaved:
    """FirewallSaved(managers=("nftables.service",), filters=True, differences=())"""

    managers: tuple[str, ...] | Unobserved
    """What loads rules at boot."""
    filters: bool | Unobserved
    """Rules are loaded now, or will be."""
    differences: tuple[Difference | Unobserved, ...] | Unobserved
    """Where the saved rules let in something else than the running ones."""


def parse(look: Look) -> FirewallSaved | Unobserved:
    """The fact."""
    running = look.fact(firewall.parse)
    if isinstance(running, Unobserved):
        return running
    at_boot = look.fact(_at_boot)
    if isinstance(at_boot, Unobserved):
        return at_boot
    managers = _managers(look, at_boot)
    if "firewalld.service" in managers:
        # Tables beside firewalld's own were loaded by programs that load them again; firewalld decides what stays.
        return FirewallSaved(managers, True, _firewalld(look))
    saved = _saved(look, managers)
    if isinstance(saved, Unobserved):
        return FirewallSaved(managers, True, saved)
    filters = bool(running.frontends) or bool(saved.bases)
    return FirewallSaved(managers, filters, tuple(_differences(look, running, firewall.host_of(look, saved))))


def _at_boot(look: Look) -> tuple[str, ...] | Unobserved:
    """Units that come up at the next start."""
    guarding = look.fact(guards.parse)
    if isinstance(guarding, Unobserved):
        return guarding
    if isinstance(guarding.units, Unobserved):
        return guarding.units
    if guarding.systemd is False:
        why = Text("没有 systemd，不知道开机加载什么规则", "without systemd it is not known which rules are loaded at boot")
        return Unobserved(Reason.NO_ANSWER, guards.SHOW, why)
    return tuple(sorted(name for name, unit in guarding.units.items() if unit.at_boot))


def _managers(look: Look, at_boot: tuple[str, ...]) -> tuple[str, ...]:
    """Units that load rules at boot, in the order in which the later one would win."""
    found = []
    for name in ("nftables.service", "iptables.service", "ip6tables.service", "netfilter-persistent.service", "ufw.service", "firewalld.service"):
        if name not in at_boot:
            continue
        if name == "ufw.service":
            # The unit is enabled wherever ufw is installed; ufw.conf decides.
            conf = look.text(UFW_CONF)
            if isinstance(conf, str) and not re.search(r"(?m)^[ \t]*ENABLED=[\"']?yes", conf):
                continue
        found.append(name)
    return tuple(found)


def _saved(look: Look, managers: tuple[str, ...]) -> Ruleset | Unobserved:
    saved = Ruleset()
    for name in managers:
        if name == "nftables.service":
            made = _nft(look)
        elif name == "netfilter-persistent.service":
            made = _files(look, PERSISTENT)
        elif name == "ufw.service":
            made = _ufw(look)
        else:
            made = _files(look, dict([SYSCONFIG[name]]))
        if isinstance(made, Unobserved):
            return made
        saved = saved | made
    return saved


def _nft(look: Look) -> Ruleset | Unobserved:
    name = next((name for name in NFT_FILES if look.source(name).status not in (Status.ABSENT, Status.MISSING)), NFT_FILES[0])
    text = look.text_or_none(name)
    if text is None:
        return Ruleset()
    if isinstance(text, Unobserved):
        return text
    made = nft_text.read(text, lambda pattern: _included(look, pattern))
    return made if made is not None else Unobserved(Reason.FORMAT, name, Text("有无法理解的写法", "it holds something that is not understood"))


def _included(look: Look, pattern: str) -> list[str] | None:
    """Files of an include in the order of their names; None when the probe did not bring them."""
    path = pattern if pattern.startswith("/") else f"/etc/{pattern}"
    directory, _, name = path.rpartition("/")
    if not re.search(r"[*?\[]", path):
        text = look.text(path)
        return None if isinstance(text, Unobserved) else [text]
    listed = look.text_or_none(f"{directory}/")
    if listed is None:
        return []
    if isinstance(listed, Unobserved):
        return None
    texts = [look.text(f"{directory}/{each}") for each in sorted(listed.split("\n")) if each and fnmatchcase(each, name)]
    return None if any(isinstance(text, Unobserved) for text in texts) else [text for text in texts if isinstance(text, str)]


def _files(look: Look, names: dict[str, int]) -> Ruleset | Unobserved:
    """Files of iptables-save; one that does not exist loads nothing."""
    saved = Ruleset()
    for name, family in names.items():
        text = look.text_or_none(name)
        if text is None:
            continue
        if isinstance(text, Unobserved):
            return text
        made = iptables_save.read(text, family, f"saved {family}")
        if made is None:
            return Unobserved(Reason.FORMAT, name, Text("有无法理解的行", "it has a line that is not understood"))
        saved = saved | made[0]
    return saved


def _ufw(look: Look) -> Ruleset | Unobserved:
    """What ufw-init loads: chains of its own around before.rules, user.rules and after.rules."""
    doubt = unseen(look, UFW_CONF)
    if doubt is not None:
        return doubt  # it may be switched off there
    defaults = look.text(UFW_DEFAULT)
    if isinstance(defaults, Unobserved):
        return defaults
    set_to = dict(re.findall(r"(?m)^[ \t]*(IPV6|DEFAULT_[A-Z]+_POLICY)=[\"']?([A-Za-z]+)", defaults))
    saved = Ruleset()
    for family in (4, 6):
        if family == 6 and set_to.get("IPV6", "yes").lower() != "yes":
            text: str | Unobserved = "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n-A INPUT -i lo -j ACCEPT\nCOMMIT\n"
        else:
            text = _ufw_rules(look, family, set_to)
        if isinstance(text, Unobserved):
            return text
        made = iptables_save.read(text, family, f"ufw {family}")
        if made is None:
            return Unobserved(Reason.FORMAT, "/etc/ufw/", Text("规则文件中有无法理解的行", "a file of rules has a line that is not understood"))
        saved = saved | made[0]
    return saved


def _ufw_rules(look: Look, family: int, set_to: dict[str, str]) -> str | Unobserved:
    kind = "ufw" if family == 4 else "ufw6"
    lines = ["*filter"]
    for chain, policy in (("INPUT", "DEFAULT_INPUT_POLICY"), ("FORWARD", "DEFAULT_FORWARD_POLICY")):
        target = set_to.get(policy, "DROP").upper()
        lines.append(f":{chain} {'ACCEPT' if target == 'ACCEPT' else 'DROP'} [0:0]")
    for chain in ("input", "forward"):
        parts = ("before-logging", "before", "after", "after-logging", "reject", "track")
        lines += [f"-A {chain.upper()} -j {kind}-{part}-{chain}" for part in parts]
        # ufw's own end of before.rules and after.rules: users' rules run between them.
        lines.append(f":{kind}-user-{chain} - [0:0]")
    texts = []
    for name in UFW_RULES[family]:
        text = look.text_or_none(f"/etc/ufw/{name}.rules")
        if isinstance(text, Unobserved):
            return text
        texts.append(text or "")
    body = "\n".join(("\n".join(lines), "COMMIT", *texts))
    joins = [f"-A {kind}-before-{chain} -j {kind}-user-{chain}" for chain in ("input", "forward")]
    return "\n".join((body, "*filter", *joins, "COMMIT"))


# --- comparing -------------------------------------------------------------------------------------------------------


def _differences(look: Look, running: Firewall, saved: Host) -> list[Difference | Unobserved]:
    """Ports that are listened on, those that rules name, and those that no rule mentions."""
    found: list[Difference | Unobserved] = []
    listened = look.fact(_heard)
    if isinstance(listened, Unobserved):
        return [listened]
    heard = set(listened)
    mentioned_ports = _named(running.host.ruleset, saved.ruleset)
    if len(mentioned_ports) > MOST_NAMED:
        found.append(too_many())
    named = {(family, protocol, port) for port in mentioned_ports[:MOST_NAMED] for family in (4, 6) for protocol in ("tcp", "udp")}
    wanted = sorted(heard) + sorted(named - heard)
    for family in (4, 6):
        openings: list[Opening] = []
        now, after = default_of(look, running.host, family, openings), default_of(look, saved, family, openings)
        if isinstance(now, Unobserved) or isinstance(after, Unobserved):
            found.append(now if isinstance(now, Unobserved) else after if isinstance(after, Unobserved) else _never())
        elif now != after:
            found.append(Difference(f"ipv{family} other ports", now, after))
    spent = 0
    for family, protocol, port in wanted:
        if spent > MAX_STEPS_IN_ALL:
            found.append(too_many())
            break
        spent += running.host.steps(family, protocol, port) + saved.steps(family, protocol, port)
        before, later = _sure(running.host, family, protocol, port), _sure(saved, family, protocol, port)
        if isinstance(before, Unobserved) or isinstance(later, Unobserved):
            found.append(before if isinstance(before, Unobserved) else later if isinstance(later, Unobserved) else _never())
        elif max((before - later).count, (later - before).count) > FEW[family]:
            found.append(Difference(f"ipv{family} {protocol} {port}", _words(before, family), _words(later, family)))
    return found


def _heard(look: Look) -> tuple[tuple[int, str, int], ...] | Unobserved:
    """Family, protocol and port of what listens to more than loopback."""
    listening = look.fact(sockets.parse)
    if isinstance(listening, Unobserved):
        return listening
    return tuple(sorted({(4 if one.family == "ipv4" else 6, one.protocol, one.port) for one in listening.listening if not one.local}))


def _named(*rulesets: Ruleset) -> list[int]:
    """Ends of the port ranges that rules mention: who opens a port before anybody listens there has opened it."""
    fields = ("dport", "dport_tcp", "dport_udp")
    return sorted({port for rules in rulesets for field in fields for span in mentioned(rules.rules(), field) for port in span})


def _never() -> Unobserved:
    raise AssertionError


def _sure(host: Host, family: int, protocol: str, port: int) -> Addresses | Unobserved:
    ways = host.ways(family, protocol, port)
    if isinstance(ways, Unobserved):
        return ways
    reached = NOBODY
    for way in ways:
        if way.target is None:
            if way.maybe:
                return firewall.quoted(way.doubts)
            reached = reached | way.sure
    return reached & strangers(family)


def _words(addresses: Addresses, family: int) -> str:
    if not addresses:
        return "nobody"
    if not strangers(family) - addresses:
        return "0.0.0.0/0" if family == 4 else "::/0"
    return " ".join(addresses.prefixes(family, 4))


# --- firewalld -------------------------------------------------------------------------------------------------------


def _firewalld(look: Look) -> tuple[Difference, ...] | Unobserved:
    """Settings of zones and policies that differ between running and permanent."""
    found: list[Difference] = []
    for words in FIREWALLD:
        running, permanent = look.text(f"firewall-cmd {words}"), look.text(f"firewall-cmd --permanent {words}")
        if isinstance(running, Unobserved) or isinstance(permanent, Unobserved):
            if words == FIREWALLD[0] and isinstance(running, Unobserved):
                return running
            if words == FIREWALLD[0] and isinstance(permanent, Unobserved):
                return permanent
            continue  # older versions know no policies
        if words == FIREWALLD[2]:
            if sorted(running.split("\n")) != sorted(permanent.split("\n")):
                found.append(Difference("direct rules", "; ".join(running.split("\n"))[:120], "; ".join(permanent.split("\n"))[:120]))
            continue
        before, later = _zones(running), _zones(permanent)
        for key in sorted(before.keys() | later.keys()):
            now, after = before.get(key, ""), later.get(key, "")
            if now != after:
                found.append(Difference(f"{key[0]} {key[1]}", now, after))
    return tuple(found)


def _zones(text: str) -> dict[tuple[str, str], str]:
    """(zone, setting) -> value; the name without `(active)`, interfaces only where they were given by hand."""
    made: dict[tuple[str, str], str] = {}
    zone = setting = ""
    for line in text.split("\n"):
        if line and not line[0].isspace():
            zone = line.split(" ", 1)[0]
            setting = ""
        elif ":" in line and not line.startswith("\t"):
            setting, _, value = line.strip().partition(":")
            if setting != "interfaces":  # NetworkManager binds interfaces at run time
                made[zone, setting] = " ".join(sorted(value.split()))
        elif line.strip() and setting:
            made[zone, setting] = " ".join(sorted([*made.get((zone, setting), "").split(" & "), line.strip()]))
    return made
