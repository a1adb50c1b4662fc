"""`tutela ledger prove`: a receipt for an entry."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tutela.cli.ledger import folders
from tutela.cli.ledger.subject import digests, read_subject
from tutela.cli.options import FILE, Arguments
from tutela.language import Lang, Text
from tutela.ledger.log import Log, read_checkpoint, read_cosigned, read_tile
from tutela.ledger.receipt import SUFFIX, Receipt
from tutela.ledger.refused import MisuseError
from tutela.ledger.store.folder import Folder
from tutela.ledger.store.salts import Salts
from tutela.ledger.tiles import ENTRIES, WIDTH, entries_in, tile_at

_MANY_DIGITS = 20


def configure(parser: argparse.ArgumentParser, lang: Lang) -> None:
    """Arguments of the action."""
    options = Arguments(parser, lang)
    folders.configure(parser, lang)
    options.add(
        "entry", zh="记录的序号，或已记入的文件，或它的摘要", en="an entry's index, or a file that was logged, or its digest", metavar=Text("记录", "ENTRY")
    )
    options.add(
        "--output",
        zh=f"写入文件（通常以 {SUFFIX} 结尾）；默认标准输出",
        en=f"write to this file (usually *{SUFFIX}); default standard output",
        type=Path,
        metavar=FILE,
    )
    options.add("--without-salt", zh="收据不带盐，对方无法对照文件", en="leave the salt out: nobody can compare a file with it", action="store_true")
    options.add("--qr", zh="另存为二维码图片（.svg 或 .png），可印在纸上", en="save as a QR code too (.svg or .png), for paper", type=Path, metavar=FILE)


def run(arguments: argparse.Namespace, lang: Lang) -> int:
    """Write the receipt; it is checked before anybody gets it."""
    from tutela.collect.archive import write_whole

    receipt = receipt_of(arguments)
    # With the salt, whoever else reads it can try whom the entry speaks of.
    private = receipt.salt is not None
    if arguments.qr:
        from tutela.cli.ledger.qr import write_codes

        for path in write_codes(arguments.qr, receipt.content, private=private):
            print(Text(f"已写入 {path}", f"wrote {path}").in_(lang), file=sys.stderr)
    if arguments.output:
        write_whole(arguments.output, receipt.content, private=private)
        print(
            Text(
                f"已写入 {arguments.output}：第 {receipt.index} 条，共 {receipt.head.checkpoint.size} 条",
                f"wrote {arguments.output}: entry {receipt.index} of {receipt.head.checkpoint.size}",
            ).in_(lang)
        )
    elif not arguments.qr:
        sys.stdout.write(receipt.content.decode())
    return 0


def receipt_of(arguments: argparse.Namespace) -> Receipt:
    """The receipt that was asked for, from the public folder; the private one only knows salts."""
    from tutela.ledger.store.keeper import SALTS

    source = Folder(arguments.ledger)
    log = Log(source, read_checkpoint(source))
    salts = folders.private(arguments) / SALTS
    # Who is not the ledger's keeper may not look into the private folder, and needs nothing of it.
    known = Salts(salts) if os.access(salts, os.R_OK | os.X_OK, effective_ids=True) else None
    words: str = arguments.entry
    # No log has an index of more digits, and Python refuses thousands of them.
    if words.isdecimal() and len(words) < _MANY_DIGITS:
        index = int(words)
    else:
        path = Path(words)
        if ":" in words and not path.exists():
            wanted: tuple[str, ...] = (words,)
        else:
            content = read_subject(path).content
            wanted = tuple(digests(content, known.known(content) if known else None))
        index = _find(log, wanted)
    cosigned = read_cosigned(source)
    if cosigned and index < cosigned.checkpoint.size:
        # Witnesses stand behind this one, and perhaps not yet behind the newest.
        log = Log(source, cosigned)
    entry = log.entry(index)
    receipt = Receipt(entry, index, tuple(log.proof(index)), log.head)
    subject = receipt.said.record.subject
    salt = None if known is None or arguments.without_salt or subject.startswith("sha256:") else known.find(subject)
    return Receipt(entry, index, receipt.proof, log.head, salt)


def _find(log: Log, subjects: tuple[str, ...]) -> int:
    """The newest entry that speaks of one of these subjects."""
    wanted = tuple(f'"subject":"{one}"}}'.encode() for one in subjects)
    for number in reversed(range(-(-log.size // WIDTH))):
        tile = tile_at(ENTRIES, number, log.size)
        content = read_tile(log.source, tile)
        # Most bundles have none, and are not taken apart.
        if any(one in content for one in wanted):
            for at, entry in reversed(list(enumerate(entries_in(content, tile)))):
                if entry.endswith(wanted):
                    return number * WIDTH + at
    raise MisuseError(
        Text(
            f"账本里没有 {subjects[0]}（{log.source.place}，{log.size} 条）",
            f"the ledger has no entry for {subjects[0]} ({log.source.place}, {log.size} entries)",
        )
    )
