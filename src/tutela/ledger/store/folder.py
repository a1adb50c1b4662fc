"""A log's files in a folder."""

from __future__ import annotations

from pathlib import Path

from tutela.language import Text
from tutela.ledger.refused import DamagedError, MissingError


class Folder:
    """Reads below one folder; the names come from `Tile.path`, never from a log's content."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def place(self) -> str:
        """The folder's name."""
        return str(self.path)

    def read(self, path: str, limit: int) -> bytes:
        """See `Source`."""
        where = self.path / path
        try:
            with where.open("rb", buffering=0) as opened:
                content = opened.read(limit + 1) or b""
        except (FileNotFoundError, NotADirectoryError):
            raise MissingError(Text(f"{where}：没有这个文件", f"{where}: there is no such file")) from None
        if len(content) > limit:
            raise DamagedError(Text(f"{where}：超过 {limit} 字节", f"{where}: more than {limit} bytes"))
        return content
