"""`tutela ledger fsck`: everything in a ledger, recomputed from its entries."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tutela.cli import EXIT_BROKEN, EXIT_ERROR, EXIT_KEPT, EXIT_UNPROVEN
from tutela.cli.ledger import trust
from tutela.cli.ledger.trust import Trusted
from tutela.cli.ledger.verify import source_of
from tutela.cli.options import FOLDER, Arguments
from tutela.errors import UsageError, said_by_system
from tutela.language import Lang, Text
from tutela.ledger.checkpoint import SignedCheckpoint, parse_signed
from tutela.ledger.fsck.examination import Examination
from tutela.ledger.fsck.finding import Finding, Grade
from tutela.ledger.fsck.heads import Head, other_heads, size_now
from tutela.ledger.fsck.identities import Identities
from tutela.ledger.fsck.private import state, table
from tutela.ledger.fsck.strays import strays
from tutela.ledger.log import CHECKPOINT, Source
from tutela.ledger.note import MAX_NOTE_BYTES, VerifierKey
from tutela.ledger.refused import DamagedError, MalformedError, MissingError, OriginError, UnsignedError, UnwitnessedError
from tutela.ledger.signing import COSIGNATURE, Signed, parse_private_key
from tutela.ledger.store.keeper import KEY, SM2_KEY
from tutela.report.inert import inert


def configure(parser: argparse.ArgumentParser, lang: Lang) -> None:
    """Arguments of the action."""
    options = Arguments(parser, lang)
    options.add("ledger", zh="账本的公开文件夹或网址", en="the ledger's public folder or URL", metavar=Text("账本", "LEDGER"))
    trust.configure(parser, lang)
    options.add(
        "--own-key",
        zh="相信账本自己给出的密钥：只能发现损坏，发现不了整本伪造",
        en="believe the key that the ledger itself shows: finds damage, but no forgery of the whole",
        action="store_true",
    )
    options.add(
        "--private",
        zh="账本的私有文件夹：相信其中的密钥，并核对状态和已知记录表",
        en="the ledger's private folder: believe its key, and look at its state and its table of known records",
        type=Path,
        metavar=FOLDER,
    )


def run(arguments: argparse.Namespace, lang: Lang) -> int:
    """Name each file that is damaged, and what is wrong with it."""
    if "://" not in arguments.ledger and not Path(arguments.ledger).is_dir():
        raise UsageError(Text(f"{arguments.ledger} 不是文件夹", f"{arguments.ledger} is no folder"))
    # What we were told wrongly is no damage of the ledger.
    trust.keys_of(arguments.key)
    if arguments.policy:
        trust.read_policy(arguments.policy)
    try:
        return _looked_through(arguments, source_of(arguments.ledger), lang)
    except (MissingError, UnwitnessedError) as problem:
        print(inert(Text(f"未能证实：{problem.message.zh}", f"not proven: {problem.message.en}").in_(lang)), file=sys.stderr)
        return EXIT_UNPROVEN


def _looked_through(arguments: argparse.Namespace, source: Source, lang: Lang) -> int:
    head = missing = None
    try:
        head = parse_signed(source.read(CHECKPOINT, MAX_NOTE_BYTES))
    except (MalformedError, DamagedError) as problem:
        found = iter([Finding(CHECKPOINT, Grade.DAMAGED, problem.message)])
    else:
        pinned = _pinned(arguments, source, head)
        try:
            try:
                signed = trust.accepted(arguments, head, pinned)
            except UnwitnessedError as problem:
                # Witnesses are often one checkpoint behind: what is damaged is looked for all the same.
                signed, missing = trust.accepted(arguments, head, pinned, witnessed=False), problem
        except (UnsignedError, OriginError) as problem:
            found = iter([Finding(CHECKPOINT, Grade.DAMAGED, problem.message)])
        else:
            found = _findings(arguments, source, head, signed, Watch(head.checkpoint.size, lang))
    counts = dict.fromkeys(Grade, 0)
    for one in found:
        counts[one.grade] += 1
        print(f"{one.grade.value.in_(lang)}  {inert(one.place)}  {inert(one.what.in_(lang))}")
    print(_summary(head, counts).in_(lang))
    if missing and not counts[Grade.DAMAGED]:
        raise missing
    return EXIT_BROKEN if counts[Grade.DAMAGED] else EXIT_ERROR if counts[Grade.UNSEEN] else EXIT_KEPT


def _summary(head: SignedCheckpoint | None, counts: dict[Grade, int]) -> Text:
    damaged, unseen = counts[Grade.DAMAGED], counts[Grade.UNSEEN]
    if damaged or head is None:
        return Text(f"账本已损坏：以上 {damaged} 处", f"the ledger is damaged: {damaged} findings above")
    if unseen:
        return Text(f"以上 {unseen} 处看不到，其余没有发现损坏", f"{unseen} findings above could not be looked at; no damage was found in the rest")
    one = head.checkpoint
    return Text(f"账本完好：{one.size} 条，根 {one.root.hex()}", f"the ledger is sound: {one.size} entries, root {one.root.hex()}")


def _pinned(arguments: argparse.Namespace, source: Source, head: SignedCheckpoint) -> Trusted | None:
    """The keys that are believed unless `--key` or `--policy` say others."""
    if arguments.own_key:
        return Trusted(trust.shown_by(source, head.checkpoint.origin))
    if arguments.private:
        return Trusted(_keys_in(arguments.private))
    return trust.pinned_for(arguments, head.checkpoint.origin)


def _keys_in(private: Path) -> tuple[VerifierKey, ...]:
    """The public halves of the keys in a private folder."""
    paths = [private / KEY, *(path for path in (private / SM2_KEY,) if path.exists())]
    try:
        words = [path.read_text(encoding="utf-8", errors="replace").strip() for path in paths]
    except OSError as problem:
        why = said_by_system(problem)
        raise UsageError(Text(f"无法读取 {private} 里的密钥：{why.zh}", f"cannot read the key in {private}: {why.en}")) from None
    return tuple(parse_private_key(one).key for one in words)


def _findings(arguments: argparse.Namespace, source: Source, head: SignedCheckpoint, signed: list[Signed], watch: Watch) -> Iterator[Finding]:
    published = head.checkpoint
    folder = None if "://" in arguments.ledger else Path(arguments.ledger)
    keys = [one.key for one in signed if one.key.kind != COSIGNATURE]
    witnesses = [one.key for one in trust.read_policy(arguments.policy).witnesses] if arguments.policy else []
    heads = [Head(CHECKPOINT, published)]
    for one in (*other_heads(source, folder, published, keys, witnesses), *(state(arguments.private, published, keys) if arguments.private else ())):
        if isinstance(one, Head):
            heads.append(one)
        else:
            yield one
    with Identities() as identities:
        examination = Examination(source, heads, identities, watch.show)
        for found in examination.findings():
            watch.clear()
            yield found
        watch.clear()
        if arguments.private:
            yield from table(arguments.private, identities)
    if folder:
        yield from strays(folder, source, max(examination.size, size_now(source, published, keys)), keys)


class Watch:
    """One line on stderr that says how far it is, for whoever watches longer than two seconds."""

    def __init__(self, size: int, lang: Lang) -> None:
        self._size, self._lang = size, lang
        self._watched = sys.stderr.isatty()
        self._next = time.monotonic() + 2
        self._shown = False

    def show(self, done: int) -> None:
        """So many entries are done."""
        if self._watched and (now := time.monotonic()) >= self._next:
            self._next = now + 0.2
            self._shown = True
            words = Text(f"已看 {done} 条，共 {self._size} 条", f"{done} of {self._size} entries").in_(self._lang)
            print(f"\r\x1b[K{words}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Takes the line away."""
        if self._shown:
            self._shown = False
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
