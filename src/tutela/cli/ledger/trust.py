"""Whom a verifier believes: keys that were handed over, a policy, or keys that were pinned before.

A pin is a file a log in the user's state folder: the verifier keys, and the last checkpoint that was seen. What a log shows later must have grown out of that.
"""

from __future__ import annotations

import argparse
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from tutela.cli.ledger.files import read_file
from tutela.cli.options import FILE, Arguments, Group
from tutela.cli.state import state_folder
from tutela.errors import UsageError
from tutela.language import Lang, Text
from tutela.ledger.checkpoint import SignedCheckpoint, parse_signed
from tutela.ledger.log import VKEY, Source
from tutela.ledger.note import VerifierKey, parse_vkey
from tutela.ledger.policy import Acceptance, is_log_key
from tutela.ledger.refused import MalformedError, MissingError, OriginError, UnsignedError
from tutela.ledger.signing import Signed, verified_by
from tutela.record import record

if TYPE_CHECKING:
    from tutela.ledger.policy import Policy

_MAX_KEYS_BYTES = 1 << 16
_MAX_ROOTS_BYTES = 1 << 20


def configure(parser: argparse.ArgumentParser, lang: Lang) -> None:
    """Options that say whom to believe."""
    group = Group(parser, lang, "相信谁", "whom to believe")
    group.add(
        "--key",
        zh="账本的验证密钥（名称+编号+base64），或存有它的文件；可重复",
        en="the ledger's verifier key (name+id+base64) or a file that holds it; may be repeated",
        action="append",
        default=[],
        metavar=Text("密钥", "VKEY"),
    )
    group.add(
        "--policy",
        zh="信任策略（C2SP tlog-policy）：哪些账本、哪些见证人",
        en="a trust policy (C2SP tlog-policy): which logs, which witnesses",
        type=Path,
        metavar=FILE,
    )


def configure_roots(parser: argparse.ArgumentParser | argparse._ArgumentGroup, lang: Lang) -> None:
    """The option that says which time-stamping authorities to believe."""
    Arguments(parser, lang).add(
        "--tsa-root", zh="可信时间戳机构的根证书（PEM）", en="root certificates of the time-stamping authorities to believe (PEM)", type=Path, metavar=FILE
    )


def roots_of(arguments: argparse.Namespace) -> bytes:
    """The root certificates that were named; nothing if none were. Raises UsageError for a file that holds none."""
    if not arguments.tsa_root:
        return b""
    from cryptography.x509 import load_pem_x509_certificates

    content = read_file(arguments.tsa_root, _MAX_ROOTS_BYTES)
    try:
        load_pem_x509_certificates(content)
    except ValueError:
        raise UsageError(Text(f"{arguments.tsa_root} 里没有 PEM 证书", f"{arguments.tsa_root} holds no PEM certificates")) from None
    return content


@record
class Trusted:
    """What is known of a log from earlier."""

    keys: tuple[VerifierKey, ...]
    seen: SignedCheckpoint | None = None


def keys_of(words: list[str]) -> tuple[VerifierKey, ...]:
    """The keys that `--key` names; raises UsageError: what is no key says nothing about the ledger."""
    found = []
    for word in words:
        path = Path(word)
        text = word
        if "+" not in word or path.is_file():
            # Some editors begin a file with a mark of the encoding, which is no part of a name.
            text = read_file(path, _MAX_KEYS_BYTES).decode("utf-8-sig", "replace")
        try:
            found += [parse_vkey(line.strip()) for line in text.splitlines() if line.strip()]
        except MalformedError as problem:
            raise UsageError(problem.message) from None
    return tuple(found)


def shown_by(source: Source, origin: str) -> tuple[VerifierKey, ...]:
    """The keys that a ledger itself shows; raises MalformedError, or OriginError if none of them is its own.

    It speaks for itself alone: a witness's key that it shows might be one that it made up. Unlike what a person says, they are never taken for the name of a file.
    """
    words = source.read(VKEY, _MAX_KEYS_BYTES).decode("utf-8", "replace")
    keys = tuple(parse_vkey(line) for line in words.removesuffix("\n").split("\n"))
    own = tuple(key for key in keys if key.name == origin and is_log_key(key))
    if not own:
        names = sorted({key.name for key in keys})
        raise OriginError(
            Text(
                f"{source.place}：检查点属于账本 {origin!r}，{VKEY} 里的密钥却属于 {'、'.join(names)}",
                f"{source.place}: the checkpoint is of the ledger {origin!r}, but {VKEY} holds keys of {', '.join(names)}",
            )
        )
    return own


def accepted(arguments: argparse.Namespace, head: SignedCheckpoint, pinned: Trusted | None, *, witnessed: bool = True) -> list[Signed]:
    """Who of those that are trusted signed this checkpoint; raises the LedgerError that says why it is not acceptable.

    Where it is not to be `witnessed`, the log's own signature is enough. With `--policy` and `--key` both must be content.
    """
    told = keys_of(arguments.key)
    keys = told or (pinned.keys if pinned else ())
    policy = read_policy(arguments.policy) if arguments.policy else None
    origin = head.checkpoint.origin
    if not keys and not (policy and policy.logs):
        raise no_key(origin)
    if policy:
        found = policy.accept(head, keys) if witnessed else Acceptance(policy.signed_by_log(head, keys), {})
        if any(map(is_log_key, told)) and not any(one.key in told for one in found.logs):
            signer = ", ".join(one.key.vkey for one in found.logs)
            raise UnsignedError(
                Text(f"签名的是策略里的 {signer}，不是 --key 给出的密钥", f"it is signed by {signer} of the policy, which is no key given with --key")
            )
        return [*found.logs, *found.witnesses.values()]
    # A cosigner's word alone is none, whatever its name: the log itself must have signed.
    own = tuple(key for key in keys if key.name == origin and is_log_key(key))
    if not own:
        names = sorted({key.name for key in keys})
        raise OriginError(
            Text(
                f"检查点属于账本 {origin!r}，可信的密钥属于 {'、'.join(names)}",
                f"the checkpoint is of the ledger {origin!r}, the trusted keys are of {', '.join(names)}",
            )
        )
    verified_by(head.note, own)
    return verified_by(head.note, keys)


def no_key(origin: str) -> MissingError:
    """What is missing where nobody has said whom to believe."""
    return MissingError(
        Text(
            f"没有账本 {origin!r} 的可信密钥：用 --key 给出对方交来的验证密钥，或用 --policy；对账本文件夹或网址也可以 --trust-on-first-use",
            f"no trusted key for the ledger {origin!r}: give the verifier key that was handed to you with --key, or a --policy; "
            "for a ledger's folder or URL also --trust-on-first-use",
        )
    )


def read_policy(path: Path) -> Policy:
    """The policy in a file; raises UsageError: one that is none says nothing about the ledger."""
    from tutela.ledger.policy import MAX_POLICY_BYTES, parse_policy

    try:
        return parse_policy(read_file(path, MAX_POLICY_BYTES))
    except MalformedError as problem:
        raise UsageError(Text(f"{path}：{problem.message.zh}", f"{path}: {problem.message.en}")) from None


class Pins:
    """The pins of this user."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or _state() / "ledgers"

    def of(self, origin: str) -> Trusted | None:
        """What is pinned for a log."""
        path = self._path(origin)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        keys, _, seen = content.partition(b"\n\n")
        try:
            return Trusted(tuple(parse_vkey(line) for line in keys.decode("utf-8", "replace").split("\n")), parse_signed(seen) if seen else None)
        except MalformedError as problem:
            raise UsageError(
                Text(
                    f"{path} 记着这本账的密钥和上次见到的检查点，已损坏（{problem.message.zh}）：向对方核对密钥后删除它，再用 --trust-on-first-use",
                    f"{path}, which holds this ledger's key and what was seen last, is damaged ({problem.message.en}): "
                    "compare the key with the other side, remove the file, and use --trust-on-first-use",
                )
            ) from None

    def put(self, origin: str, keys: tuple[VerifierKey, ...], seen: SignedCheckpoint) -> None:
        """Pins keys and what was seen, unless somebody who looked at the same time has seen more."""
        from tutela.ledger.store.durable import alone, replace

        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with alone(self._folder):
            held = self.of(origin)
            if held is None or held.seen is None or held.seen.checkpoint.size <= seen.checkpoint.size:
                replace(self._path(origin), ("".join(f"{key.vkey}\n" for key in keys) + "\n").encode() + seen.content, 0o600)

    def _path(self, origin: str) -> Path:
        return self._folder / sha256(origin.encode()).hexdigest()


def _state() -> Path:
    try:
        return state_folder()
    except RuntimeError:
        raise UsageError(
            Text(
                "这个用户没有主目录，不知道记住的密钥和上次见到的检查点在哪里：请设置 XDG_STATE_HOME",
                "this user has no home folder, where pinned keys and what was seen last would be: set XDG_STATE_HOME",
            )
        ) from None


def pinned_for(arguments: argparse.Namespace, origin: str) -> Trusted | None:
    """What was pinned for a log, where `--key` does not say whom to believe."""
    return None if arguments.key else Pins().of(origin)
