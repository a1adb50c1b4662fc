"""Which records are logged already: a table on disk from a record's identity to its index.

It is derived from the log's entries and can be thrown away. Open addressing over fixed slots, in the order of the identities, so growing copies it in one pass.

    slot   18 bytes of identity, 6 bytes of index + 1 (0: free)

Read and written with pread and pwrite: what it costs in memory does not grow with the log, and a full disk is an error rather than a signal.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

_KEY, _SLOT = 18, 24
_HEADER = struct.Struct(">16sB7xQQ36s")
"""Magic; bits; records held; entries of the log that are entered; the boot in which it was written."""
_MAGIC = b"tutela-known-1\n\0"
_START = 4096
_MARGIN = 1024
"""Slots behind the last, so that a run of full ones needs no wrapping round."""
_WINDOW = 8
_FULL = 0.6
_FIRST_BITS = 12
_FREE = bytes(6)


class Known:
    """The table in a file. One process writes at a time: the caller holds the writer's lock."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1
        self._inode = -1
        self._bits = _FIRST_BITS
        self.count = 0
        self.covered = 0
        """How many entries of the log are entered."""

    def refresh(self) -> None:
        """Sees what other processes have done; a table that is missing, or that a crash of the machine may have torn, begins anew."""
        try:
            now = self._path.stat().st_ino
        except FileNotFoundError:
            now = -1
        if now != self._inode or now == -1:
            self.close()
            if now == -1:
                self._create(self._path, _FIRST_BITS)
            self._file = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
            self._inode = os.fstat(self._file).st_ino
        header = os.pread(self._file, _HEADER.size, 0)
        if len(header) == _HEADER.size:
            magic, self._bits, self.count, self.covered, boot = _HEADER.unpack(header)
            if magic == _MAGIC and boot == _boot() and os.fstat(self._file).st_size == _size(self._bits):
                return
        self.restart()

    def restart(self) -> None:
        """Empties the table."""
        self.close()
        self._path.unlink(missing_ok=True)
        self.refresh()

    def find(self, identity: bytes) -> int | None:
        """The index of a record, if it is logged."""
        key = identity[:_KEY]
        at = self._first(key)
        while True:
            window = os.pread(self._file, _SLOT * _WINDOW, at)
            for i in range(0, len(window), _SLOT):
                index = window[i + _KEY : i + _SLOT]
                if index == _FREE:
                    return None
                if window[i : i + _KEY] == key:
                    return int.from_bytes(index, "big") - 1
            if len(window) < _SLOT * _WINDOW:
                return None
            at += _SLOT * _WINDOW

    def add(self, identities: Iterable[bytes], first: int) -> None:
        """Enters the records that were logged from index `first` on; of a record that is entered already the lower index stays."""
        index = first
        for identity in identities:
            if self.count + 1 > _FULL * (1 << self._bits) or not self._put(identity[:_KEY], index):
                self._grow()
                self._put(identity[:_KEY], index)
            index += 1
        self.covered = max(self.covered, index)
        self._write_header(self._file, self._bits, self.count, self.covered)

    def close(self) -> None:
        """Closes the file."""
        if self._file >= 0:
            os.close(self._file)
        self._file = self._inode = -1

    def _first(self, key: bytes) -> int:
        return _START + _SLOT * (int.from_bytes(key[:8], "big") >> 64 - self._bits)

    def _put(self, key: bytes, index: int) -> bool:
        """Whether there was room."""
        at = self._first(key)
        while True:
            window = os.pread(self._file, _SLOT * _WINDOW, at)
            for i in range(0, len(window), _SLOT):
                if window[i + _KEY : i + _SLOT] == _FREE:
                    os.pwrite(self._file, key + (index + 1).to_bytes(6, "big"), at + i)
                    self.count += 1
                    return True
                if window[i : i + _KEY] == key:
                    return True
            if len(window) < _SLOT * _WINDOW:
                return False
            at += _SLOT * _WINDOW

    def _grow(self) -> None:
        """Twice the slots, in a new file that takes the old one's place."""
        beside = self._path.with_name(f".{self._path.name}.new")
        bits = self._bits + 1
        self._create(beside, bits)
        file = os.open(beside, os.O_RDWR | os.O_CLOEXEC)
        try:
            end = _START
            for run in self._runs():
                # In the order of the keys, each goes to its own slot or right behind the one before it.
                for slot in sorted(run):
                    at = max(_START + _SLOT * (int.from_bytes(slot[:8], "big") >> 64 - bits), end)
                    os.pwrite(file, slot, at)
                    end = at + _SLOT
            self._write_header(file, bits, self.count, self.covered)
        finally:
            os.close(file)
        beside.rename(self._path)
        self.refresh()

    def _runs(self) -> Iterator[list[bytes]]:
        """The slots that are taken, as runs without a free one between; every key of a run is smaller than those of the next."""
        run: list[bytes] = []
        at = _START
        while chunk := os.pread(self._file, _SLOT << 14, at):
            at += len(chunk)
            for i in range(0, len(chunk), _SLOT):
                slot = chunk[i : i + _SLOT]
                if slot[_KEY:] != _FREE:
                    run.append(slot)
                elif run:
                    yield run
                    run = []
        if run:
            yield run

    def _create(self, path: Path, bits: int) -> None:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(file, _size(bits))
            self._write_header(file, bits, 0, 0)
        finally:
            os.close(file)

    @staticmethod
    def _write_header(file: int, bits: int, count: int, covered: int) -> None:
        os.pwrite(file, _HEADER.pack(_MAGIC, bits, count, covered, _boot()), 0)


def _size(bits: int) -> int:
    return _START + _SLOT * ((1 << bits) + _MARGIN)


def _boot() -> bytes:
    """What names this boot of the machine: the page cache holds what was written since, even by a process that was killed."""
    return Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()
