"""Reading the files that people name."""

from __future__ import annotations

from pathlib import Path

from tutela.errors import UsageError, said_by_system
from tutela.language import Text


def read_file(path: Path, limit: int) -> bytes:
    """A file's content, at most one byte more than `limit`, so that whoever parses it sees that it is too long; raises UsageError."""
    try:
        with path.open("rb") as file:
            return file.read(limit + 1)
    except OSError as problem:
        why = said_by_system(problem)
        raise UsageError(Text(f"无法读取 {path}：{why.zh}", f"cannot read {path}: {why.en}")) from None
