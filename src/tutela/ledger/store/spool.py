"""What appenders that wait for the writer's lock have handed in: one file each, seen whole or not at all.

Whoever gets the lock logs everything that lies here, writes the indices behind the records of each file, and removes its name; the appender, which has
kept the file open, reads them there when its turn comes. A file left by a process that died is logged too: handing in the same record again does no harm.
"""

from __future__ import annotations

import os
import secrets
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from operator import itemgetter
from pathlib import Path

from tutela.ledger.entry import Kind, Record, new_record
from tutela.ledger.refused import MisuseError
from tutela.ledger.store.durable import named
from tutela.record import record

_END = b"end\n"


@record
class Handed:
    """Records that this appender has handed in."""

    file: int
    records: int
    size: int

    def indices(self) -> list[int] | None:
        """Their indices, once somebody has logged them and removed the file's name."""
        if os.fstat(self.file).st_nlink:
            return None
        answer = os.pread(self.file, 8 * self.records, self.size)
        return list(struct.unpack(f"={self.records}Q", answer)) if len(answer) == 8 * self.records else None


@record
class Waiting:
    """Records that somebody has handed in."""

    path: Path
    records: list[Record]
    size: int

    def answer(self, indices: Sequence[int]) -> None:
        """Tells where they are logged."""
        # Whoever handed them in may be interrupted, and take them back at any moment.
        with suppress(FileNotFoundError):
            file = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                with named(self.path):
                    os.pwrite(file, struct.pack(f"={len(indices)}Q", *indices), self.size)
            finally:
                os.close(file)
            # Only now: without its name the file counts as answered.
            self.path.unlink()


class Spool:
    """The folder where they lie."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def hand_in(self, records: Sequence[Record]) -> Iterator[Handed]:
        """Hands records in; what nobody has taken by the end is taken back."""
        # Not the process's number, which two containers over one folder may share, and a later process may get again.
        name = secrets.token_hex(16)
        beside, path = self._path / f".{name}", self._path / name
        content = "".join([f"{one.kind} {one.subject} {one.effective} {one.received}\n" for one in records]).encode("ascii") + _END
        with beside.open("w+b") as file:
            try:
                with named(beside):
                    file.write(content)
                    file.flush()
                beside.rename(path)
                yield Handed(file.fileno(), len(records), len(content))
            finally:
                beside.unlink(missing_ok=True)
                path.unlink(missing_ok=True)

    def take(self) -> list[Waiting]:
        """Everything handed in, the oldest first; the files stay until they are answered.

        A torn file is what a crash of the machine left of one that nobody waits for any more: it is removed. Should somebody wait, they log theirs themselves.
        """
        with os.scandir(self._path) as files:
            paths = [Path(one.path) for one in files if not one.name.startswith(".")]
        found = []
        for path in paths:
            with suppress(FileNotFoundError):
                handed, content = path.stat().st_mtime_ns, path.read_bytes()
                waiting = _read(path, content)
                if waiting is None:
                    path.unlink()
                else:
                    found.append((handed, waiting))
        return [waiting for _, waiting in sorted(found, key=itemgetter(0))]


def _read(path: Path, content: bytes) -> Waiting | None:
    lines, end, _ = content.partition(_END)
    if not end:
        return None
    records = []
    try:
        for line in lines.decode("ascii").splitlines():
            kind, subject, effective, received = line.split(" ")
            records.append(new_record(Kind(kind), subject, int(effective), int(received)))
    except (ValueError, MisuseError):
        return None
    return Waiting(path, records, len(lines) + len(_END))
