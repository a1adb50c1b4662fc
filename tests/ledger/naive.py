"""RFC 6962 section 2.1 and C2SP tlog-tiles word for word: slow, and with nothing of ours in it but what the tests hand in.

A tree is the list of its leaves' hashes.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path


def leaf(entry: bytes) -> bytes:
    return sha256(b"\x00" + entry).digest()


def below(size: int) -> int:
    """The largest power of two smaller than size."""
    k = 1
    while k * 2 < size:
        k *= 2
    return k


def root(leaves: list[bytes]) -> bytes:
    """MTH(D[n])."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = below(len(leaves))
    return sha256(b"\x01" + root(leaves[:k]) + root(leaves[k:])).digest()


def inclusion(index: int, leaves: list[bytes]) -> list[bytes]:
    """PATH(m, D[n])."""
    if len(leaves) == 1:
        return []
    k = below(len(leaves))
    if index < k:
        return [*inclusion(index, leaves[:k]), root(leaves[k:])]
    return [*inclusion(index - k, leaves[k:]), root(leaves[:k])]


def consistency(old: int, leaves: list[bytes]) -> list[bytes]:
    """PROOF(m, D[n])."""
    return _subproof(old, leaves, whole=True)


def _subproof(old: int, leaves: list[bytes], *, whole: bool) -> list[bytes]:
    if old == len(leaves):
        return [] if whole else [root(leaves)]
    k = below(len(leaves))
    if old <= k:
        return [*_subproof(old, leaves[:k], whole=whole), root(leaves[k:])]
    return [*_subproof(old - k, leaves[k:], whole=False), root(leaves[:k])]


def number(index: int) -> str:
    """Zero-padded 3-digit path elements; all but the last begin with an x."""
    return (_above(index // 1000) if index >= 1000 else "") + f"{index % 1000:03}"


def _above(index: int) -> str:
    return (_above(index // 1000) if index >= 1000 else "") + f"x{index % 1000:03}/"


def files(entries: list[bytes]) -> dict[str, bytes]:
    """Every tile and bundle that a checkpoint over these entries needs, by its path."""
    found = {}
    row = [leaf(one) for one in entries]
    for start in range(0, len(entries), 256):
        packed = entries[start : start + 256]
        found[f"tile/entries/{_name(start // 256, len(packed))}"] = b"".join(len(one).to_bytes(2, "big") + one for one in packed)
    level = 0
    while row:
        for start in range(0, len(row), 256):
            held = row[start : start + 256]
            found[f"tile/{level}/{_name(start // 256, len(held))}"] = b"".join(held)
        row = [root(row[start : start + 256]) for start in range(0, len(row) // 256 * 256, 256)]
        level += 1
    return found


def _name(index: int, width: int) -> str:
    return number(index) + (f".p/{width}" if width < 256 else "")


def write(folder: Path, content: dict[str, bytes]) -> None:
    for name, held in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(held)
