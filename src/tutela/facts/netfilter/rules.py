"""One form for packet filter rules, and the walk of a symbolic packet through them (catalogue H.0.2).

The packet is the first one of a connection: family, protocol, destination and interface are known, the source is *every* address at once.
A walk keeps, for each way the packet can end, the set of sources for which it ends so.
What an attacker chooses or waits for (source port, rate below a limit, time of day) makes both ways possible.
Only the way to the host is walked: rules that stop the host's own answers are not seen, so a port may be said to be reached that is not.
What is not understood makes both ways doubtful, with the expression quoted; it is never guessed.
Source: nft(8), iptables-extensions(8); order of hooks: https://wiki.nftables.org/wiki-nftables/index.php/Netfilter_hooks
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum, StrEnum
from fnmatch import fnmatchcase
from typing import Any

from tutela.facts.netfilter.addresses import EVERYONE, NOBODY, Addresses, union
from tutela.record import field, record, replace

MAX_STEPS = 60_000
"""Rules looked at to decide one port, about a second; a rule set that needs more is not decided. A look at many scattered sources counts as several."""
MAX_DEPTH = 32
"""nftables allows 16 jumps."""


class WalkTooLongError(Exception):
    """A rule set that calls itself too often; caught by whoever starts a walk."""


@record
class Packet:
    """The first packet of a connection, but for its source."""

    family: int
    """4 | 6"""
    protocol: str
    """tcp | udp"""
    port: int
    """Destination port."""
    to: int
    """Destination address."""
    iif: str
    oif: str | None = None
    """Only in the forward hook."""
    to_local: bool = True
    """The destination is an address of the host."""
    original_port: int = 0
    """Before DNAT."""
    original_to: int = 0
    dnat: bool = False
    untracked: bool = False
    """A notrack rule may have taken it: its connection state is not known."""


# --- conditions ------------------------------------------------------------------------------------------------------


@record
class Answer:
    """For which sources a condition holds, and for which it does not; where both, it depends."""

    yes: Addresses
    no: Addresses | None
    """None: for all others, so nothing depends on anything."""
    doubt: str | None = None
    """Why it depends: an expression that is not understood. None: on what an attacker chooses."""
    negated: bool = False
    """With `no` None: holds for all but `yes`."""


class Special(Enum):
    """Conditions whose answer does not depend on a value."""

    ALWAYS = "always"
    NEVER = "never"
    EITHER = "either"
    """The sender's choice, or a matter of time and rate."""


@record
class Part:
    """One field of the packet among some values.

    Values: addresses -> {4: Addresses, 6: Addresses}; ports -> ((low, high), …); words -> ('eth0', 'veth*').
    """

    field: str
    """saddr daddr dport dport_tcp dport_udp sport protocol nfproto iif oif state status original_dport original_daddr daddr_type saddr_type"""
    values: Any


@record
class Condition:
    """Some alternative holds, each a conjunction of parts; or none does (`negated`)."""

    alternatives: tuple[tuple[Part, ...], ...] = ()
    negated: bool = False
    special: Special | None = None
    doubt: str | None = None
    """The expression in words, when it is not understood."""


ALWAYS = Condition(special=Special.ALWAYS)
NEVER = Condition(special=Special.NEVER)
EITHER = Condition(special=Special.EITHER)


def unknown(words: str) -> Condition:
    """A condition nobody here understands."""
    return Condition(doubt=words[:160])


def one(name: str, values: Any, *, negated: bool = False) -> Condition:
    """A condition on a single field."""
    return Condition(((Part(name, values),),), negated)


def answer(condition: Condition, packet: Packet) -> Answer:
    """What a condition says about a packet, for every source."""
    everyone = EVERYONE[packet.family]
    if condition.doubt is not None:
        return Answer(everyone, everyone, condition.doubt)
    if condition.special is Special.ALWAYS:
        return Answer(everyone, None)
    if condition.special is Special.NEVER:
        return Answer(NOBODY, None)
    if condition.special is Special.EITHER:
        return Answer(everyone, everyone)
    if len(condition.alternatives) == 1 and len(condition.alternatives[0]) == 1:  # most are so
        part = condition.alternatives[0][0]
        if part.field not in ("sport", "state"):
            return Answer(_yes(part, packet, everyone), None, negated=condition.negated)
    depends = any(part.field == "sport" or (part.field == "state" and packet.untracked) for alternative in condition.alternatives for part in alternative)
    if depends:
        return _depending(condition, packet, everyone)
    yes = NOBODY
    for alternative in condition.alternatives:
        found = everyone
        for part in alternative:
            found = found & _yes(part, packet, everyone)
            if not found:
                break
        yes = yes | found
    return Answer(yes, None, negated=condition.negated)


def _yes(part: Part, packet: Packet, everyone: Addresses) -> Addresses:
    if part.field == "saddr":
        found: Addresses = part.values[packet.family]
        return found
    if part.field == "saddr_type":
        return everyone if "unicast" in part.values else NOBODY  # no other source type arrives from outside
    return everyone if _holds(part.field, part.values, packet) else NOBODY


def _depending(condition: Condition, packet: Packet, everyone: Addresses) -> Answer:
    """A condition with a part that the sender chooses (its port) or that notrack left open (the state)."""
    yes, no, doubt = NOBODY, everyone, None
    for alternative in condition.alternatives:
        both_yes, some_no, why = everyone, NOBODY, None
        for part in alternative:
            if part.field == "sport":
                some_no = everyone
            elif part.field == "state" and packet.untracked:
                some_no, why = everyone, "ct state after notrack"
            else:
                found = _yes(part, packet, everyone)
                both_yes, some_no = both_yes & found, some_no | (everyone - found)
        if both_yes and why is not None:
            doubt = doubt or why
        yes, no = yes | both_yes, no & some_no
    if condition.negated:
        yes, no = no, yes
    return Answer(yes, no, doubt if yes & no else None)


def _holds(name: str, values: Any, packet: Packet) -> bool:
    if name == "daddr":
        return packet.to in values[packet.family]
    if name == "original_daddr":
        return packet.original_to in values[packet.family]
    if name == "dport":
        return any(low <= packet.port <= high for low, high in values)
    if name in ("dport_tcp", "dport_udp"):
        return packet.protocol == name[6:] and any(low <= packet.port <= high for low, high in values)
    if name == "original_dport":
        return any(low <= packet.original_port <= high for low, high in values)
    if name == "protocol":
        return packet.protocol in values
    if name == "nfproto":
        return packet.family in values
    if name == "iif":
        return any(fnmatchcase(packet.iif, value) for value in values)
    if name == "oif":
        return packet.oif is not None and any(fnmatchcase(packet.oif, value) for value in values)
    if name == "state":
        return "new" in values
    if name == "status":
        return "dnat" in values and packet.dnat
    if name == "daddr_type":
        return ("local" if packet.to_local else "unicast") in values
    raise AssertionError(name)


# --- rules -----------------------------------------------------------------------------------------------------------


class Verdict(StrEnum):
    """What a rule does with a packet that it matches."""

    ACCEPT = "accept"
    DROP = "drop"
    JUMP = "jump"
    GOTO = "goto"
    RETURN = "return"
    CONTINUE = "continue"
    DNAT = "dnat"
    NOTRACK = "notrack"
    UNKNOWN = "unknown"
    """Something else decides: a program in user space, a proxy."""


@record
class Rule:
    """Conditions, all of which must hold, and what happens then."""

    conditions: tuple[Condition, ...]
    verdict: Verdict = Verdict.CONTINUE
    target: str = ""
    """Chain of a jump or goto; words of an unknown verdict."""
    to: int | None = None
    """Address that DNAT sends to; None: the host itself (redirect)."""
    to_port: int | None = None
    """Port that DNAT sends to; None: unchanged."""


@record
class Base:
    """A chain that the kernel calls: hook, priority, policy."""

    key: tuple[str, str, str]
    """Origin and family, table, chain."""
    kind: str
    """filter | nat | route"""
    hook: str
    priority: int
    policy: Verdict
    families: tuple[int, ...]
    device: str | None = None
    """Of an ingress chain."""


@record
class Ruleset:
    """All rules of a host in one form."""

    chains: Mapping[tuple[str, str, str], tuple[Rule, ...]] = field(default_factory=dict)
    bases: tuple[Base, ...] = ()
    frontends: tuple[str, ...] = ()
    """nftables, iptables-nft, iptables-legacy."""

    def __or__(self, other: Ruleset) -> Ruleset:
        return Ruleset({**self.chains, **other.chains}, (*self.bases, *other.bases), tuple(dict.fromkeys((*self.frontends, *other.frontends))))

    def hooked(self, hook: str, family: int) -> list[Base]:
        """Base chains of a hook, in the order in which the kernel calls them."""
        return sorted((base for base in self.bases if base.hook == hook and family in base.families), key=lambda base: base.priority)

    def rules(self) -> Iterator[Rule]:
        """Every rule."""
        for rules in self.chains.values():
            yield from rules


def compacted(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Neighbours that do the same and differ only in their source become one rule: a ban list of thousands is one look, not thousands."""
    made: list[Rule] = []
    alike: list[Rule] = []
    for rule in rules:
        if rule.verdict is Verdict.CONTINUE:
            continue  # it counts or logs: whoever matches goes on like everyone else
        if any(map(_about_sender, rule.conditions[:-1])):  # what does not depend on the sender first: where it fails, no set of sources is touched
            rule = replace(rule, conditions=tuple(sorted(rule.conditions, key=_about_sender)))
        if alike and not _differ_in_source(alike[-1], rule):
            made.append(_merged(alike))
            alike = []
        alike.append(rule)
    return (*made, _merged(alike)) if alike else tuple(made)


def _about_sender(condition: Condition) -> bool:
    if condition.doubt is not None or condition.special is Special.EITHER:
        return True
    return any(part.field in ("saddr", "sport", "state") for alternative in condition.alternatives for part in alternative)


def _source_at(rule: Rule) -> int | None:
    """Which condition is a plain list of sources, when exactly one is."""
    found = [
        at
        for at, condition in enumerate(rule.conditions)
        if not condition.negated and len(condition.alternatives) == 1 and len(condition.alternatives[0]) == 1 and condition.alternatives[0][0].field == "saddr"
    ]
    return found[0] if len(found) == 1 else None


def _differ_in_source(one: Rule, other: Rule) -> bool:
    at = _source_at(one)
    if at is None or at != _source_at(other) or len(one.conditions) != len(other.conditions):
        return False
    if (one.verdict, one.target, one.to, one.to_port) != (other.verdict, other.target, other.to, other.to_port):
        return False
    return all(mine == theirs for number, (mine, theirs) in enumerate(zip(one.conditions, other.conditions, strict=True)) if number != at)


def _merged(rules: list[Rule]) -> Rule:
    at = _source_at(rules[0])
    if len(rules) == 1 or at is None:
        return rules[0]
    parts = [rule.conditions[at].alternatives[0][0] for rule in rules]
    values = {family: union(span for part in parts for span in part.values[family].spans) for family in (4, 6)}
    return replace(rules[0], conditions=(*rules[0].conditions[:at], one("saddr", values), *rules[0].conditions[at + 1 :]))


def mentioned(rules: Iterable[Rule], name: str) -> set[Any]:
    """Values of a field that rules mention: port ranges, names of interfaces."""
    return {
        value
        for rule in rules
        for condition in rule.conditions
        for alternative in condition.alternatives
        for part in alternative
        if part.field == name
        for value in part.values
    }


# --- the walk --------------------------------------------------------------------------------------------------------


@record
class State:
    """Sources for which a packet surely gets here, and for which it perhaps does."""

    sure: Addresses = NOBODY
    maybe: Addresses = NOBODY

    def __bool__(self) -> bool:
        return bool(self.sure or self.maybe)

    def __or__(self, other: State) -> State:
        return State(self.sure | other.sure, self.maybe | other.maybe)

    @property
    def any(self) -> Addresses:
        """Sure or perhaps."""
        return self.sure | self.maybe

    def split(self, said: Answer) -> tuple[State, State]:
        """Those for which a condition holds, and those for which it does not."""
        if said.no is None:
            inside = State(self.sure & said.yes, self.maybe & said.yes)
            outside = State(self.sure - said.yes, self.maybe - said.yes)
            return (outside, inside) if said.negated else (inside, outside)
        doubtful = (said.yes & said.no) if said.doubt is not None else NOBODY
        unsure = self.sure & doubtful
        matched = State(self.sure & (said.yes - doubtful), (self.maybe & said.yes) | unsure)
        left = State(self.sure & (said.no - doubtful), (self.maybe & said.no) | unsure)
        return matched, left

    def doubted(self) -> State:
        """The same, but no longer sure."""
        return State(NOBODY, self.any)


_NONE = State()


@record
class Arrival:
    """Where a packet goes after prerouting: the packet as it then is, and for whom."""

    packet: Packet
    state: State


@record
class _Ends:
    """How a chain ends, gathered while it is walked and joined once."""

    accept: list[State] = field(default_factory=list)
    drop: list[State] = field(default_factory=list)
    dnat: list[Arrival] = field(default_factory=list)


def _joined(states: list[State]) -> State:
    if len(states) < 3:
        return states[0] | states[-1] if states else State()
    return State(union(span for one in states for span in one.sure.spans), union(span for one in states for span in one.maybe.spans))


class Walk:
    """One packet's walk. Remembers what it did not understand."""

    def __init__(self, ruleset: Ruleset, steps: int = 0) -> None:
        self.ruleset = ruleset
        self.doubts: list[str] = []
        self.steps = steps

    def through(self, hook: str, arrivals: list[Arrival]) -> tuple[list[Arrival], State]:
        """All base chains of a hook. Returns what passed and what was dropped.

        An accept lets the packet go on to the next base chain; a drop is final.
        """
        dropped = State()
        if not arrivals:
            return [], dropped
        for base in self.ruleset.hooked(hook, arrivals[0].packet.family):
            passed: list[Arrival] = []
            for arrival in arrivals:
                packet = arrival.packet
                if (base.kind == "nat" and packet.dnat) or (base.device is not None and base.device != packet.iif):
                    passed.append(arrival)
                    continue
                ends = _Ends()
                rest, packet = self._chain(base.key, arrival.state, packet, ends, 0)
                (ends.accept if base.policy is Verdict.ACCEPT else ends.drop).append(rest)
                dropped = dropped | _joined(ends.drop)
                accepted = _joined(ends.accept)
                if accepted:
                    passed.append(Arrival(packet, accepted))
                passed += ends.dnat
            arrivals = passed
        return arrivals, dropped

    def _chain(self, key: tuple[str, str, str], state: State, packet: Packet, ends: _Ends, depth: int) -> tuple[State, Packet]:
        """Walk one chain; returns those that fall off its end or return, and the packet as it then is."""
        returned: list[State] = []
        if depth > MAX_DEPTH:
            raise WalkTooLongError
        for rule in self.ruleset.chains.get(key, ()):
            if not state:
                break
            self.steps += 1 + ((len(state.sure.spans) + len(state.maybe.spans)) >> 10)
            if self.steps > MAX_STEPS:
                raise WalkTooLongError
            matched, state = self._match(rule, state, packet)
            if not matched:
                continue
            if rule.verdict is Verdict.ACCEPT:
                ends.accept.append(matched)
            elif rule.verdict is Verdict.DROP:
                ends.drop.append(matched)
            elif rule.verdict is Verdict.RETURN:
                returned.append(matched)
            elif rule.verdict in (Verdict.JUMP, Verdict.GOTO):
                back, packet = self._chain((key[0], key[1], rule.target), matched, packet, ends, depth + 1)
                if rule.verdict is Verdict.GOTO:
                    returned.append(back)
                else:
                    state = state | back
            elif rule.verdict is Verdict.DNAT:
                ends.dnat.append(Arrival(_sent_to(packet, rule), matched))
            elif rule.verdict is Verdict.NOTRACK:
                packet = replace(packet, untracked=True)
                state = state | matched
            elif rule.verdict is Verdict.UNKNOWN:
                self._doubt(rule.target)
                ends.accept.append(matched.doubted())
                ends.drop.append(matched.doubted())
        return _joined([state, *returned]), packet

    def _match(self, rule: Rule, state: State, packet: Packet) -> tuple[State, State]:
        everyone = EVERYONE[packet.family]
        matched, left = state, _NONE
        for condition in rule.conditions:
            said = answer(condition, packet)
            if said.no is None:
                # Whatever the source: most conditions, and no set is touched for them.
                if said.yes.spans == everyone.spans:
                    holds: bool | None = not said.negated
                else:
                    holds = None if said.yes.spans else said.negated
                if holds is True:
                    continue
                if holds is False:
                    return _NONE, left | matched if left else matched
            matched, refused = matched.split(said)
            left = left | refused
            if not matched:
                break
            if said.doubt is not None:
                self._doubt(said.doubt)
        return matched, left

    def _doubt(self, words: str) -> None:
        if words not in self.doubts and len(self.doubts) < 20:
            self.doubts.append(words)


def _sent_to(packet: Packet, rule: Rule) -> Packet:
    to = packet.to if rule.to is None else rule.to
    return replace(packet, dnat=True, to=to, port=packet.port if rule.to_port is None else rule.to_port, to_local=rule.to is None)


@record
class Reach:
    """Who gets through: surely, and perhaps (with the expressions that decide it)."""

    sure: Addresses
    maybe: Addresses
    doubts: tuple[str, ...] = ()


def reach(accepted: State, dropped: State, doubts: list[str]) -> Reach:
    """Who gets through in the end: whoever is accepted on a doubtful way and dropped on none, gets through surely."""
    sure = accepted.sure | (accepted.maybe - dropped.any)
    return Reach(sure, accepted.maybe - sure, tuple(doubts))
