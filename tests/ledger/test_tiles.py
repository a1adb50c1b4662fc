"""Tiles: the numbers that C2SP tlog-tiles works out, and trees of any size cut into files and put together again."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger import naive
from tutela.ledger.merkle import EMPTY_ROOT
from tutela.ledger.refused import DamagedError, MisuseError
from tutela.ledger.tiles import ENTRIES, Tile, Tree, bundle_of, edge_of, entries_in, hashes_in, levels, root_of_edge, tile_at, tiles_of

SIZES = [1, 2, 3, 128, 255, 256, 257, 511, 512, 513, 768, 1000, 65_279, 65_535, 65_536, 65_537, 65_792, 66_000]


def entries(size: int) -> list[bytes]:
    return [str(i).encode() for i in range(size)]


def test_seventy_thousand_entries_have_the_tiles_that_the_specification_counts() -> None:
    counted = Counter((tile.level, tile.width) for tile in tiles_of(70_000))
    assert counted == {(0, 256): 273, (0, 112): 1, (1, 256): 1, (1, 17): 1, (2, 1): 1}


def test_two_hundred_and_fifty_six_entries_have_a_full_tile_and_one_hash_above() -> None:
    assert [(tile.level, tile.width) for tile in tiles_of(256)] == [(0, 256), (1, 1)]


@pytest.mark.parametrize(
    "tile, path",
    [
        (Tile(0, 1_234_067, 256), "tile/0/x001/x234/067"),
        (Tile(0, 0, 256), "tile/0/000"),
        (Tile(3, 999, 1), "tile/3/999.p/1"),
        (Tile(1, 1000, 255), "tile/1/x001/000.p/255"),
        (Tile(ENTRIES, 1_234_067, 112), "tile/entries/x001/x234/067.p/112"),
        (Tile(0, 999_999, 256), "tile/0/x999/999"),
        (Tile(0, 1_000_000, 256), "tile/0/x001/x000/000"),
    ],
)
def test_a_tile_has_the_path_of_the_specification(tile: Tile, path: str) -> None:
    assert tile.path == path


@given(st.integers(0, 10**18))
def test_any_tile_has_the_path_of_the_specification(number: int) -> None:
    assert Tile(0, number, 256).path == f"tile/0/{naive.number(number)}"


@pytest.mark.parametrize("size", SIZES)
def test_a_tree_has_the_files_of_the_definition_and_gives_any_hash_back(size: int) -> None:
    every = entries(size)
    leaves = [naive.leaf(one) for one in every]
    files = naive.files(every)
    assert {tile.path for tile in tiles_of(size)} == {path for path in files if "entries" not in path}
    tree = Tree(size, lambda tile: files[tile.path])
    assert tree.root() == naive.root(leaves)
    edge = {tile.level: hashes_in(files[tile.path], tile) for tile in edge_of(size)}
    assert root_of_edge(size, edge) == naive.root(leaves)
    for start, end in ((0, 1), (0, size), (size - 1, size), (0, 1 << size.bit_length() - 1), (1 << size.bit_length() - 1, size)):
        if start < end:
            assert tree.hash_of(start, end) == naive.root(leaves[start:end])
    last = tile_at(ENTRIES, (size - 1) // 256, size)
    assert entries_in(files[last.path], last) == every[last.number * 256 :]


@given(size=st.one_of(st.sampled_from(SIZES[:12]), st.integers(1, 1100)), data=st.data())
def test_every_range_of_a_proof_comes_out_of_the_tiles(size: int, data: st.DataObject) -> None:
    leaves = [naive.leaf(one) for one in entries(size)]
    files = naive.files(entries(size))
    wide = 1 << data.draw(st.integers(0, size.bit_length() - 1))
    start = data.draw(st.integers(0, (size - 1) // wide)) * wide
    end = min(start + wide, size)
    assert Tree(size, lambda tile: files[tile.path]).hash_of(start, end) == naive.root(leaves[start:end])


def test_an_empty_tree_has_no_tiles() -> None:
    assert (levels(0), list(tiles_of(0)), list(edge_of(0)), root_of_edge(0, {})) == (0, [], [], EMPTY_ROOT)
    assert Tree(0, lambda tile: b"").root() == EMPTY_ROOT


@pytest.mark.parametrize("level, number, size", [(0, 0, 0), (0, 1, 256), (1, 0, 255), (ENTRIES, 1, 256), (0, -1, 256), (2, 0, 65_535)])
def test_beyond_its_end_a_tree_has_no_tile(level: int, number: int, size: int) -> None:
    with pytest.raises(MisuseError, match="has no tile"):
        tile_at(level, number, size)


@pytest.mark.parametrize("start, end", [(0, 0), (0, 11), (-1, 5), (5, 4)])
def test_beyond_its_end_a_tree_has_no_hashes(start: int, end: int) -> None:
    with pytest.raises(MisuseError, match="no entries from"):
        Tree(10, lambda tile: b"").hash_of(start, end)


@given(st.lists(st.binary(max_size=400), min_size=1, max_size=256))
def test_a_bundle_gives_its_entries_back(packed: list[bytes]) -> None:
    assert entries_in(bundle_of(packed), Tile(ENTRIES, 0, len(packed))) == packed


def test_a_bundle_holds_entries_of_any_length_but_one_too_long() -> None:
    packed = [b"", b"a" * 0xFFFF, b"b"]
    assert entries_in(bundle_of(packed), Tile(ENTRIES, 0, 3)) == packed
    with pytest.raises(MisuseError, match="65536"):
        bundle_of([b"a" * 0x10000])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0",
        b"\0\1a",
        b"\0\1a\0",
        b"\0\1a\0\2b",
        b"\0\1a\0\1bc",
        b"\0\1a\0\1b\0\0",
        b"\0\1a\xff\xffb",
    ],
)
def test_a_bundle_that_its_entries_do_not_fill_is_refused(content: bytes) -> None:
    with pytest.raises(DamagedError, match="exactly 2 entries"):
        entries_in(content, Tile(ENTRIES, 0, 2))


@pytest.mark.parametrize("length", [0, 31, 63, 65, 96])
def test_a_tile_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(DamagedError, match=f"has {length} bytes, not 64"):
        hashes_in(bytes(length), Tile(0, 0, 2))
