"""Files of private keys: mode 0600, in the form that golang.org/x/mod/sumdb/note writes."""

from __future__ import annotations

from pathlib import Path

from tutela.language import Text
from tutela.ledger.refused import MalformedError, MisuseError
from tutela.ledger.signing import Cosigner, Ed25519Signer, parse_private_key, private_key
from tutela.ledger.sm2 import Sm2Signer
from tutela.ledger.store.durable import replace


def write_key(path: Path, signer: Ed25519Signer | Cosigner | Sm2Signer) -> None:
    """Keeps a new key, durably."""
    replace(path, f"{private_key(signer)}\n".encode(), 0o600)


def read_key(path: Path, absent: Text) -> Ed25519Signer | Cosigner | Sm2Signer:
    """The key in a file; raises MisuseError where others may read it, or with `absent` where there is none, and MalformedError, which never repeats the key."""
    try:
        mode = path.stat().st_mode
        content = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise MisuseError(absent) from None
    if mode & 0o077:
        raise MisuseError(
            Text(f"{path} 别人也能读（权限 {mode & 0o777:o}）：请 chmod 600", f"{path} can be read by others (mode {mode & 0o777:o}): chmod 600 it")
        )
    try:
        return parse_private_key(content.strip())
    except MalformedError as problem:
        raise MalformedError(
            Text(
                f"{path}：{problem.message.zh}。请从备份恢复这一个文件（不要连同旁边的其他文件）",
                f"{path}: {problem.message.en}. Restore this one file from a backup, and none of those beside it",
            )
        ) from None
