"""Which logs and witnesses make a checkpoint acceptable, by C2SP tlog-policy: https://c2sp.org/tlog-policy

    log <vkey> [<url>]
    witness <name> <vkey> [<url>]
    group <name> all|any|<k> <name>…
    quorum <name>|none

A checkpoint is acceptable if one of the logs signed it and the quorum of witnesses cosigned it. Who wrote the policy decides whom to believe: it is trusted.
"""

from __future__ import annotations

from collections.abc import Callable

from tutela.language import Text
from tutela.ledger import sm2
from tutela.ledger.checkpoint import SignedCheckpoint
from tutela.ledger.note import VerifierKey, decimal, parse_vkey
from tutela.ledger.refused import MalformedError, OriginError, UnwitnessedError
from tutela.ledger.signing import COSIGNATURE, ED25519, Signed, verified_by
from tutela.record import record

MAX_POLICY_BYTES = 1 << 20
NONE = "none"
_KEY_BYTES = 32


@record
class KnownLog:
    """A log whose checkpoints are accepted."""

    key: VerifierKey
    url: str | None


@record
class Witness:
    """A witness by the name it has in this policy."""

    name: str
    key: VerifierKey
    url: str | None
    """The prefix under which it takes checkpoints (tlog-witness)."""


@record
class Group:
    """Counts as having witnessed once `threshold` of its members have: witnesses, or groups defined before it."""

    name: str
    threshold: int
    members: tuple[str, ...]


@record
class Acceptance:
    """Who stands behind a checkpoint that a policy accepts."""

    logs: tuple[Signed, ...]
    witnesses: dict[str, Signed]
    """By their names in the policy: all that cosigned, also beyond the quorum."""


@record
class Policy:
    """A policy file that keeps all rules. Names are octets: what is no UTF-8 in them is kept as Python's surrogate escapes."""

    logs: tuple[KnownLog, ...]
    witnesses: tuple[Witness, ...]
    groups: tuple[Group, ...]
    quorum: str
    """A witness's or group's name, or `none`."""

    def accept(self, head: SignedCheckpoint, known: tuple[VerifierKey, ...] = ()) -> Acceptance:
        """Who signed, if that is enough. `known` are logs known from elsewhere, for a policy that names none.

        Raises UnsignedError or OriginError (no log of ours), UnwitnessedError (no quorum; it names who is missing).
        """
        logs = self.signed_by_log(head, known)
        witnesses = self.cosigned_by(head)
        lacking = self._lacking(set(witnesses))
        if lacking:
            raise UnwitnessedError(
                Text(
                    "没有达到法定见证：" + "；".join(one.zh for one in lacking),
                    "the quorum of witnesses is not reached: " + "; ".join(one.en for one in lacking),
                )
            )
        return Acceptance(logs, witnesses)

    def signed_by_log(self, head: SignedCheckpoint, known: tuple[VerifierKey, ...] = ()) -> tuple[Signed, ...]:
        """The logs that signed; raises UnsignedError, or OriginError where a log signed in another's name."""
        signed = verified_by(head.note, tuple(one.key for one in self.logs) or known)
        origin = head.checkpoint.origin
        found = tuple(one for one in signed if one.key.name == origin and is_log_key(one.key))
        if not found:
            names = ", ".join(one.key.name for one in signed)
            raise OriginError(
                Text(
                    f"检查点自称属于 {origin!r}，签名的却是 {names} 的密钥",
                    f"the checkpoint calls itself {origin!r}, but it is the key of {names} that signed it",
                )
            )
        return found

    def cosigned_by(self, head: SignedCheckpoint) -> dict[str, Signed]:
        """The witnesses that cosigned, by name; raises UnsignedError where a cosignature does not verify."""
        names = {(one.key.name, one.key.key_id): one.name for one in self.witnesses}
        if not any((one.name, one.key_id) in names for one in head.note.signatures):
            return {}
        signed = verified_by(head.note, tuple(one.key for one in self.witnesses))
        return {names[one.key.name, one.key.key_id]: one for one in signed}

    def _lacking(self, have: set[str]) -> list[Text]:
        """What the quorum still needs; empty once it is reached. `have` gets the names of the groups that have witnessed."""
        if self.quorum == NONE:
            return []
        # Members are defined before their group, so one pass is enough, however deep they nest.
        for group in self.groups:
            if len(have.intersection(group.members)) >= group.threshold:
                have.add(group.name)
        if self.quorum in have:
            return []
        groups = {one.name: one for one in self.groups}
        found, look = [], [self.quorum]
        while look:
            name = look.pop()
            group_or_none = groups.get(name)
            if group_or_none is None:
                found.append(Text(f"缺少见证人 {shown(name)}", f"witness {shown(name)} is missing"))
                continue
            without = [one for one in group_or_none.members if one not in have]
            names = ", ".join(map(shown, without))
            found.append(
                Text(
                    f"{shown(name)} 需要 {group_or_none.threshold} 个，只有 {len(group_or_none.members) - len(without)} 个，缺少 {names}",
                    f"{shown(name)} needs {group_or_none.threshold} and has {len(group_or_none.members) - len(without)}, without {names}",
                )
            )
            look += [one for one in reversed(without) if one in groups]
        return found


def shown(name: str) -> str:
    """A name for messages."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def parse_policy(content: bytes) -> Policy:
    """The policy in a file; raises MalformedError, which names the line."""
    if len(content) > MAX_POLICY_BYTES:
        raise MalformedError(Text(f"策略文件超过 {MAX_POLICY_BYTES} 字节", f"the policy has more than {MAX_POLICY_BYTES} bytes"))
    reading = _Reading()
    *lines, rest = content.split(b"\n")
    for number, line in enumerate(lines, 1):
        try:
            reading.take(line)
        except MalformedError as problem:
            raise MalformedError(Text(f"策略第 {number} 行：{problem.message.zh}", f"policy, line {number}: {problem.message.en}")) from None
    if rest:
        # It would be taken for whole where it was cut in the middle of a line.
        raise MalformedError(Text(f"策略第 {len(lines) + 1} 行：没有换行", f"policy, line {len(lines) + 1}: the line does not end"))
    if reading.quorum is None:
        raise MalformedError(Text("策略里没有 quorum 行", "the policy has no quorum line"))
    return Policy(tuple(reading.logs), tuple(reading.witnesses), tuple(reading.groups), reading.quorum)


class _Reading:
    """A policy as far as it was read."""

    def __init__(self) -> None:
        self.logs: list[KnownLog] = []
        self.witnesses: list[Witness] = []
        self.groups: list[Group] = []
        self.quorum: str | None = None
        self._names = {NONE}
        self._members: set[str] = set()

    def take(self, line: bytes) -> None:
        """One line, without its end."""
        if any((octet < 0x20 and octet != 0x09) or octet == 0x7F for octet in line):
            raise MalformedError(Text("有控制字符（换行只用 LF）", "there is a control character (lines end with LF alone)"))
        # Of white space only blanks and tabs are left; what is white in Unicode belongs to a name.
        words = [word.decode("utf-8", "surrogateescape") for word in line.split()]
        if not words or words[0].startswith("#"):
            return
        kind, *values = words
        match kind:
            case "log" if len(values) in (1, 2):
                key = _key(values[0], is_log_key, [one.key for one in self.logs])
                self.logs.append(KnownLog(key, _second(values, 1)))
            case "witness" if len(values) in (2, 3):
                name = self._new(values[0])
                key = _key(values[1], is_witness_key, [one.key for one in self.witnesses])
                self.witnesses.append(Witness(name, key, _second(values, 2)))
            case "group" if len(values) >= 3:
                self._take_group(values[0], values[1], values[2:])
            case "quorum" if len(values) == 1:
                self._take_quorum(values[0])
            case "log" | "witness" | "group" | "quorum":
                raise MalformedError(Text(f"应写成 {_FORMS[kind]}", f"it should read: {_FORMS[kind]}"))
            case _:
                raise MalformedError(
                    Text(f"不认识 {shown(kind)!r}，应为 log、witness、group 或 quorum", f"{shown(kind)!r} is none of log, witness, group, quorum")
                )

    def _new(self, name: str) -> str:
        if name in self._names:
            raise MalformedError(Text(f"名称 {shown(name)} 已有了", f"the name {shown(name)} is taken"))
        self._names.add(name)
        return name

    def _take_group(self, name: str, threshold: str, members: list[str]) -> None:
        for one in members:
            if one == NONE or one not in self._names:
                raise MalformedError(Text(f"前面没有定义 {shown(one)}", f"{shown(one)} is not defined on a line before"))
            if one in self._members:
                raise MalformedError(Text(f"{shown(one)} 已是成员，只能算一次", f"{shown(one)} is a member already, and counts once only"))
            self._members.add(one)
        needed = {"all": len(members), "any": 1}.get(threshold) or decimal(threshold)
        if not 1 <= needed <= len(members):
            raise MalformedError(Text(f"人数应在 1 到 {len(members)} 之间", f"the threshold is not between 1 and {len(members)}"))
        self.groups.append(Group(self._new(name), needed, tuple(members)))

    def _take_quorum(self, name: str) -> None:
        if self.quorum is not None:
            raise MalformedError(Text("quorum 只能有一行", "there is a quorum line already"))
        if name not in self._names:
            raise MalformedError(Text(f"前面没有定义 {shown(name)}", f"{shown(name)} is not defined on a line before"))
        self.quorum = name


_FORMS = {
    "log": "log <vkey> [<url>]",
    "witness": "witness <name> <vkey> [<url>]",
    "group": "group <name> all|any|<k> <name>...",
    "quorum": "quorum <name>|none",
}


def _second(values: list[str], at: int) -> str | None:
    return values[at] if len(values) > at else None


def is_log_key(key: VerifierKey) -> bool:
    """Whether it is a key that can sign checkpoints, of a type that `signing` verifies."""
    if key.kind == sm2.KIND:
        return key.material.startswith(sm2.IDENTIFIER)
    return key.kind == ED25519 and len(key.material) == _KEY_BYTES


def is_witness_key(key: VerifierKey) -> bool:
    """The same, for cosigning them."""
    return key.kind == COSIGNATURE and len(key.material) == _KEY_BYTES


def _key(words: str, fits: Callable[[VerifierKey], bool], others: list[VerifierKey]) -> VerifierKey:
    try:
        words.encode("utf-8")
    except UnicodeEncodeError:
        raise MalformedError(Text("验证密钥不是 UTF-8", "the verifier key is not UTF-8")) from None
    key = parse_vkey(words)
    if not fits(key):
        raise MalformedError(
            Text(
                f"{key.name} 的密钥（类型 {key.kind:#04x}）不能用在这里：账本用 Ed25519（0x01）或 SM2，见证人用 0x04",
                f"the key of {key.name}, of type {key.kind:#04x}, cannot be used here: logs have Ed25519 (0x01) or SM2, witnesses 0x04",
            )
        )
    if any(one.material == key.material for one in others):
        raise MalformedError(Text(f"{key.name} 的公钥前面已有", f"the public key of {key.name} stands on a line before"))
    return key
