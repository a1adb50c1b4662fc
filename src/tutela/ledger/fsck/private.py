"""The private folder: the last checkpoint that the key signed, and the table of known records."""

from __future__ import annotations

import os
import struct
from collections.abc import Collection, Iterator
from pathlib import Path

from tutela.errors import LedgerError
from tutela.language import Text
from tutela.ledger.checkpoint import Checkpoint
from tutela.ledger.fsck.finding import Finding, Grade, unread
from tutela.ledger.fsck.heads import Head, signed_head
from tutela.ledger.fsck.identities import Identities
from tutela.ledger.note import MAX_NOTE_BYTES, VerifierKey
from tutela.ledger.refused import MissingError

STATE, TABLE = "state", "known"
_HEADER = struct.Struct("=16sQQQ36s")
"""Magic; bits; entries that are in the table; how many of these for certain after a crash; the boot in which it was written."""
_MAGIC = b"tutela-known-2\n\0"
_START = 4096
_SLOT = struct.Struct("=QQ")
"""How the record's identity begins (0: free), and its index."""
_WINDOW = 8


def state(private: Path, published: Checkpoint, keys: Collection[VerifierKey]) -> Iterator[Head | Finding]:
    """What the key signed last, and what is wrong with it."""
    place = str(private / STATE)
    try:
        with open(place, "rb") as file:  # noqa: PTH123 - the name is wanted as a word anyway
            head = signed_head(place, file.read(MAX_NOTE_BYTES + 1), published.origin, keys)
    except FileNotFoundError:
        yield unread(place, MissingError(place))
    except (LedgerError, OSError) as problem:
        yield unread(place, problem)
    else:
        had, has = head.checkpoint.size, published.size
        if had > has:
            what = Text(
                f"已签到 {had} 条，比发布的 {has} 条新：写入中断，下次追加时发布", f"is of {had} entries, and {has} are published: an append was cut off"
            )
            yield Finding(place, Grade.REMARK, what)
        elif had < has:
            what = Text(f"只到 {had} 条，已发布 {has} 条：像是从备份恢复的", f"is of {had} entries, and {has} are published: it looks restored from a backup")
            yield Finding(place, Grade.REMARK, what)
        yield head


def table(private: Path, identities: Identities) -> Iterator[Finding]:
    """Whether each record is found where it was logged first: what the table does not know could be logged again."""
    place = str(private / TABLE)
    try:
        with open(place, "rb", buffering=0) as file:  # noqa: PTH123
            yield from _missing(place, file.fileno(), identities)
    except FileNotFoundError:
        # A ledger that is new has none, and one that is lost is made anew.
        return
    except OSError as problem:
        yield unread(place, problem)


def _missing(place: str, file: int, identities: Identities) -> Iterator[Finding]:
    magic, bits, entered, certain, boot = _HEADER.unpack(os.pread(file, _HEADER.size, 0).ljust(_HEADER.size, b"\0"))
    if magic != _MAGIC or bits > 64 or os.fstat(file).st_size != _START + (_SLOT.size << bits):
        yield Finding(place, Grade.REMARK, _ANEW)
        return
    if boot != Path("/proc/sys/kernel/random/boot_id").read_bytes().strip():
        entered = certain
    missing, example = 0, 0
    for part in range(256):
        first: dict[bytes, int] = {}
        for identity, index in identities.part(part):
            first.setdefault(identity, index)
        for identity, index in first.items():
            if index < entered and not _holds(file, bits, identity, index):
                missing, example = missing + 1, index
    if missing:
        what = Text(
            f"缺少 {missing} 条记录（如第 {example} 条），它们可能被重复记入；请删除此文件，它会重建",
            f"lacks {missing} records (such as entry {example}), which could be logged again; remove it, and it is made anew",
        )
        yield Finding(place, Grade.DAMAGED, what)


def _holds(file: int, bits: int, identity: bytes, index: int) -> bool:
    """Whether the table leads from a record to its index: from the place its first bits name, over taken slots, round the end."""
    mark, slots = int.from_bytes(identity[:8], "big") or 1, 1 << bits
    at = mark >> 64 - bits
    for _ in range(0, slots, _WINDOW):
        window = os.pread(file, _SLOT.size * min(_WINDOW, slots - at), _START + _SLOT.size * at)
        for held, where in _SLOT.iter_unpack(window):
            if held == 0:
                return False
            if (held, where) == (mark, index):
                return True
        at = at + _WINDOW if at + _WINDOW < slots else 0
    return False


_ANEW = Text("不能用，下次追加时重建", "is of no use: the next append makes it anew")
