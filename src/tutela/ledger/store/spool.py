"""What appenders that wait for the writer's lock have handed in: one file each, seen whole or not at all.

Whoever gets the lock logs everything that lies here, and the others find their records logged when their turn comes.
A file left by a process that died is logged too: handing in the same record again does no harm.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from operator import itemgetter
from pathlib import Path

from tutela.ledger.entry import Record

_END = "end"
_count = itertools.count()


class Spool:
    """The folder where they lie."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def put(self, records: Iterable[Record]) -> Path:
        """Hands records in."""
        name = f"{os.getpid()}-{threading.get_native_id()}-{next(_count)}"
        lines = [f"{one.kind} {one.subject} {one.effective} {one.received}" for one in records]
        beside, path = self._path / f".{name}", self._path / name
        beside.write_text("\n".join([*lines, _END]), encoding="ascii")
        beside.rename(path)
        return path

    def take(self) -> list[tuple[Path, list[Record]]]:
        """Everything handed in, the oldest first; the files stay until the records are logged.

        A torn file is what a crash of the machine left of one that nobody waits for any more: it is removed.
        """
        with os.scandir(self._path) as files:
            waiting = [Path(one.path) for one in files if not one.name.startswith(".")]
        found = []
        for path in waiting:
            # Whoever handed it in may be interrupted, and take it back at any moment.
            with suppress(FileNotFoundError):
                handed, content = path.stat().st_mtime_ns, path.read_bytes()
                records = _records(content)
                if records is None:
                    path.unlink()
                else:
                    found.append((handed, path, records))
        return [(path, records) for _, path, records in sorted(found, key=itemgetter(0))]


def _records(content: bytes) -> list[Record] | None:
    *lines, end = content.decode("ascii", "replace").split("\n")
    if end != _END:
        return None
    found = []
    for line in lines:
        kind, subject, effective, received = line.split(" ")
        found.append(Record(kind, subject, int(effective), int(received)))
    return found
