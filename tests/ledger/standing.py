"""What stands in a log's folder, read without the writer's or the reader's code: by the definition in `naive`."""

from __future__ import annotations

import base64
from pathlib import Path

from tests.ledger import naive


def entries_of(public: Path) -> list[bytes]:
    """The entries of a published log, whose every tile and root is as it must be."""
    _, size, root, *_ = (public / "checkpoint").read_text().split("\n")
    entries = [one for number in range(-(-int(size) // 256)) for one in _bundle(public, number, min(int(size) - number * 256, 256))]
    assert naive.root([naive.leaf(one) for one in entries]) == base64.b64decode(root)
    for path, content in naive.files(entries).items():
        assert _held(public, path)[: len(content)] == content, path
    return entries


def _bundle(public: Path, number: int, width: int) -> list[bytes]:
    content = _held(public, f"tile/entries/{naive.number(number)}{f'.p/{width}' if width < 256 else ''}")
    found: list[bytes] = []
    while len(found) < width:
        length = int.from_bytes(content[:2], "big")
        found.append(content[2 : 2 + length])
        content = content[2 + length :]
    return found


def _held(public: Path, path: str) -> bytes:
    """A partial tile may be gone once the full one is there."""
    whole, parted, _ = path.partition(".p/")
    return (public / (path if not parted or (public / path).exists() else whole)).read_bytes()
