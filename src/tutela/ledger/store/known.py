"""Which records are logged already: a table on disk from a record's identity to its index.

It is derived from the log's entries and can be thrown away. Open addressing over fixed slots, in a file that is mapped into memory:

    slot    two numbers of 8 bytes: how the identity begins (0: free), and the index

What it says is a hint: an index is believed only if the entry there has the identity that was asked for. A table that is torn, stale or forged can make
a record be logged twice, but gives nobody an index that is not theirs.

The blocks are allocated when the file is made, so a full disk is an error then, and no signal later. The memory it takes is the page cache's.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from tutela.ledger.store.durable import named

_HEADER = struct.Struct("=16sQQQ36s")
"""Magic; bits; entries of the log that are entered; how many of these are on the disk itself; the boot in which it was written."""
_MAGIC = b"tutela-known-2\n\0"
_START = 4096
_SLOT = 16
_FULL = 0.6
_FIRST_BITS = 12
_SYNC_EVERY = 1 << 20
"""Entries until the table is brought to the disk itself: so many at most are entered again after a crash of the machine."""
_AT_ONCE = 1 << 16


class Known:
    """The table in a file. One process writes at a time: the caller holds the writer's lock."""

    def __init__(self, path: Path, identity_at: Callable[[int], bytes]) -> None:
        """`identity_at` reads the identity of an entry from the log; beyond its end there is none, b''."""
        self._path = path
        self._identity_at = identity_at
        self._map: mmap.mmap | None = None
        self._file = (-1, -1)
        self._slots = memoryview(b"")
        self._bits = 0
        self._synced = 0
        self.covered = 0
        """How many entries of the log are entered."""

    def refresh(self) -> None:
        """Sees what other processes have done; a table that is missing or damaged begins anew."""
        try:
            of = self._path.stat()
        except FileNotFoundError:
            self.restart()
            return
        if (of.st_ino, of.st_size) != self._file:
            self.close()
            if of.st_size < _size(_FIRST_BITS):
                self.restart()
                return
            self._map = _mapped(self._path)
            self._file = (of.st_ino, of.st_size)
            self._slots = _slots(self._map)
        assert self._map is not None
        magic, self._bits, self.covered, self._synced, boot = _HEADER.unpack_from(self._map)
        if magic != _MAGIC or self._bits > 64 or of.st_size != _size(self._bits):
            self.restart()
        elif boot != _boot():
            # Perhaps the machine crashed: what was not brought to the disk may be missing.
            self.covered = self._synced

    def restart(self) -> None:
        """Empties the table."""
        self.close()
        self._path.unlink(missing_ok=True)
        _create(self._path, _FIRST_BITS)
        self.refresh()

    def find(self, identity: bytes) -> int | None:
        """The index of a record, if it is logged."""
        slots, mark = self._slots, _mark(identity)
        at = first = mark >> 64 - self._bits << 1
        mask = len(slots) - 1
        while held := slots[at]:
            if held == mark and self._identity_at(slots[at + 1]) == identity:
                return slots[at + 1]
            at = at + 2 & mask
            if at == first:
                break
        return None

    def add(self, identities: Sequence[bytes], first: int) -> None:
        """Enters the records that were logged from index `first` on; entering them twice changes nothing.

        A table that has no room where its header says there is some begins anew, and covers nothing.
        """
        covered = first + len(identities)
        while covered > _FULL * (1 << self._bits):
            self._grow()
        if not _put(self._slots, self._bits, zip(map(_mark, identities), range(first, covered), strict=True)):
            self.restart()
            return
        assert self._map is not None
        if covered - self._synced >= _SYNC_EVERY:
            with named(self._path):
                self._map.flush()
            self._synced = covered
        self.covered = covered
        _write_header(self._map, self._bits, covered, self._synced)

    def close(self) -> None:
        """Lets go of the file."""
        self._slots.release()
        if self._map is not None:
            self._map.close()
        self._map, self._file = None, (-1, -1)

    def _grow(self) -> None:
        """Twice the slots, in a new file that takes the old one's place."""
        beside = self._path.with_name(f".{self._path.name}.new")
        bits = self._bits + 1
        _create(beside, bits)
        with _mapped(beside) as larger, _slots(larger) as slots:
            _put(slots, bits, self._held())
            _write_header(larger, bits, self.covered, 0)
        beside.rename(self._path)
        self.refresh()

    def _held(self) -> Iterator[tuple[int, int]]:
        for start in range(0, len(self._slots), _AT_ONCE):
            numbers = self._slots[start : start + _AT_ONCE].tolist()
            yield from (pair for pair in zip(numbers[::2], numbers[1::2], strict=True) if pair[0])


def _mark(identity: bytes) -> int:
    return int.from_bytes(identity[:8], "big") or 1


def _put(slots: memoryview, bits: int, pairs: Iterable[tuple[int, int]]) -> bool:
    """Puts each mark and index into the first free slot from its own on; whether there was one for each."""
    shift, mask = 64 - bits, len(slots) - 1
    for mark, index in pairs:
        at = first = mark >> shift << 1
        while held := slots[at]:
            if held == mark and slots[at + 1] == index:
                break
            at = at + 2 & mask
            if at == first:
                return False
        else:
            # The mark comes last: a process killed between the two leaves a free slot.
            slots[at + 1] = index
            slots[at] = mark
    return True


def _create(path: Path, bits: int) -> None:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with named(path):
            os.posix_fallocate(file, 0, _size(bits))
    except OSError:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(file)
    with _mapped(path) as made:
        _write_header(made, bits, 0, 0)


def _mapped(path: Path) -> mmap.mmap:
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        return mmap.mmap(file, 0)
    finally:
        os.close(file)


def _slots(table: mmap.mmap) -> memoryview:
    return memoryview(table)[_START:].cast("Q")


def _write_header(table: mmap.mmap, bits: int, covered: int, synced: int) -> None:
    _HEADER.pack_into(table, 0, _MAGIC, bits, covered, synced, _boot())


def _size(bits: int) -> int:
    return _START + (_SLOT << bits)


@lru_cache(maxsize=1)
def _boot() -> bytes:
    """What names this boot of the machine: the page cache holds what was written since, even by a process that was killed."""
    return Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()
