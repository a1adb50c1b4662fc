"""`tutela ledger export`: a copy of a ledger that anybody can keep, or its entries as JSON lines."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import suppress
from pathlib import Path

from tutela.cli.ledger import trust
from tutela.cli.ledger.verify import grown, source_of
from tutela.cli.options import FOLDER, Arguments
from tutela.language import Lang, Text
from tutela.ledger.log import CHECKPOINT, Log, read_checkpoint, read_tile
from tutela.ledger.merkle import leaf_hash, root_of
from tutela.ledger.refused import DamagedError, MissingError
from tutela.ledger.store.durable import make_folders, replace
from tutela.ledger.store.folder import Folder
from tutela.ledger.tiles import ENTRIES, TILE_BYTES, WIDTH, Tile, entries_in, hashes_in, tile_at, tiles_of


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
    """Copy, or print; what is copied was checked against the checkpoint's root."""
    source = source_of(arguments.ledger)
    head = read_checkpoint(source)
    if arguments.key or arguments.policy:
        trust.accepted(arguments, head, None)
    log = Log(source, head)
    if log.tree.root() != head.checkpoint.root:
        raise DamagedError(Text(f"{source.place} 的瓦片与签过的根不符", f"the tiles of {source.place} do not give the root that was signed"))
    if arguments.output is None:
        for index in range(log.size):
            said = json.loads(log.entry(index))
            sys.stdout.write(json.dumps({"index": index, **said}, ensure_ascii=False, separators=(",", ":")) + "\n")
        return 0
    copied = mirror(log, arguments.output)
    size = log.size
    print(Text(f"{arguments.output}：共 {size} 条，新写入 {copied} 个文件", f"{arguments.output}: {size} entries, {copied} files written").in_(lang))
    return 0


def mirror(log: Log, output: Path) -> int:
    """Copies what the folder does not have yet, each file checked on its way; returns how many.

    Raises ConsistencyError or RollbackError where the folder holds another history, or a longer one.
    """
    folder = Folder(output)
    with suppress(MissingError):
        grown(log, read_checkpoint(folder))
    copied = 0
    for number in range(-(-log.size // WIDTH)):
        bundle, tile = tile_at(ENTRIES, number, log.size), tile_at(0, number, log.size)
        if _there(output, tile) and _there(output, bundle):
            continue
        entries, hashes = read_tile(log.source, bundle), read_tile(log.source, tile)
        leaves = [leaf_hash(entry) for entry in entries_in(entries, bundle)]
        if b"".join(leaves) != hashes:
            raise DamagedError(
                Text(f"{log.source.place}：{bundle.path} 与 {tile.path} 不符", f"{log.source.place}: {bundle.path} does not belong to {tile.path}")
            )
        copied += _copied(output, bundle, entries) + _copied(output, tile, hashes)
    for tile in tiles_of(log.size):
        if tile.level and not _there(output, tile):
            content = read_tile(log.source, tile)
            for i, one in enumerate(hashes_in(content, tile)):
                below = Tile(tile.level - 1, tile.number * WIDTH + i, WIDTH)
                if root_of(hashes_in(folder.read(below.path, TILE_BYTES), below)) != one:
                    raise DamagedError(
                        Text(f"{log.source.place}：{below.path} 与 {tile.path} 不符", f"{log.source.place}: {below.path} does not belong to {tile.path}")
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
