"""The salts of digests that would let people be guessed: each in a file of its own, so that it can be deleted.

Once its salt is deleted, an entry still stands and still verifies, but nobody can tell any more what it spoke of.
"""

from __future__ import annotations

import base64
import secrets
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
        """The salt of this content; a new one, durable before it is used, unless there is one. Raises DamagedError."""
        path = self._file(content)
        # Two salts for one content, and one of them would be lost: one appender at a time.
        with alone(self._path):
            try:
                return self._checked(path, content)
            except FileNotFoundError:
                salt = secrets.token_bytes(SALT_BYTES)
                replace(path, f"{base64.b64encode(salt).decode()} {salted_digest(content, salt)}\n".encode(), 0o600)
                return salt

    def find(self, subject: str) -> bytes | None:
        """The salt behind a salted digest, unless it was deleted."""
        found = self._behind(subject)
        return found and found[1]

    def known(self, content: bytes) -> bytes | None:
        """The salt of this content, if it has one; raises DamagedError."""
        try:
            return self._checked(self._file(content), content)
        except FileNotFoundError:
            return None

    def forget(self, subject: str) -> bool:
        """Deletes the salt behind a salted digest; whether there was one."""
        found = self._behind(subject)
        if found:
            found[0].unlink()
            sync_folder(self._path)
        return found is not None

    def _behind(self, subject: str) -> tuple[Path, bytes] | None:
        """The file that says this salted digest, and the salt in it. One that is damaged stands in the way only if it may be the one."""
        problem = None
        for path in self._path.iterdir():
            # What a crash left half made begins with a dot.
            if not path.name.startswith("."):
                try:
                    salt, salted = self._read(path)
                except DamagedError as damaged:
                    problem = damaged
                else:
                    if salted == subject:
                        return path, salt
        if problem:
            raise problem
        return None

    def _checked(self, path: Path, content: bytes) -> bytes:
        """The salt in a file, if it is the one with which this content was salted."""
        salt, salted = self._read(path)
        if salted != salted_digest(content, salt):
            raise _damaged(path)
        return salt

    def _file(self, content: bytes) -> Path:
        return self._path / sha256(content).hexdigest()

    @staticmethod
    def _read(path: Path) -> tuple[bytes, str]:
        words = path.read_text(encoding="ascii", errors="replace").split()
        try:
            salt, salted = words
            return base64.b64decode(salt, validate=True), salted
        except ValueError:
            raise _damaged(path) from None


def _damaged(path: Path) -> DamagedError:
    return DamagedError(
        Text(
            f"{path} 里的盐已损坏：请从备份恢复这个文件；若本来就要删除这份盐，删掉文件即可",
            f"the salt in {path} is damaged: restore this file from a backup, or remove it if the salt was to be deleted anyway",
        )
    )
