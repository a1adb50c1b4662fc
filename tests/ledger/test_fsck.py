"""fsck names the file that is wrong, and nothing but it."""

from __future__ import annotations

import os
import re
import shutil
import sys
import threading
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger import made, naive
from tutela.cli import main
from tutela.cli.ledger.fsck import Watch
from tutela.language import Lang
from tutela.ledger.checkpoint import parse_signed
from tutela.ledger.entry import Kind, digest, new_record
from tutela.ledger.fsck.examination import Examination
from tutela.ledger.fsck.finding import Finding, Grade
from tutela.ledger.fsck.heads import Head, other_heads
from tutela.ledger.fsck.identities import Identities
from tutela.ledger.fsck.layout import path_of, place_of
from tutela.ledger.note import Signature
from tutela.ledger.signing import Cosigner
from tutela.ledger.store.keeper import Ledger, create
from tutela.ledger.tiles import Tile

Files = dict[str, bytes]
# Two full tiles and an edge, an edge alone, a full tile alone.
SIZE = 600


def examined(files: Files, *earlier: tuple[str, bytes]) -> list[Finding]:
    """What an examination finds at the checkpoint, and at earlier ones."""
    heads = [Head(place, parse_signed(content).checkpoint) for place, content in (("checkpoint", files["checkpoint"]), *earlier)]
    with Identities() as identities:
        return list(Examination(made.Memory(files), heads, identities).findings())


def said(found: list[Finding]) -> list[str]:
    return [f"{one.grade.value.en}: {one.place}: {one.what.en}" for one in found]


def without(files: Files, *paths: str) -> Files:
    return {path: content for path, content in files.items() if path not in paths}


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 511, 512, 513, 768, 65_535, 65_536, 65_537, 70_000])
def test_a_log_made_by_the_definition_is_sound(size: int) -> None:
    assert examined(made.files(made.entries(size))) == []


@given(st.integers(0, 1100))
def test_a_log_of_any_size_is_sound(size: int) -> None:
    assert examined(made.files(made.entries(size))) == []


@pytest.mark.parametrize(
    "path, found",
    [
        ("tile/0/000", ["damaged: tile/0/000: differs from what lies below it, which tile/1/000.p/2 vouches for"]),
        ("tile/0/002.p/88", ["damaged: tile/0/002.p/88: differs from what lies below it, which the signed root vouches for"]),
        ("tile/1/000.p/2", ["damaged: tile/1/000.p/2: differs from what lies below it, which the signed root vouches for"]),
        (
            "tile/entries/001",
            [
                "damaged: tile/entries/001: entry 256: this is no canonical record of edition 1",
                "damaged: tile/entries/001: entry 256 differs from the hash in tile/0/001",
            ],
        ),
        (
            "tile/entries/002.p/88",
            [
                "damaged: tile/entries/002.p/88: entry 512: this is no canonical record of edition 1",
                "damaged: tile/entries/002.p/88: entry 512 differs from the hash in tile/0/002.p/88",
            ],
        ),
    ],
)
def test_the_damaged_file_is_named_and_no_other(path: str, found: list[str]) -> None:
    files = made.files(made.entries(SIZE))
    assert said(examined({**files, path: flipped(files[path], 5)})) == found


def test_every_missing_file_is_named_and_no_other() -> None:
    files = made.files(made.entries(SIZE))
    for path in naive.files(made.entries(SIZE)):
        assert said(examined(without(files, path)))[:1] == [f"damaged: {path}: is missing"]
        # Without the entries that only they hold, the root is anybody's guess; all else can be had from the neighbour.
        assert len(examined(without(files, path))) == 1


def test_what_only_missing_entries_would_tell_is_not_called_fine() -> None:
    files = made.files(made.entries(SIZE))
    assert said(examined(without(files, "tile/entries/002.p/88", "tile/0/002.p/88"))) == [
        "damaged: tile/entries/002.p/88: is missing",
        "damaged: tile/0/002.p/88: is missing",
        "unseen: checkpoint: its root cannot be recomputed, since entries are missing",
    ]


@pytest.mark.parametrize("path", ["tile/0/000", "tile/0/002.p/88", "tile/1/000.p/2", "tile/entries/001", "tile/entries/002.p/88"])
@pytest.mark.parametrize("change", ["cut", "cut by an entry", "longer", "empty", "huge"])
def test_a_file_of_another_length_is_named(path: str, change: str) -> None:
    files = made.files(made.entries(SIZE))
    one = 32 if "entries" not in path else len(made.entry(0)) + 2
    content = files[path]
    content = {"cut": content[:-1], "cut by an entry": content[:-one], "longer": content + bytes(one), "empty": b"", "huge": content + bytes(1 << 25)}[change]
    found = examined({**files, path: content})
    assert [one.place for one in found] == [path], said(found)
    assert found[0].grade is Grade.DAMAGED


def test_entries_rewritten_with_all_their_tiles_do_not_lead_to_the_signed_root() -> None:
    held = list(made.entries(SIZE))
    held[300] = made.entry("forged", made.START + 300 // 7)
    files = {**naive.files(held), "checkpoint": made.files(made.entries(SIZE))["checkpoint"]}
    (only,) = said(examined(files))
    assert re.fullmatch(r"damaged: checkpoint: the first 600 entries lead to the root [0-9a-f]{64}, but it signs [0-9a-f]{64}", only)


def test_a_forged_entry_with_its_tile_is_named_by_the_hash_above() -> None:
    good = made.files(made.entries(SIZE))
    held = list(made.entries(SIZE))
    held[300] = made.entry("forged", made.START + 300 // 7)
    forged = naive.files(held)
    files = {**good, "tile/0/001": forged["tile/0/001"], "tile/entries/001": forged["tile/entries/001"]}
    assert said(examined(files)) == ["damaged: tile/0/001: with what lies below it, differs from the hash in tile/1/000.p/2"]


def test_in_a_tree_of_three_levels_the_damaged_tile_is_named() -> None:
    good = made.files(made.entries(70_000))
    for path, found in {
        "tile/1/000": ["damaged: tile/1/000: differs from what lies below it, which tile/2/000.p/1 vouches for"],
        "tile/1/001.p/17": ["damaged: tile/1/001.p/17: differs from what lies below it, which the signed root vouches for"],
        "tile/2/000.p/1": ["damaged: tile/2/000.p/1: differs from what lies below it, which the signed root vouches for"],
        "tile/0/100": ["damaged: tile/0/100: differs from what lies below it, which tile/1/000 vouches for"],
    }.items():
        assert said(examined({**good, path: flipped(good[path], 40 if len(good[path]) > 40 else 4)})) == found


def test_two_files_that_disagree_without_a_third_to_ask_are_both_named() -> None:
    files = made.files(made.entries(SIZE))
    changed = {**files, "tile/0/000": flipped(files["tile/0/000"], 0), "tile/entries/000": flipped(files["tile/entries/000"], 100)}
    found = examined(changed)
    assert {one.place for one in found} == {"tile/0/000", "tile/entries/000"}


def test_the_full_tile_stands_for_a_partial_one_that_a_growing_log_took_away() -> None:
    now, later = made.files(made.entries(SIZE)), made.files(made.entries(768))
    gone = without(now, "tile/0/002.p/88", "tile/entries/002.p/88")
    assert examined({**later, **gone}) == []


def test_an_earlier_checkpoint_must_be_how_the_log_began() -> None:
    files = made.files(made.entries(SIZE))
    for size in (0, 1, 255, 256, 257, 512, 599, 600):
        earlier = made.files(made.entries(size))["checkpoint"]
        assert examined(files, ("earlier", earlier)) == []
        if size:
            other = made.files([made.entry("another history"), *made.entries(size)[1:]])["checkpoint"]
            (one,) = examined(files, ("earlier", other))
            assert (one.place, one.grade) == ("earlier", Grade.DAMAGED)


def test_entries_that_are_none_are_named_though_the_log_signed_them() -> None:
    held = [made.entry(0), b"", b'{"edition":2}', made.entry(1)]
    assert said(examined(made.files(held))) == [
        "damaged: tile/entries/000.p/4: entry 1: this is no canonical record of edition 1",
        "damaged: tile/entries/000.p/4: entry 2: this is no canonical record of edition 1",
    ]


def test_times_that_cannot_be_are_remarked_upon() -> None:
    held = [made.entry(0), made.entry(1, made.START - 11), made.entry(2, 4_000_000_000), made.entry(3, made.START)]
    assert said(examined(made.files(held))) == [
        "remark: tile/entries/000.p/4: entry 1 was logged at 2023-11-14T22:13:09Z, after one that was logged at 2023-11-14T22:13:20Z",
        "remark: tile/entries/000.p/4: entry 2 was logged at 2096-10-02T07:06:40Z, which is yet to come",
    ]
    held = [made.entry(0, made.START - 11)]
    assert said(examined(made.files(held))) == [
        "remark: tile/entries/000.p/1: entry 0 was logged at 2023-11-14T22:13:09Z, before it was received, at 2023-11-14T22:13:10Z"
    ]


def test_a_record_that_was_logged_again_is_remarked_upon() -> None:
    held = [*made.entries(300), made.entry(7, made.START + 50), made.entry(7, made.START + 51)]
    assert said(examined(made.files(held))) == [
        "remark: tile/entries/001.p/46: entry 300 is the same record as entry 7",
        "remark: tile/entries/001.p/46: entry 301 is the same record as entry 7",
    ]


def test_a_size_without_end_ends_soon() -> None:
    files = made.files(made.entries(300))
    text = f"{made.ORIGIN}\n{1 << 60}\n{'A' * 43}=\n"
    note = f"{text}\n{made.SIGNER.sign(text).line}".encode()
    found = examined({**files, "checkpoint": note})
    assert len(found) < 2100
    assert said(found)[-1].endswith("not looked any further")


@given(st.integers(0, 10**15), st.integers(-1, 63), st.integers(1, 256))
def test_paths_are_the_writers_and_are_read_back(number: int, level: int, width: int) -> None:
    path = path_of(level, number, width)
    assert path == Tile(level, number, width).path
    assert place_of(path) == (level, number, width)


@pytest.mark.parametrize(
    "path",
    "tile/0/0 tile/0/0000 tile/00/000 tile/64/000 tile/-1/000 tile/0/x000/001 tile/0/001/002 tile/0/x001/x002 tile/0/000/ tile/0/000.p "
    "tile/0/000.p/0 tile/0/000.p/256 tile/0/000.p/01 Tile/0/000 tile/data/000 checkpoint".split(),
)
def test_any_other_path_is_no_tiles(path: str) -> None:
    assert place_of(path) is None


# ---------------------------------------------------------------------- the command


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    naive.write(tmp_path / "log", made.files(made.entries(SIZE)))
    return tmp_path / "log"


def fsck(folder: Path, *more: str) -> int:
    return main(["ledger", "fsck", str(folder), *(more or ("--key", made.SIGNER.key.vkey)), "--lang", "en"])


def test_the_command_says_sound_and_exits_0(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fsck(folder) == 0
    root = naive.root([naive.leaf(one) for one in made.entries(SIZE)]).hex()
    assert capsys.readouterr() == (f"the ledger is sound: 600 entries, root {root}\n", "")
    assert main(["ledger", "fsck", str(folder), "--key", made.SIGNER.key.vkey, "--lang", "zh"]) == 0
    assert capsys.readouterr().out == f"账本完好：600 条，根 {root}\n"


def test_the_command_names_what_is_damaged_in_both_languages_and_exits_2(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "tile/0/001").unlink()
    assert fsck(folder) == 2
    assert capsys.readouterr().out == "damaged  tile/0/001  is missing\nthe ledger is damaged: 1 findings above\n"
    assert main(["ledger", "fsck", str(folder), "--key", made.SIGNER.key.vkey, "--lang", "zh"]) == 2
    assert capsys.readouterr().out == "损坏  tile/0/001  缺失\n账本已损坏：以上 1 处\n"


@pytest.mark.parametrize("place, status", [("nowhere", 1), ("file", 1), ("empty", 3)])
def test_where_no_ledger_is_the_command_could_not_look(tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str, status: int) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    assert fsck(tmp_path / place) == status
    assert capsys.readouterr().out == ""


def test_nobody_is_believed_without_being_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ledger", "fsck", str(folder), "--lang", "en"]) == 3
    assert "no trusted key" in capsys.readouterr().err
    assert fsck(folder, "--own-key") == 0


def test_a_key_or_a_policy_that_is_none_is_our_mistake_and_no_damage(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "policy").write_text("no policy\n")
    (tmp_path / "state/tutela/ledgers").mkdir(parents=True)
    (tmp_path / "state/tutela/ledgers" / sha256(made.ORIGIN.encode()).hexdigest()).write_text("no pin\n\n")
    for words in (["--lang", "en"], ["--key", "a+b"], ["--policy", str(tmp_path / "policy")], ["--policy", str(tmp_path / "nowhere")]):
        assert fsck(folder, *words) == 1
        assert capsys.readouterr().out == ""


def test_a_policy_says_whom_to_believe(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    witness = made.Ed25519Signer("w", bytes(32))
    policy = tmp_path / "policy"
    policy.write_text(f"log {made.SIGNER.key.vkey}\nquorum none\n")
    assert fsck(folder, "--policy", str(policy)) == 0
    policy.write_text(f"log {made.SIGNER.key.vkey}\nwitness w {Cosigner('w', bytes(32)).key.vkey}\nquorum w\n")
    assert fsck(folder, "--policy", str(policy)) == 3
    policy.write_text(f"log {witness.key.vkey}\nquorum none\n")
    assert fsck(folder, "--policy", str(policy)) == 2
    assert capsys.readouterr().out.splitlines()[-2].startswith("damaged  checkpoint  no trusted key signed this")


def test_a_log_that_its_witnesses_have_not_caught_up_with_is_looked_through(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    witness = Cosigner("w", bytes(32))
    policy = tmp_path / "policy"
    policy.write_text(f"log {made.SIGNER.key.vkey}\nwitness w {witness.key.vkey}\nquorum w\n")
    older = parse_signed(made.files(made.entries(500))["checkpoint"]).note
    cosignature = witness.cosign(older.text, 1)
    naive.write(folder, {"cosigned": older.with_signatures((cosignature,)).content})
    assert fsck(folder, "--policy", str(policy)) == 3
    out, err = capsys.readouterr()
    assert out.startswith("the ledger is sound: 600 entries")
    assert err == "not proven: the quorum of witnesses is not reached: witness w is missing\n"
    damaged = Signature(cosignature.name, cosignature.key_id, cosignature.signature[:-1] + b"?")
    naive.write(folder, {"cosigned": older.with_signatures((damaged,)).content})
    assert fsck(folder, "--policy", str(policy)) == 2
    assert capsys.readouterr().out.startswith("damaged  cosigned  the signature of w does not verify")


def test_a_log_on_a_web_server_is_looked_through_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_address[1]}"
            key = ("--key", made.SIGNER.key.vkey, "--lang", "en")
            assert main(["ledger", "fsck", url, *key]) == 0
            assert "the ledger is sound: 600 entries" in capsys.readouterr().out
            (folder / "tile/0/001").unlink()
            assert main(["ledger", "fsck", url, *key]) == 2
            assert "damaged  tile/0/001  is missing" in capsys.readouterr().out
        finally:
            server.shutdown()
            thread.join()
    # A server that does not answer is no damage.
    assert main(["ledger", "fsck", url, *key]) == 1
    assert capsys.readouterr().out == ""


def test_a_key_that_a_ledger_shows_is_never_taken_for_the_name_of_a_file(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    secret = tmp_path / "secret"
    secret.write_text(made.SIGNER.key.vkey)
    (folder / "vkey").write_text(f"{secret}\n")
    assert fsck(folder, "--own-key") == 1
    assert main(["ledger", "verify", str(folder), "--trust-on-first-use", "--lang", "en"]) == 2
    assert capsys.readouterr().err.count("this is no verifier key") == 2


def test_a_checkpoint_of_another_key_is_damage_and_its_own_key_does_not_save_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "checkpoint").write_bytes(made.checkpoint([naive.leaf(one) for one in made.entries(SIZE)], made.Ed25519Signer(made.ORIGIN, bytes(32))))
    for trusting in (["--key", made.SIGNER.key.vkey], ["--own-key"]):
        assert fsck(folder, *trusting) == 2
        assert capsys.readouterr().out.startswith("damaged  checkpoint  no trusted key signed this")


def test_what_else_lies_in_the_folder_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = naive.files(made.entries(SIZE))
    past = naive.files(made.entries(550))
    naive.write(
        folder,
        {
            # Partial tiles of the past agree with what they have become …
            "tile/0/002.p/38": past["tile/0/002.p/38"],
            "tile/entries/002.p/38": past["tile/entries/002.p/38"],
            "tile/0/000.p/9": files["tile/0/000"][: 9 * 32],
            # … or do not.
            "tile/0/002.p/37": past["tile/0/002.p/38"],
            "tile/0/002.p/36": flipped(past["tile/0/002.p/38"][: 36 * 32], 99),
            "tile/entries/000.p/3": past["tile/entries/002.p/38"],
            "tile/1/000.p/1": bytes(32),
            # What a crash leaves.
            "tile/0/002.p/90": b"torn",
            "tile/entries/003": b"",
            ".checkpoint.new": b"",
            # What nobody asked for.
            "index.html": b"",
            "tile/0/000.p/300": b"",
            "tile/notes.txt": b"",
            "a\x1b[2Jb": b"",
        },
    )
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "tile/0/002.p/1")
    (folder / "tile/0/004").mkdir()
    assert fsck(folder) == 2
    assert sorted(capsys.readouterr().out.replace(f"{folder}/", "").splitlines()) == [
        "damaged  tile/0/002.p/1  tile/0/002.p/1: is no ordinary file",
        "damaged  tile/0/002.p/36  differs from how tile/0/002.p/88 begins",
        "damaged  tile/0/002.p/37  differs from how tile/0/002.p/88 begins",
        "damaged  tile/1/000.p/1  differs from how tile/1/000.p/2 begins",
        "damaged  tile/entries/000.p/3  differs from how tile/entries/000 begins",
        "remark  .checkpoint.new  was left by a write that was cut off, and can be removed",
        r"remark  a\x1b[2Jb  is a file that we do not know",
        "remark  index.html  is a file that we do not know",
        "remark  loop  is a file that we do not know",
        "remark  tile/0/000.p/300  is a file that we do not know",
        "remark  tile/0/002.p/90  no checkpoint needs it yet: an append was cut off, or is under way",
        "remark  tile/entries/003  no checkpoint needs it yet: an append was cut off, or is under way",
        "remark  tile/notes.txt  is a file that we do not know",
        "the ledger is damaged: 5 findings above",
    ]


def test_remarks_alone_leave_a_ledger_sound(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "index.html").touch()
    assert fsck(folder) == 0
    assert capsys.readouterr().out.splitlines()[0] == "remark  index.html  is a file that we do not know"


def test_another_key_beside_the_checkpoint_is_damage(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "vkey").write_text(f"{made.Ed25519Signer(made.ORIGIN, bytes(32)).key.vkey}\n")
    assert fsck(folder) == 2
    assert capsys.readouterr().out.startswith("damaged  vkey  lacks a trusted key that signed the checkpoint")


def test_what_witnesses_cosigned_and_what_was_time_stamped_must_be_how_the_log_began(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "timestamps").mkdir()
    stamped = "timestamps/300-0123456789abcdef.checkpoint"
    (folder / stamped).with_suffix(".tsr").touch()
    good = {"cosigned": made.files(made.entries(500))["checkpoint"], stamped: made.files(made.entries(300))["checkpoint"]}
    naive.write(folder, good)
    assert fsck(folder) == 0
    other = [made.entry("another history"), *made.entries(SIZE)[1:]]
    for path, content in {
        "cosigned": made.files(other[:500])["checkpoint"],
        stamped: made.files(other[:300])["checkpoint"],
    }.items():
        naive.write(folder, {**good, path: content})
        assert fsck(folder) == 2
        assert f"damaged  {path}  the first {(path == 'cosigned' and 500) or 300} entries lead to the root" in capsys.readouterr().out
        naive.write(folder, {path: made.files(made.entries(601))["checkpoint"]})
        assert fsck(folder) == 2
        assert f"damaged  {path}  is of 601 entries, but the checkpoint of 600: the log went back" in capsys.readouterr().out
        naive.write(folder, {path: made.checkpoint([], made.Ed25519Signer(made.ORIGIN, bytes(32)))})
        assert fsck(folder) == 2
        assert f"damaged  {path}  no trusted key signed this" in capsys.readouterr().out


def test_a_checkpoint_that_was_cosigned_while_we_looked_is_no_log_that_went_back() -> None:
    now, later = made.files(made.entries(300)), made.files(made.entries(310))
    source = made.Memory({**later, "cosigned": later["checkpoint"]})
    (head,) = other_heads(source, None, parse_signed(now["checkpoint"]).checkpoint, [made.SIGNER.key])
    assert isinstance(head, Head)
    assert head.checkpoint.size == 310


@pytest.fixture
def kept(tmp_path: Path, folder: Path) -> Ledger:
    """A log with its private folder, as the writer keeps them."""
    ledger = create(tmp_path / "kept", tmp_path / "kept.private", made.ORIGIN)
    ledger.append([new_record(Kind.SCAN, digest(str(i).encode()), made.START, made.START) for i in range(SIZE)])
    return ledger


def test_what_the_writer_keeps_is_sound_and_its_key_is_believed(kept: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    assert fsck(kept.public, "--private", str(kept.private)) == 0
    assert capsys.readouterr().out.startswith("the ledger is sound: 600 entries")
    assert fsck(kept.public, "--private", str(kept.private / "nowhere")) == 1


def test_both_keys_of_a_ledger_are_believed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = create(tmp_path / "kept", tmp_path / "kept.private", made.ORIGIN, sm2=True)
    for trusting in (["--private", str(ledger.private)], ["--own-key"], ["--key", str(ledger.public / "vkey")]):
        assert fsck(ledger.public, *trusting) == 0
        assert "remark" not in capsys.readouterr().out
    assert fsck(ledger.public, "--key", ledger.keys[0].vkey) == 0
    assert "remark  vkey  holds another key as well" in capsys.readouterr().out
    (ledger.public / "vkey").write_text(f"{ledger.keys[0].vkey}\n")
    assert fsck(ledger.public, "--private", str(ledger.private)) == 2
    assert capsys.readouterr().out.startswith("damaged  vkey  lacks a trusted key that signed the checkpoint")


def test_a_log_that_grows_meanwhile_is_sound(kept: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    done = threading.Event()

    def grow() -> None:
        ledger, size = Ledger(kept.public, kept.private), SIZE
        while not done.is_set():
            more = 1 + size % 97
            ledger.append([new_record(Kind.SCAN, digest(str(i).encode()), made.START, made.START) for i in range(size, size + more)])
            size += more

    thread = threading.Thread(target=grow)
    thread.start()
    try:
        for private in (True, False) * 8:
            assert fsck(kept.public, *(["--private", str(kept.private)] if private else ["--own-key"])) == 0, capsys.readouterr().out
    finally:
        done.set()
        thread.join()


def test_a_state_that_is_older_or_newer_is_remarked_upon(kept: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    old = (kept.public / "checkpoint").read_bytes()
    kept.append([new_record(Kind.SCAN, digest(b"more"), made.START, made.START)])
    new = (kept.private / "state").read_bytes()
    (kept.private / "state").write_bytes(old)
    assert fsck(kept.public, "--private", str(kept.private)) == 0
    assert "is of 600 entries, and 601 are published: it looks restored from a backup" in capsys.readouterr().out
    (kept.private / "state").write_bytes(new)
    (kept.public / "checkpoint").write_bytes(old)
    assert fsck(kept.public, "--private", str(kept.private)) == 0
    assert "is of 601 entries, and 600 are published: an append was cut off" in capsys.readouterr().out


def test_a_state_that_is_lost_or_of_another_history_is_damage(kept: Ledger, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(kept.public, tmp_path / "fork")
    shutil.copytree(kept.private, tmp_path / "fork.private")
    Ledger(tmp_path / "fork", tmp_path / "fork.private").append([new_record(Kind.SCAN, digest(b"there"), made.START, made.START)])
    kept.append([new_record(Kind.SCAN, digest(b"here"), made.START, made.START)])
    shutil.copy(tmp_path / "fork.private" / "state", kept.private / "state")
    assert fsck(kept.public, "--private", str(kept.private)) == 2
    assert f"damaged  {kept.private / 'state'}  the first 601 entries lead to the root" in capsys.readouterr().out
    (kept.private / "state").unlink()
    assert fsck(kept.public, "--private", str(kept.private)) == 2
    assert f"damaged  {kept.private / 'state'}  is missing" in capsys.readouterr().out


def test_what_a_cut_off_append_left_is_gone_once_the_log_has_grown_past_it(kept: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    """No checkpoint refers to it, so no verifier would ever ask; but it differs from what came after, as a second history would."""
    left = dict.fromkeys(("tile/0/002.p/90", "tile/entries/002.p/90", "tile/0/003.p/5", "tile/entries/003.p/5", "tile/1/000.p/3"), b"left")
    naive.write(kept.public, left)
    assert fsck(kept.public, "--private", str(kept.private)) == 0
    assert capsys.readouterr().out.count("no checkpoint needs it yet") == 5
    for more in (1, 3, 200, 1):
        size = kept.head().checkpoint.size
        kept.append([new_record(Kind.SCAN, digest(str(i).encode()), made.START, made.START) for i in range(size, size + more)])
        assert fsck(kept.public, "--private", str(kept.private)) == 0, capsys.readouterr().out
    assert "remark" not in capsys.readouterr().out.rpartition("sound")[0].rpartition("sound")[2]
    # What was signed on the way is still there for whoever holds those checkpoints.
    assert {path.name for path in (kept.public / "tile/0/003.p").iterdir()} == {"36", "37"}


def test_a_public_folder_from_yesterdays_backup_lacks_what_the_state_signed(kept: Ledger, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(kept.public, tmp_path / "backup")
    kept.append([new_record(Kind.SCAN, digest(b"more"), made.START, made.START)])
    assert fsck(tmp_path / "backup", "--private", str(kept.private)) == 2
    assert "damaged  tile/entries/002.p/89  is missing" in capsys.readouterr().out


def test_progress_is_shown_to_a_terminal_and_only_after_two_seconds(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    for terminal in (False, True):
        monkeypatch.setattr(sys.stderr, "isatty", lambda terminal=terminal: terminal)
        now = 100.0
        watch = Watch(900, Lang.EN)
        for later in (101.9, 102.0, 102.1, 102.3):
            now = later
            watch.show(int(later))
        watch.clear()
        watch.clear()
        assert capsys.readouterr().err == ("\r\x1b[K102 of 900 entries\r\x1b[K102 of 900 entries\r\x1b[K" if terminal else "")


def test_what_may_not_be_read_is_not_called_fine(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from tutela.ledger.store.folder import Folder

    read = Folder.read

    def refusing(self: Folder, path: str, limit: int) -> bytes:
        if path == "tile/0/001":
            raise PermissionError(13, "Permission denied", path)
        return read(self, path, limit)

    monkeypatch.setattr(Folder, "read", refusing)
    assert fsck(folder) == 1
    assert capsys.readouterr().out.startswith("unseen  tile/0/001  Permission denied\n1 findings above could not be looked at")
