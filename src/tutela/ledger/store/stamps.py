"""Time-stamps beside the log: the authority's answers as they came, each with the checkpoint that it stamped.

DIR/timestamps/<size>-<16 hexadecimal digits>.tsr          the answer (RFC 3161)
DIR/timestamps/<size>-<16 hexadecimal digits>.checkpoint   the checkpoint; what was stamped is its note's text
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from tutela.ledger.checkpoint import SignedCheckpoint, parse_signed
from tutela.ledger.note import MAX_NOTE_BYTES
from tutela.ledger.store.durable import make_folders, replace
from tutela.ledger.store.folder import Folder
from tutela.ledger.timestamp import MAX_REPLY_BYTES

_FOLDER = "timestamps"
_NAME = re.compile(r"([0-9]{1,19})-[0-9a-f]{16}")


def keep(public: Path, head: SignedCheckpoint, reply: bytes) -> Path:
    """Keeps an answer durably; returns its file."""
    path = public / _FOLDER / f"{head.checkpoint.size}-{sha256(reply).hexdigest()[:16]}.tsr"
    make_folders(path.parent)
    replace(path.with_suffix(".checkpoint"), head.content)
    replace(path, reply)
    return path


def kept(public: Path) -> Iterator[tuple[str, SignedCheckpoint, bytes]]:
    """Name, checkpoint and answer of each time-stamp, the newest checkpoint first; raises LedgerError for files that are damaged."""
    folder = Folder(public / _FOLDER)
    names = [path.stem for path in folder.path.glob("*.tsr") if _NAME.fullmatch(path.stem)] if folder.path.is_dir() else []
    for name in sorted(names, key=lambda one: int(one.partition("-")[0]), reverse=True):
        yield name, parse_signed(folder.read(f"{name}.checkpoint", MAX_NOTE_BYTES)), folder.read(f"{name}.tsr", MAX_REPLY_BYTES)
