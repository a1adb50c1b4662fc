"""`tutela ledger checkpoint`: the newest checkpoint, and the witnesses' cosignatures under it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from tutela.cli import EXIT_KEPT, EXIT_UNPROVEN
from tutela.cli.ledger import folders
from tutela.cli.ledger.files import read_file
from tutela.cli.ledger.trust import read_policy
from tutela.cli.options import FILE, Arguments
from tutela.errors import LedgerError, UsageError
from tutela.language import Lang, Text
from tutela.ledger.checkpoint import SignedCheckpoint, parse_signed
from tutela.ledger.log import Log, read_checkpoint, read_cosigned
from tutela.ledger.note import Signature, parse_signatures
from tutela.ledger.policy import Policy, shown
from tutela.ledger.refused import MalformedError, UnsignedError, UnwitnessedError
from tutela.ledger.signing import verify
from tutela.ledger.store.folder import Folder
from tutela.ledger.store.keeper import Ledger
from tutela.ledger.witness import MAX_REQUEST_BYTES, Request, parse_request
from tutela.report.inert import inert


def configure(parser: argparse.ArgumentParser, lang: Lang) -> None:
    """Arguments of the action."""
    options = Arguments(parser, lang)
    folders.configure(parser, lang)
    options.add(
        "--from",
        zh="连同从 N 条起的一致性证明输出，交给不联网的见证人（第一次用 0）",
        en="print it with the consistency proof from N entries on, for a witness without a network (0 for the first time)",
        dest="since",
        type=int,
        metavar="N",
    )
    options.add(
        "--cosign",
        zh="请策略里有网址的见证人见证，并公布他们的签名",
        en="have it cosigned by the policy's witnesses that have a URL, and publish their cosignatures",
        type=Path,
        metavar=Text("策略", "POLICY"),
    )
    options.add(
        "--add",
        zh="加入手工带来的见证签名（与 --cosign 同用；可重复）",
        en="add cosignatures that were brought by hand (with --cosign; may be repeated)",
        action="append",
        type=Path,
        default=[],
        metavar=FILE,
    )


def run(arguments: argparse.Namespace, lang: Lang) -> int:
    """Print it. With --cosign: 0 if the policy accepts a checkpoint with what was gathered, 3 if witnesses are missing."""
    source = Folder(arguments.ledger)
    if arguments.cosign is None:
        if arguments.add:
            raise UsageError(Text("--add 要和 --cosign 策略同用：策略说明谁是见证人", "--add needs --cosign POLICY, which says who is a witness"))
        head = read_checkpoint(source)
        content = head.content
        if arguments.since is not None:
            content = Request(arguments.since, tuple(Log(source, head).consistency(arguments.since)), head).content
        sys.stdout.write(content.decode())
        return EXIT_KEPT
    if arguments.since is not None:
        raise UsageError(Text("--from 和 --cosign 不能同用", "--from and --cosign do not go together"))
    ledger = Ledger(arguments.ledger, folders.private(arguments))
    policy = read_policy(arguments.cosign)
    accepted, missing = _gathered(ledger, policy, arguments.add, lang)
    sys.stdout.write(read_checkpoint(source).content.decode())
    if not accepted:
        _tell(missing, lang)
        return EXIT_UNPROVEN
    return EXIT_KEPT


def _gathered(ledger: Ledger, policy: Policy, files: list[Path], lang: Lang) -> tuple[bool, Text]:
    """Whether the policy accepts a checkpoint with what came in now, and what it lacks if not."""
    log = ledger.log()
    policy.signed_by_log(log.head, ledger.keys)
    held = read_cosigned(log.source)
    heads = {one.note.text: one for one in (held, log.head) if one}
    gained = {log.head.note.text: log.head}
    for path in files:
        head, signatures = _brought(path, policy, heads)
        gained[head.note.text] = _with(gained.get(head.note.text, head), signatures)
    for witness in policy.witnesses:
        if witness.url:
            known = held.checkpoint.size if held and any(one.name == witness.key.name for one in held.note.signatures) else 0
            try:
                from tutela.ledger.web import cosignature

                signature = cosignature(witness.url, witness.key, log, known)
            except LedgerError as problem:
                _tell(Text(f"{shown(witness.name)}：{problem.message.zh}", f"{shown(witness.name)}: {problem.message.en}"), lang)
            else:
                gained[log.head.note.text] = _with(gained[log.head.note.text], (signature,))
    accepted, missing = False, Text("", "")
    for head in sorted(gained.values(), key=lambda one: one.checkpoint.size):
        cosigned = policy.cosigned_by(head)
        enough = False
        try:
            policy.accept(head, ledger.keys)
            enough = True
        except UnwitnessedError as problem:
            missing = problem.message
        if cosigned:
            ledger.add_cosignatures(head, enough=enough)
        for name, signed in cosigned.items():
            size = head.checkpoint.size
            _tell(Text(f"{shown(name)} 已见证 {size} 条（{signed.at}）", f"{shown(name)} has cosigned {size} entries ({signed.at})"), lang)
        accepted = accepted or enough
    return accepted, missing


def _with(head: SignedCheckpoint, signatures: tuple[Signature, ...]) -> SignedCheckpoint:
    return SignedCheckpoint(head.checkpoint, head.note.with_signatures(signatures))


def _brought(path: Path, policy: Policy, heads: dict[str, SignedCheckpoint]) -> tuple[SignedCheckpoint, tuple[Signature, ...]]:
    """Cosignatures in a file, and what they stand under: that is in the file too, or is a checkpoint that is published. Raises UnsignedError."""
    content = read_file(path, MAX_REQUEST_BYTES)
    try:
        if content.startswith("\N{EM DASH} ".encode()):
            signatures = parse_signatures(content.decode("utf-8", "replace"))
            under = list(heads.values())
        else:
            head = parse_request(content).head if content.startswith(b"old ") else parse_signed(content)
            signatures, under = head.note.signatures, [heads.get(head.note.text, head)]
    except MalformedError as problem:
        raise MalformedError(Text(f"{path}：{problem.message.zh}", f"{path}: {problem.message.en}")) from None
    for head in under:
        if valid := tuple(_valid(signatures, policy, head)):
            return head, valid
    raise UnsignedError(
        Text(
            f"{path} 里没有策略中见证人对已公布检查点的签名；若检查点已经更新，请把签名行接在当时交出的文件之后再加入",
            f"{path} has no cosignature of the policy's witnesses under a checkpoint that is published; if that has moved on, "
            "append the line to the file that was handed out, and add that",
        )
    )


def _valid(signatures: tuple[Signature, ...], policy: Policy, head: SignedCheckpoint) -> Iterator[Signature]:
    known = {(one.key.name, one.key.key_id): one.key for one in policy.witnesses}
    for one in signatures:
        key = known.get((one.name, one.key_id))
        if key:
            try:
                verify(key, head.note.text, one.signature)
            except UnsignedError:
                continue
            yield one


def _tell(line: Text, lang: Lang) -> None:
    print(inert(line.in_(lang)), file=sys.stderr)
