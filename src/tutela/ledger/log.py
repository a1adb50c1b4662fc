"""Reading a log: its checkpoint, its entries, its proofs, from whatever holds its files. Needs no private key and no server of ours.

Nothing read is trusted: entries and proofs are checked against the checkpoint's root, and the checkpoint against the keys that the caller trusts.
"""

from __future__ import annotations

from typing import Protocol

from tutela.language import Text
from tutela.ledger.checkpoint import SignedCheckpoint, parse_signed
from tutela.ledger.merkle import HASH_BYTES, check_inclusion, leaf_hash, prove_consistency, prove_inclusion
from tutela.ledger.note import MAX_NOTE_BYTES
from tutela.ledger.refused import DamagedError, MalformedError, MissingError, MisuseError
from tutela.ledger.tiles import ENTRIES, MAX_BUNDLE_BYTES, TILE_BYTES, WIDTH, Tile, Tree, entries_in, tile_at

CHECKPOINT, COSIGNED = "checkpoint", "cosigned"
"""The newest checkpoint; and the newest that enough witnesses have cosigned, which stays while the log grows on."""
VKEY = "vkey"
"""The public half of the key, beside the checkpoint: for reading and comparing, not for trusting."""


class Source(Protocol):
    """Whatever holds a log's files: a folder, a web server."""

    def read(self, path: str, limit: int) -> bytes:
        """A file's content; raises MissingError if there is none, DamagedError if it is longer than `limit` bytes."""

    @property
    def place(self) -> str:
        """Where that is, for messages."""


def read_tile(source: Source, tile: Tile) -> bytes:
    """A tile's content; a partial one that is gone is cut from the full one, which took its place."""
    limit = MAX_BUNDLE_BYTES if tile.level == ENTRIES else TILE_BYTES
    try:
        return source.read(tile.path, limit)
    except MissingError:
        if not tile.partial:
            raise
        try:
            full = Tile(tile.level, tile.number, WIDTH)
            content = source.read(full.path, limit)
        except MissingError:
            pass
        else:
            return _cut(content, full, tile.width)
        raise


def _cut(content: bytes, full: Tile, width: int) -> bytes:
    if full.level != ENTRIES:
        return content[: width * HASH_BYTES]
    return content[: sum(2 + len(entry) for entry in entries_in(content, full)[:width])]


def read_checkpoint(source: Source) -> SignedCheckpoint:
    """The checkpoint that is published now; who signed it is not looked at yet."""
    return _read_signed(source, CHECKPOINT)


def read_cosigned(source: Source) -> SignedCheckpoint | None:
    """The newest checkpoint that witnesses have cosigned, if any; who signed it is not looked at yet."""
    try:
        return _read_signed(source, COSIGNED)
    except MissingError:
        return None


def _read_signed(source: Source, path: str) -> SignedCheckpoint:
    try:
        return parse_signed(source.read(path, MAX_NOTE_BYTES))
    except MalformedError as problem:
        where = f"{source.place}/{path}"
        raise MalformedError(Text(f"{where}：{problem.message.zh}", f"{where}: {problem.message.en}")) from None


class Log:
    """The log as one checkpoint shows it."""

    def __init__(self, source: Source, head: SignedCheckpoint) -> None:
        self.source = source
        self.head = head
        self.size = head.checkpoint.size
        self.tree = Tree(self.size, lambda tile: read_tile(source, tile))
        self._bundle: tuple[int, list[bytes]] = (-1, [])

    def entry(self, index: int) -> bytes:
        """An entry's bytes; that they are what was signed is for `proof` to show."""
        if not 0 <= index < self.size:
            raise MisuseError(
                Text(f"没有第 {index} 条：日志有 {self.size} 条，从 0 数起", f"there is no entry {index}: the log has {self.size}, counted from 0")
            )
        number = index // WIDTH
        if self._bundle[0] != number:
            tile = tile_at(ENTRIES, number, self.size)
            self._bundle = (number, entries_in(read_tile(self.source, tile), tile))
        return self._bundle[1][index % WIDTH]

    def proof(self, index: int) -> list[bytes]:
        """The inclusion proof of an entry, checked; raises DamagedError if the log's own files don't lead to its root."""
        proof = prove_inclusion(index, self.size, self.tree.hash_of)
        check_inclusion(self._leaf(index), index, self.size, proof, self.head.checkpoint.root)
        return proof

    def bundle(self, number: int) -> list[bytes]:
        """The entries of a whole bundle, checked. One proof is enough: it holds every other hash of the tile, and each entry is held against its own."""
        first = number * WIDTH
        self.proof(first)
        for index in range(first + 1, min(first + WIDTH, self.size)):
            self._leaf(index)
        return self._bundle[1]

    def _leaf(self, index: int) -> bytes:
        """An entry's hash, if it is the one in the tile."""
        leaf = leaf_hash(self.entry(index))
        if leaf != self.tree.hash_of(index, index + 1):
            raise DamagedError(
                Text(
                    f"第 {index} 条记录与它的散列不符（{self.source.place}）",
                    f"entry {index} does not have the hash that is logged for it ({self.source.place})",
                )
            )
        return leaf

    def consistency(self, old: int) -> list[bytes]:
        """The proof that the log at `old` entries is how this one began."""
        if not 0 <= old <= self.size:
            raise MisuseError(Text(f"日志只有 {self.size} 条，没有到过 {old} 条", f"the log has {self.size} entries, and never had {old}"))
        return prove_consistency(old, self.size, self.tree.hash_of)
