"""Trees and proofs: the vectors of Certificate Transparency, and the definition of RFC 6962 itself for any size."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger import naive
from tutela.ledger.merkle import (
    EMPTY_ROOT,
    MAX_SIZE,
    check_consistency,
    check_inclusion,
    consistency_ranges,
    inclusion_ranges,
    leaf_hash,
    prove_consistency,
    prove_inclusion,
    root_of,
)
from tutela.ledger.refused import ConsistencyError, InclusionError, LedgerError, MalformedError

# The tree of eight leaves that every implementation of RFC 6962 is tried on, first by Certificate Transparency's own.
LEAVES = [bytes.fromhex(one) for one in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")]
ROOTS = [
    bytes.fromhex(one)
    for one in (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    )
]
INCLUSION = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
CONSISTENCY = {
    (1, 1): [],
    (1, 8): INCLUSION[0, 8],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
    (6, 7): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
}

SIZES = sorted({around + more for around in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 768, 1024) for more in (-1, 0, 1)} - {0})
sizes = st.one_of(st.sampled_from(SIZES), st.integers(1, 1100))
hashes = st.binary(min_size=32, max_size=32)


def tree(size: int) -> list[bytes]:
    return [leaf_hash(str(i).encode()) for i in range(size)]


def test_the_known_tree_has_its_known_roots() -> None:
    assert [root_of([leaf_hash(one) for one in LEAVES[:size]]) for size in range(9)] == ROOTS


@pytest.mark.parametrize("index, size", INCLUSION)
def test_the_known_tree_has_its_known_inclusion_proofs(index: int, size: int) -> None:
    leaves = [leaf_hash(one) for one in LEAVES[:size]]
    proof = prove_inclusion(index, size, lambda start, end: root_of(leaves[start:end]))
    assert [one.hex() for one in proof] == INCLUSION[index, size]
    check_inclusion(leaves[index], index, size, proof, ROOTS[size])


@pytest.mark.parametrize("old, new", CONSISTENCY)
def test_the_known_tree_has_its_known_consistency_proofs(old: int, new: int) -> None:
    leaves = [leaf_hash(one) for one in LEAVES[:new]]
    proof = prove_consistency(old, new, lambda start, end: root_of(leaves[start:end]))
    assert [one.hex() for one in proof] == CONSISTENCY[old, new]
    check_consistency(old, ROOTS[old], new, ROOTS[new], proof)


def test_every_tree_of_up_to_sixty_entries_has_the_roots_and_proofs_of_the_definition() -> None:
    whole = tree(60)
    for size in range(1, 61):
        leaves = whole[:size]
        root = naive.root(leaves)
        assert root_of(leaves) == root
        for index in range(size):
            proof = naive.inclusion(index, leaves)
            assert prove_inclusion(index, size, lambda start, end: naive.root(whole[start:end])) == proof
            check_inclusion(leaves[index], index, size, proof, root)
            # What precedes is a tree as well, and proven to be how this one began.
            proof = naive.consistency(index + 1, leaves)
            assert prove_consistency(index + 1, size, lambda start, end: naive.root(whole[start:end])) == proof
            check_consistency(index + 1, naive.root(leaves[: index + 1]), size, root, proof)


@given(size=sizes, data=st.data())
def test_any_tree_has_the_roots_and_proofs_of_the_definition(size: int, data: st.DataObject) -> None:
    leaves = tree(size)
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    root = naive.root(leaves)
    assert root_of(leaves) == root
    proof = prove_inclusion(index, size, lambda start, end: root_of(leaves[start:end]))
    assert proof == naive.inclusion(index, leaves)
    check_inclusion(leaves[index], index, size, proof, root)
    proof = prove_consistency(old, size, lambda start, end: root_of(leaves[start:end]))
    assert proof == naive.consistency(old, leaves)
    check_consistency(old, root_of(leaves[:old]), size, root, proof)


def flipped(content: bytes, bit: int) -> bytes:
    bit %= len(content) * 8
    return content[: bit // 8] + bytes([content[bit // 8] ^ 1 << bit % 8]) + content[bit // 8 + 1 :]


def changed(proof: list[bytes], data: st.DataObject) -> Iterator[list[bytes]]:
    """The proof with one thing wrong."""
    extra = data.draw(hashes)
    yield [*proof, extra]
    yield [extra, *proof]
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        yield proof[:at] + proof[at + 1 :]
        yield [*proof[:at], flipped(proof[at], data.draw(st.integers(0, 255))), *proof[at + 1 :]]
        yield [*proof[:at], proof[at][:31], *proof[at + 1 :]]
        yield [*proof[:at], proof[at] + b"\0", *proof[at + 1 :]]
    if len(set(proof)) > 1:
        yield proof[::-1]


@given(size=sizes, data=st.data())
def test_an_inclusion_proof_with_anything_wrong_does_not_verify(size: int, data: st.DataObject) -> None:
    leaves = tree(size)
    index = data.draw(st.integers(0, size - 1))
    root, proof = root_of(leaves), naive.inclusion(index, leaves)
    bit = data.draw(st.integers(0, 255))
    wrong = [(leaves[index], index, size, one, root) for one in changed(proof, data)]
    wrong += [(flipped(leaves[index], bit), index, size, proof, root), (leaves[index], index, size, proof, flipped(root, bit))]
    wrong += [(leaves[index], other, size, proof, root) for other in (-1, data.draw(st.integers(0, size + 3)), size) if other != index]
    # A tree of another size has another root, and the index another path; where the path is the same, the size was never in question.
    wrong += [
        (leaves[index], index, other, proof, root)
        for other in (0, data.draw(st.integers(1, 2 * size)), MAX_SIZE + 1)
        if other <= index or other > MAX_SIZE or shape(index, other) != shape(index, size)
    ]
    for leaf, at, of, by, to in wrong:
        with pytest.raises(InclusionError):
            check_inclusion(leaf, at, of, by, to)


def shape(index: int, size: int) -> list[bool]:
    """On which side each hash of a proof goes."""
    return [start < index for start, _ in inclusion_ranges(index, size)]


@given(size=sizes, data=st.data())
def test_a_consistency_proof_with_anything_wrong_does_not_verify(size: int, data: st.DataObject) -> None:
    leaves = tree(size)
    old = data.draw(st.integers(1, size))
    root, before = root_of(leaves), root_of(leaves[:old])
    proof = naive.consistency(old, leaves)
    bit = data.draw(st.integers(0, 255))
    wrong = [(old, before, size, root, one) for one in changed(proof, data)]
    wrong += [(old, flipped(before, bit), size, root, proof), (old, before, size, flipped(root, bit), proof)]
    wrong += [(old, root, size, before, proof)] if old != size else []
    for first, was, second, now, by in wrong:
        with pytest.raises(ConsistencyError):
            check_consistency(first, was, second, now, by)
    for first, second in ((size + 1, size), (-1, size), (old, MAX_SIZE + 1)):
        with pytest.raises(MalformedError):
            check_consistency(first, before, second, root, proof)


def test_a_fork_is_found_at_every_size_from_every_size() -> None:
    ours = tree(40)
    theirs = [*ours[:20], *(leaf_hash(b"rewritten" + one) for one in ours[20:])]
    for old in range(21, 40):
        for new in range(old, 41):
            for proof in (naive.consistency(old, ours[:new]), naive.consistency(old, theirs[:new])):
                with pytest.raises(ConsistencyError, match="two histories"):
                    check_consistency(old, root_of(ours[:old]), new, root_of(theirs[:new]), proof)


def test_the_empty_tree_is_how_every_tree_began_and_needs_no_proof() -> None:
    check_consistency(0, EMPTY_ROOT, 0, EMPTY_ROOT, [])
    check_consistency(0, EMPTY_ROOT, 8, ROOTS[8], [])
    for old, was, new, now, proof in (
        (0, ROOTS[1], 8, ROOTS[8], []),
        (0, EMPTY_ROOT, 8, ROOTS[8], [ROOTS[1]]),
        (0, EMPTY_ROOT, 0, ROOTS[1], []),
    ):
        with pytest.raises(ConsistencyError):
            check_consistency(old, was, new, now, proof)


def test_proofs_of_trees_as_large_as_can_be_are_short() -> None:
    assert len(inclusion_ranges(MAX_SIZE - 2, MAX_SIZE - 1)) <= 62
    assert len(consistency_ranges(MAX_SIZE // 2 + 1, MAX_SIZE - 1)) <= 63
    with pytest.raises(LedgerError):
        check_inclusion(ROOTS[1], MAX_SIZE, MAX_SIZE, [ROOTS[1]] * 62, ROOTS[8])
