"""Merkle trees as RFC 6962 section 2.1 has them: hashes, and the two proofs.

A hash is 32 bytes of SHA-256. Leaves are counted from 0; a range `(start, end)` holds the leaves `start <= i < end`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256

from tutela.language import Text
from tutela.ledger.refused import ConsistencyError, InclusionError, MalformedError

HASH_BYTES = 32
MAX_SIZE = 1 << 62
"""Larger trees are refused: no log has so many entries, and a proof of it would have no bound."""
EMPTY_ROOT = sha256(b"").digest()

Range = tuple[int, int]


def leaf_hash(entry: bytes) -> bytes:
    """The hash of one entry."""
    return sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node over its two children."""
    return sha256(b"\1" + left + right).digest()


def split(size: int) -> int:
    """The largest power of two smaller than `size` (at least 2): where a tree of `size` leaves parts."""
    return 1 << (size - 1).bit_length() - 1


def root_of(hashes: Sequence[bytes]) -> bytes:
    """The root over leaf hashes, or over the roots of complete subtrees of one height."""
    if not hashes:
        return EMPTY_ROOT
    row = list(hashes)
    while len(row) > 1:
        # A last one without a neighbour goes up as it is: the same tree as the RFC's, which parts from the left.
        above = [sha256(b"\1" + left + right).digest() for left, right in zip(row[::2], row[1::2], strict=False)]
        if len(row) % 2:
            above.append(row[-1])
        row = above
    return row[0]


def subtrees(start: int, end: int) -> list[Range]:
    """The complete subtrees that `start <= i < end` is made of, from left to right; `start` is a multiple of the first one's size."""
    found = []
    while start < end:
        wide = 1 << (end - start).bit_length() - 1
        found.append((start, start + wide))
        start += wide
    return found


def fold(hashes: Sequence[bytes]) -> bytes:
    """The root over `subtrees`' hashes, from left to right."""
    root = hashes[-1]
    for left in reversed(hashes[:-1]):
        root = node_hash(left, root)
    return root


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """The ranges whose hashes prove that entry `index` is in a tree of `size`, from the leaf's sibling up (RFC 6962, 2.1.1)."""
    path: list[Range] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + split(end - start)
        if index < middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((start, middle))
            start = middle
    return path[::-1]


def consistency_ranges(old: int, new: int) -> list[Range]:
    """The ranges whose hashes prove that the tree of `old` entries is how that of `new` began (RFC 6962, 2.1.2)."""
    if old in (0, new):
        return []
    path: list[Range] = []
    start, end = 0, new
    while old != end:
        middle = start + split(end - start)
        if old <= middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((start, middle))
            start = middle
    if start:
        # The old tree is no complete subtree of the new one: where it ends must be shown too.
        path.append((start, old))
    return path[::-1]


def check_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """That the entry with the hash `leaf` is number `index` in the tree of `size` with `root`; raises NotIncluded.

    The algorithm of RFC 9162 section 2.1.3.2, which counts every hash of the proof: one too many or too few is refused.
    """
    if not 0 <= index < size <= MAX_SIZE:
        raise InclusionError(Text(f"第 {index} 条不在 {size} 条的日志之内", f"entry {index} lies outside a log of {size} entries"))
    expected = inclusion_ranges(index, size)
    if len(proof) != len(expected):
        raise InclusionError(
            Text(
                f"第 {index} 条（共 {size} 条）的包含证明应有 {len(expected)} 个散列，实有 {len(proof)} 个",
                f"the inclusion proof of entry {index} of {size} has {len(proof)} hashes, not {len(expected)}",
            )
        )
    found = leaf
    for (start, _), sibling in zip(expected, proof, strict=True):
        found = node_hash(sibling, found) if start < index else node_hash(found, sibling)
    if found != root:
        raise InclusionError(
            Text(
                f"第 {index} 条的包含证明得出的根是 {found.hex()}，检查点签的是 {root.hex()}",
                f"the inclusion proof of entry {index} leads to the root {found.hex()}, the checkpoint has {root.hex()}",
            )
        )


def check_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """That the tree of `new` entries begins with the tree of `old`; raises ConsistencyError (RFC 9162, 2.1.4.2)."""
    if not 0 <= old <= new <= MAX_SIZE:
        raise MalformedError(Text(f"{old} 条的树不可能是 {new} 条的树的开头", f"a tree of {old} entries cannot be the beginning of one of {new}"))
    expected = consistency_ranges(old, new)
    if len(proof) != len(expected):
        raise ConsistencyError(
            Text(
                f"从 {old} 条到 {new} 条的一致性证明应有 {len(expected)} 个散列，实有 {len(proof)} 个",
                f"the consistency proof from {old} to {new} entries has {len(proof)} hashes, not {len(expected)}",
            )
        )
    if old == 0:
        first, second = EMPTY_ROOT, new_root if new else EMPTY_ROOT
    elif old == new:
        first, second = old_root, old_root
    else:
        first, second = _both_roots(old, expected, proof, old_root)
    if first != old_root or second != new_root:
        raise ConsistencyError(
            Text(
                f"{new} 条的日志（根 {new_root.hex()}）不是由 {old} 条的日志（根 {old_root.hex()}）增长而来：这是两段不同的历史",
                f"the log of {new} entries (root {new_root.hex()}) did not grow out of the log of {old} entries (root {old_root.hex()}): these are two histories",
            )
        )


def root_shown(old: int, new: int, new_root: bytes, proof: Sequence[bytes]) -> bytes | None:
    """The root that the tree of `new` entries with `new_root` had at `old` entries, where a consistency proof shows it.

    None if it does not lead to `new_root`, or if the old tree is a complete subtree: the proof of such a one leaves its root out.
    """
    ranges = consistency_ranges(old, new) if 0 < old < new else []
    if not ranges or len(proof) != len(ranges) or ranges[0][1] != old:
        return None
    first, second = _both_roots(old, ranges, proof, EMPTY_ROOT)
    return first if second == new_root else None


def _both_roots(old: int, ranges: Sequence[Range], proof: Sequence[bytes], old_root: bytes) -> tuple[bytes, bytes]:
    """The roots of the old and of the new tree that a consistency proof leads to."""
    pairs = list(zip(ranges, proof, strict=True))
    if ranges[0][1] == old:
        # The proof begins with the subtree at whose right edge the old tree ends …
        first = second = proof[0]
        pairs = pairs[1:]
    else:
        # … or the old tree is such a subtree itself, and nobody needs to be told its hash.
        first = second = old_root
    for (start, _), sibling in pairs:
        if start < old:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
        else:
            second = node_hash(second, sibling)
    return first, second


def prove_inclusion(index: int, size: int, hash_of: Callable[[int, int], bytes]) -> list[bytes]:
    """The inclusion proof; `hash_of(start, end)` knows the hash of a range."""
    return [hash_of(start, end) for start, end in inclusion_ranges(index, size)]


def prove_consistency(old: int, new: int, hash_of: Callable[[int, int], bytes]) -> list[bytes]:
    """The consistency proof; `hash_of(start, end)` knows the hash of a range."""
    return [hash_of(start, end) for start, end in consistency_ranges(old, new)]
