"""What a file is to the ledger: its kind, when it took effect, and the bytes whose digest is logged.

A bundle is logged by its canonical bytes, however well its file is compressed; an assessment by its JSON on one line, however it is indented; any other file as it is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from tutela.cli.ledger.files import read_file
from tutela.errors import BundleError, UsageError
from tutela.language import Text
from tutela.ledger.entry import Kind
from tutela.record import record

MAX_FILE_BYTES = 1 << 30
_GZIP = b"\x1f\x8b"


@record
class Subject:
    """A file that is, or may be, logged."""

    path: Path
    kind: Kind
    effective: int
    """POSIX seconds: when it was collected, or when the file was last changed."""
    content: bytes


def read_subject(path: Path) -> Subject:
    """The file as the ledger sees it; raises UsageError when it cannot be read."""
    content = read_file(path, MAX_FILE_BYTES)
    modified = int(path.stat().st_mtime)
    if len(content) > MAX_FILE_BYTES:
        raise UsageError(Text(f"{path} 超过 {MAX_FILE_BYTES >> 20} MB", f"{path} has more than {MAX_FILE_BYTES >> 20} MB"))
    return _bundle(path, content) or _assessment(path, content) or Subject(path, Kind.DOCUMENT, modified, content)


def _bundle(path: Path, content: bytes) -> Subject | None:
    from tutela.collect.archive import read_bundle
    from tutela.evidence.bundle import MAGIC

    if content.startswith((MAGIC, _GZIP)):
        try:
            bundle = read_bundle(path)
        except BundleError:
            return None
        return Subject(path, Kind.BUNDLE, int(bundle.collected_at.timestamp()), bundle.to_bytes())
    return None


def _assessment(path: Path, content: bytes) -> Subject | None:
    from tutela.report.json import SCHEMA, encoded

    if content.startswith(b"{") and SCHEMA.encode() in content:
        try:
            said = json.loads(content)
            if said["schema"] == SCHEMA:
                return Subject(path, Kind.ASSESSMENT, seconds(said["collected_at"]), encoded(said).encode())
        except (ValueError, KeyError, TypeError, RecursionError, UsageError):
            return None
    return None


def seconds(words: str) -> int:
    """POSIX seconds of a time in ISO 8601; without a zone it is this machine's. Raises UsageError."""
    try:
        return int(datetime.fromisoformat(words).timestamp())
    except (ValueError, OverflowError):
        raise UsageError(Text(f"时间写作 2026-11-22T08:00:00Z，而不是 {words!r}", f"a time is written 2026-11-22T08:00:00Z, not {words!r}")) from None


def digests(content: bytes, salt: bytes | None) -> Sequence[str]:
    """The digests under which content may be logged."""
    from tutela.ledger.entry import digest, salted_digest

    return (digest(content), *([salted_digest(content, salt)] if salt else ()))
