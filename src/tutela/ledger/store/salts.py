"""The salts of digests that would let people be guessed: each in a file of its own, so that it can be deleted.

Once its salt is deleted, an entry still stands and still verifies, but nobody can tell any more what it spoke of.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from tutela.language import Text
from tutela.ledger.entry import SALT_BYTES, salted_digest
from tutela.ledger.refused import DamagedError
from tutela.ledger.store.durable import alone, replace, sync_folder


class Salts:
    """The private folder of salts; a file is named after its subject's plain digest, and says the salted one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def of(self, content: bytes) -> bytes:
        """The salt of this content; a new one, durable before it is used, unless there is one."""
        path = self._file(content)
        # Two salts for one content, and one of them would be lost: one appender at a time.
        with alone(self._path):
            try:
                return self._read(path)[0]
            except FileNotFoundError:
                salt = secrets.token_bytes(SALT_BYTES)
                replace(path, f"{base64.b64encode(salt).decode()} {salted_digest(content, salt)}\n".encode(), 0o600)
                return salt

    def find(self, subject: str) -> bytes | None:
        """The salt behind a salted digest, unless it was deleted."""
        return next((salt for _, salt, salted in self._all() if salted == subject), None)

    def known(self, content: bytes) -> bytes | None:
        """The salt of this content, if it has one."""
        path = self._file(content)
        return self._read(path)[0] if path.exists() else None

    def forget(self, subject: str) -> bool:
        """Deletes the salt behind a salted digest; whether there was one."""
        for path, _, salted in self._all():
            if salted == subject:
                path.unlink()
                sync_folder(self._path)
                return True
        return False

    def _all(self) -> Iterator[tuple[Path, bytes, str]]:
        for path in self._path.iterdir():
            # What a crash left half made begins with a dot.
            if not path.name.startswith("."):
                yield path, *self._read(path)

    def _file(self, content: bytes) -> Path:
        return self._path / sha256(content).hexdigest()

    @staticmethod
    def _read(path: Path) -> tuple[bytes, str]:
        words = path.read_text(encoding="ascii", errors="replace").split()
        try:
            salt, salted = words
            return base64.b64decode(salt, validate=True), salted
        except ValueError:
            raise DamagedError(Text(f"{path} 不是盐文件", f"{path} is no file with a salt")) from None
