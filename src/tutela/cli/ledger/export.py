"""`tutela ledger export`: a copy of a ledger that anybody can keep, or its entries as JSON lines."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tutela.cli.ledger import trust
from tutela.cli.ledger.verify import grown, source_of
from tutela.cli.options import FOLDER, Arguments
from tutela.language import Lang, Text
from tutela.ledger.entry import parse_entry
from tutela.ledger.log import CHECKPOINT, Log, read_checkpoint, read_tile
from tutela.ledger.merkle import leaf_hash, root_of
from tutela.ledger.refused import DamagedError, MalformedError, MissingError
from tutela.ledger.store.durable import alone, make_folders, replace
from tutela.ledger.store.folder import Folder
from tutela.ledger.tiles import ENTRIES, TILE_BYTES, WIDTH, Tile, bundle_of, hashes_in, tile_at, tiles_of


def configure(parser: argparse.ArgumentParser, lang: Lang) -> None:
    """Arguments of the action."""
    options = Arguments(parser, lang)
    options.add("ledger", zh="账本的公开文件夹或网址", en="the ledger's public folder or URL", metavar=FOLDER)
    options.add(
        "--output",
        zh="复制到此文件夹（可重复执行，只补新的）；省略则输出 JSON 行",
        en="copy to this folder (again and again: only what is new); without it, print JSON lines",
        type=Path,
        metavar=FOLDER,
    )
    trust.configure(parser, lang)


def run(arguments: argparse.Namespace, lang: Lang) -> int:
    """Copy, or print; what is copied or printed was checked against the checkpoint's root."""
    source = source_of(arguments.ledger)
    head = read_checkpoint(source)
    pinned = trust.pinned_for(arguments, head.checkpoint.origin)
    if arguments.key or arguments.policy or pinned:
        trust.accepted(arguments, head, pinned)
    else:
        said = Text("没有核对签名：请用 --key 或 --policy 说明相信谁", "the signature was not verified: say with --key or --policy whom to believe")
        print(said.in_(lang), file=sys.stderr)
    log = Log(source, head)
    if log.tree.root() != head.checkpoint.root:
        raise DamagedError(Text(f"{source.place} 的瓦片与签过的根不符", f"the tiles of {source.place} do not give the root that was signed"))
    if arguments.output is None:
        for number in range(_bundles(log)):
            sys.stdout.write("".join(_lines(log, number)))
        return 0
    make_folders(arguments.output)
    with alone(arguments.output):
        copied = mirror(log, arguments.output)
    size = log.size
    print(Text(f"{arguments.output}：共 {size} 条，新写入 {copied} 个文件", f"{arguments.output}: {size} entries, {copied} files written").in_(lang))
    return 0


def _bundles(log: Log) -> int:
    return -(-log.size // WIDTH)


def _lines(log: Log, number: int) -> Iterator[str]:
    """The entries of a bundle, each with its index; raises MalformedError for one that is no record, whose bytes could be anything."""
    for index, entry in enumerate(log.bundle(number), number * WIDTH):
        try:
            parse_entry(entry)
        except MalformedError as problem:
            raise MalformedError(Text(f"第 {index} 条：{problem.message.zh}", f"entry {index}: {problem.message.en}")) from None
        yield f'{{"index":{index},{entry[1:].decode("ascii")}\n'


def mirror(log: Log, output: Path) -> int:
    """Copies what the folder does not have yet, each file checked before it is written; returns how many.

    Raises ConsistencyError or RollbackError where the folder holds another history, or a longer one.
    """
    folder = Folder(output)
    with suppress(MissingError):
        grown(log, read_checkpoint(folder))
    copied = 0
    for number in range(_bundles(log)):
        bundle, tile = tile_at(ENTRIES, number, log.size), tile_at(0, number, log.size)
        if not (_there(output, tile) and _there(output, bundle)):
            entries = log.bundle(number)
            copied += _copied(output, bundle, bundle_of(entries)) + _copied(output, tile, b"".join(map(leaf_hash, entries)))
    for tile in tiles_of(log.size):
        if tile.level and not _there(output, tile):
            content = read_tile(log.source, tile)
            for i, one in enumerate(hashes_in(content, tile)):
                below = Tile(tile.level - 1, tile.number * WIDTH + i, WIDTH)
                if root_of(hashes_in(folder.read(below.path, TILE_BYTES), below)) != one:
                    raise DamagedError(
                        Text(
                            f"{output} 的 {below.path} 与 {log.source.place} 的 {tile.path} 不符",
                            f"{below.path} of {output} does not belong to {tile.path} of {log.source.place}",
                        )
                    )
            copied += _copied(output, tile, content)
    if Log(folder, log.head).tree.root() != log.head.checkpoint.root:
        raise DamagedError(Text(f"{output} 的瓦片与签过的根不符", f"the tiles of {output} do not give the root that was signed"))
    replace(output / CHECKPOINT, log.head.content)
    return copied + 1


def _there(output: Path, tile: Tile) -> bool:
    """Whether an earlier copy has this file; it was checked then."""
    return (output / tile.path).exists()


def _copied(output: Path, tile: Tile, content: bytes) -> int:
    path = output / tile.path
    make_folders(path.parent)
    replace(path, content)
    return 1
