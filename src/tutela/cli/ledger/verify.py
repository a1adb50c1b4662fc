"""`tutela ledger verify`: a receipt, or a ledger's checkpoint, against keys that one trusts. Needs no private key and no server of ours."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from tutela.cli import EXIT_BROKEN, EXIT_KEPT, EXIT_UNPROVEN
from tutela.cli.ledger import trust
from tutela.cli.ledger.files import read_file
from tutela.cli.ledger.subject import read_subject
from tutela.cli.ledger.trust import Pins, Trusted
from tutela.cli.options import FILE, Arguments
from tutela.errors import LedgerError, UsageError
from tutela.language import Lang, Text, same
from tutela.ledger import timestamp
from tutela.ledger.checkpoint import SignedCheckpoint
from tutela.ledger.entry import written
from tutela.ledger.fork import TITLE, Fork, TwoHistoriesError, parse_fork
from tutela.ledger.log import Log, Source, read_checkpoint
from tutela.ledger.merkle import check_consistency
from tutela.ledger.receipt import MAX_RECEIPT_BYTES, Receipt, parse_receipt
from tutela.ledger.refused import DamagedError, MissingError, MisuseError, RollbackError, UnreachableError, UnwitnessedError
from tutela.ledger.signing import COSIGNATURE, Signed
from tutela.ledger.store.stamps import kept
from tutela.ledger.timestamp import MAX_REPLY_BYTES
from tutela.report.inert import inert


def configure(parser: argparse.ArgumentParser, lang: Lang) -> None:
    """Arguments of the action."""
    options = Arguments(parser, lang)
    options.add(
        "target",
        zh="收据文件，账本的文件夹或网址，或见证人保存的两段历史的证据",
        en="a receipt, a ledger's folder or URL, or a witness's proof of two histories",
        metavar=Text("收据或账本", "TARGET"),
    )
    options.add("subject", zh="收据所说的文件，一并对照", en="the file that the receipt speaks of, to be compared", nargs="?", type=Path, metavar=FILE)
    trust.configure(parser, lang)
    options.add("--timestamp", zh="收据中检查点的时间戳（.tsr）", en="a time-stamp of the receipt's checkpoint (.tsr)", type=Path, metavar=FILE)
    trust.configure_roots(parser, lang)
    options.add(
        "--trust-on-first-use",
        zh="第一次见到这本账时相信它自己给出的密钥，显示并记住（请与对方核对）",
        en="the first time, believe the key that the ledger itself shows; it is printed and pinned (compare it with the other side)",
        action="store_true",
    )


def run(arguments: argparse.Namespace, lang: Lang) -> int:
    """Say what holds, or the exact thing that fails."""
    try:
        for line in _verified(arguments):
            print(inert(line.in_(lang)))
    except MisuseError:
        raise
    except (MissingError, UnreachableError, UnwitnessedError) as problem:
        print(inert(Text(f"未能证实：{problem.message.zh}", f"not proven: {problem.message.en}").in_(lang)), file=sys.stderr)
        return EXIT_UNPROVEN
    except LedgerError as problem:
        print(inert(Text(f"不成立：{problem.message.zh}", f"does not verify: {problem.message.en}").in_(lang)), file=sys.stderr)
        return EXIT_BROKEN
    return EXIT_KEPT


def _verified(arguments: argparse.Namespace) -> Iterator[Text]:
    target: str = arguments.target
    if "://" in target or Path(target).is_dir():
        _refuse_beside_ledger(arguments)
        yield from _ledger(arguments, source_of(target))
    else:
        content = read_file(Path(target), MAX_RECEIPT_BYTES)
        if content.startswith(TITLE.encode()):
            if arguments.subject or arguments.timestamp or arguments.tsa_root:
                raise UsageError(
                    Text("两段历史的证据没有文件或时间戳可对照", "a proof of two histories has neither a file nor a time-stamp to be compared with"),
                )
            yield from _fork(arguments, parse_fork(content))
        else:
            if arguments.tsa_root and not arguments.timestamp:
                raise UsageError(
                    Text("收据的时间戳要用 --timestamp 文件.tsr 给出", "a receipt's time-stamp is not part of it: name its file with --timestamp FILE.tsr")
                )
            yield from _receipt(arguments, parse_receipt(content))


def _refuse_beside_ledger(arguments: argparse.Namespace) -> None:
    """What a ledger is not compared with: it would go for verified, and nobody had looked."""
    if arguments.subject:
        raise UsageError(Text("对照文件需要收据：先用 tutela ledger prove 开出", "comparing a file needs a receipt: make one with tutela ledger prove"))
    if arguments.timestamp:
        raise UsageError(
            Text(
                "--timestamp 只用于收据；账本文件夹里的时间戳用 --tsa-root 一并查看",
                "--timestamp is for receipts; the time-stamps in a ledger's folder are looked at with --tsa-root",
            )
        )
    if arguments.tsa_root and "://" in arguments.target:
        raise UsageError(
            Text(
                "网址上列不出时间戳：请给出账本的文件夹；或向账本的主人要收据和它的 .tsr 文件，用 --timestamp 验证",
                "time-stamps cannot be listed on a web server: name the ledger's folder; or ask its keeper for a receipt with its .tsr, and give that with --timestamp",
            )
        )


def source_of(target: str) -> Source:
    """A ledger's files at a folder or a URL."""
    if "://" in target:
        from tutela.ledger.web import Web

        return Web(target)
    from tutela.ledger.store.folder import Folder

    return Folder(Path(target))


def _receipt(arguments: argparse.Namespace, receipt: Receipt) -> Iterator[Text]:
    head = receipt.head
    pinned = trust.pinned_for(arguments, head.checkpoint.origin)
    signed = trust.accepted(arguments, head, pinned)
    if pinned and pinned.seen and pinned.seen.checkpoint.size == head.checkpoint.size and pinned.seen.checkpoint.root != head.checkpoint.root:
        # Of other sizes nothing can be told without the ledger; two roots of one size need no proof.
        raise TwoHistoriesError(Fork(pinned.seen, head, head.checkpoint.root, ()))
    receipt.check()
    said = receipt.said
    if arguments.subject:
        receipt.check_subject(read_subject(arguments.subject).content)
    yield Text(f"收据成立：第 {receipt.index} 条，账本共 {head.checkpoint.size} 条", f"the receipt verifies: entry {receipt.index} of {head.checkpoint.size}")
    yield Text(
        f"  记录  {said.record.kind}，生效 {written(said.record.effective)}，收到 {written(said.record.received)}，记入 {written(said.logged)}",
        f"  entry      {said.record.kind}, effective {written(said.record.effective)}, received {written(said.record.received)}, logged {written(said.logged)}",
    )
    yield Text(f"  主体  {said.record.subject}", f"  subject    {said.record.subject}")
    if arguments.subject:
        yield Text(f"  文件  与 {arguments.subject} 相符", f"  file       {arguments.subject} is what was logged")
    yield from _signers(head, signed)
    if arguments.timestamp:
        yield _stamped(arguments, head, read_file(arguments.timestamp, MAX_REPLY_BYTES))


def _fork(arguments: argparse.Namespace, fork: Fork) -> Iterator[Text]:
    """The proof that a witness keeps when a ledger shows two histories."""
    pinned = trust.pinned_for(arguments, fork.first.checkpoint.origin)
    listed = tuple(one.key for one in trust.read_policy(arguments.policy).logs) if arguments.policy else ()
    keys = trust.keys_of(arguments.key) or listed or (pinned.keys if pinned else ())
    if not keys:
        raise trust.no_key(fork.first.checkpoint.origin)
    fork.check(keys)
    proven = TwoHistoriesError(fork).message
    yield Text(f"证据成立：{proven.zh}", f"the proof holds: {proven.en}")


def _ledger(arguments: argparse.Namespace, source: Source) -> Iterator[Text]:
    head = read_checkpoint(source)
    origin = head.checkpoint.origin
    pins = Pins()
    pinned = pins.of(origin)
    first = pinned is None and arguments.trust_on_first_use and not arguments.key and not arguments.policy
    if first:
        pinned = Trusted(trust.shown_by(source, origin))
    signed = trust.accepted(arguments, head, pinned)
    log = Log(source, head)
    if log.tree.root() != head.checkpoint.root:
        raise DamagedError(Text(f"{source.place} 的瓦片与签过的根不符", f"the tiles of {source.place} do not give the root that was signed"))
    if pinned and pinned.seen:
        grown(log, pinned.seen)
    if pinned:
        pins.put(origin, pinned.keys, head)
    if first and pinned:
        yield Text("初次信任，已记住这把密钥，请与账本的主人核对：", "trusted on first use and pinned; compare this key with the ledger's keeper:")
        yield from (same(f"  {key.vkey}") for key in pinned.keys)
    yield Text(f"账本成立：{head.checkpoint.size} 条", f"the ledger verifies: {head.checkpoint.size} entries")
    if pinned and pinned.seen:
        yield Text(
            f"  历史  由上次见到的 {pinned.seen.checkpoint.size} 条增长而来", f"  history    grew out of the {pinned.seen.checkpoint.size} entries seen last"
        )
    yield from _signers(head, signed)
    if arguments.tsa_root:
        found = False
        for _, old, reply in kept(Path(arguments.target)):
            # The history it is a part of was witnessed; when it was stamped, nobody need have been asked yet.
            trust.accepted(arguments, old, pinned, witnessed=False)
            grown(log, old)
            yield _stamped(arguments, old, reply)
            found = True
        if not found:
            raise MissingError(Text(f"{source.place} 里没有时间戳", f"there are no time-stamps in {source.place}"))


def _stamped(arguments: argparse.Namespace, head: SignedCheckpoint, reply: bytes) -> Text:
    """What a time-stamp says; raises unless an authority that is trusted made it for this checkpoint."""
    roots = trust.roots_of(arguments)
    if not roots:
        raise MissingError(
            Text("没有可信的时间戳机构：用 --tsa-root 给出根证书", "no trusted time-stamping authority: give its root certificate with --tsa-root")
        )
    found = timestamp.verify(head.note.text.encode(), reply, roots)
    at, size = f"{found.time:%Y-%m-%dT%H:%M:%SZ}", head.checkpoint.size
    return Text(
        f"  时间  {at} 时已有 {size} 条（时间戳，{found.verified_by} 验证）", f"  stamped    {size} entries existed at {at} (verified by {found.verified_by})"
    )


def grown(log: Log, seen: SignedCheckpoint) -> None:
    """That the log is what was seen before, grown on."""
    old, new = seen.checkpoint, log.head.checkpoint
    if new.size < old.size:
        raise RollbackError(
            Text(
                f"账本倒退了：上次见到 {old.size} 条，现在只有 {new.size} 条",
                f"the ledger went back: it had {old.size} entries when last seen, and has {new.size} now",
            )
        )
    check_consistency(old.size, old.root, new.size, new.root, log.consistency(old.size))


def _signers(head: SignedCheckpoint, signed: list[Signed]) -> Iterator[Text]:
    yield Text(
        f"  账本  {head.checkpoint.origin}，根 {head.checkpoint.root.hex()}", f"  ledger     {head.checkpoint.origin}, root {head.checkpoint.root.hex()}"
    )
    for one in signed:
        if one.key.kind == COSIGNATURE:
            yield Text(f"  见证  {one.key.name}，{one.at}", f"  witnessed  by {one.key.name} at {one.at}")
        else:
            yield Text(f"  签名  {one.key.name}（密钥 {one.key.key_id.hex()}）", f"  signed     by {one.key.name} (key {one.key.key_id.hex()})")
