"""A log's files in a folder."""

from __future__ import annotations

import os
import stat
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
            # Without waiting: whoever made the folder may have put a pipe there that nobody ever writes to.
            file = os.open(where, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            raise MissingError(Text(f"{where}：没有这个文件", f"{where}: there is no such file")) from None
        with open(file, "rb", buffering=0) as opened:  # noqa: PTH123 - an open file has no path
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise DamagedError(Text(f"{where}：不是普通文件", f"{where}: is no ordinary file"))
            content = b""
            while len(content) <= limit and (more := opened.read(limit + 1 - len(content))):
                content += more
        if len(content) > limit:
            raise DamagedError(Text(f"{where}：超过 {limit} 字节", f"{where}: more than {limit} bytes"))
        return content
