"""A log that lies: whatever is changed in it is found out, by whoever verifies one entry and by whoever looks through it all, each time with its own error."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.ledger import made, naive
from tutela.cli import main
from tutela.ledger.checkpoint import Checkpoint, SignedCheckpoint, parse_signed
from tutela.ledger.entry import salted_digest
from tutela.ledger.fsck.examination import Examination
from tutela.ledger.fsck.heads import signed_head
from tutela.ledger.fsck.identities import Identities
from tutela.ledger.log import Log, read_checkpoint
from tutela.ledger.merkle import check_consistency, check_inclusion, leaf_hash
from tutela.ledger.note import Note
from tutela.ledger.receipt import Receipt, parse_receipt
from tutela.ledger.refused import (
    ConsistencyError,
    DamagedError,
    InclusionError,
    LedgerError,
    MalformedError,
    MissingError,
    MisuseError,
    OriginError,
    UnsignedError,
)
from tutela.ledger.signing import Ed25519Signer, verified_by
from tutela.ledger.store.folder import Folder

Files = dict[str, bytes]
KEY = made.SIGNER.key


def trusted(files: Files) -> Log:
    """The log, once its checkpoint is known to be signed by the pinned key."""
    head = parse_signed(files["checkpoint"])
    verified_by(head.note, (KEY,))
    return Log(made.Memory(files), head)


def verify_everything(files: Files) -> None:
    """As a verifier does it, entry by entry."""
    log = trusted(files)
    for index in range(log.size):
        log.proof(index)


def looked_through(files: Files) -> list[str]:
    """As fsck does it: the files that it names."""
    try:
        head = signed_head("checkpoint", files["checkpoint"], made.ORIGIN, [KEY])
    except LedgerError:
        return ["checkpoint"]
    with Identities() as identities:
        return [one.place for one in Examination(made.Memory(files), [head], identities).findings()]


def with_byte(content: bytes, at: int, byte: int) -> bytes:
    return content[:at] + bytes([byte]) + content[at + 1 :]


def every_flipped_bit(files: Files) -> Iterator[tuple[str, Files]]:
    for path, content in files.items():
        for at, byte in enumerate(content):
            for bit in range(8):
                yield path, {**files, path: with_byte(content, at, byte ^ 1 << bit)}


# ---------------------------------------------------------------------- not one byte can change


def test_not_one_bit_of_a_small_log_can_change() -> None:
    files = {path: content for path, content in made.files(made.entries(5)).items() if path != "vkey"}
    assert (looked_through(files), sorted(files)) == ([], ["checkpoint", "tile/0/000.p/5", "tile/entries/000.p/5"])
    verify_everything(files)
    tried = 0
    for path, changed in every_flipped_bit(files):
        assert set(looked_through(changed)) == {path}
        with pytest.raises(LedgerError):
            verify_everything(changed)
        tried += 1
    assert tried == 8 * sum(map(len, files.values()))


def test_not_one_byte_of_a_checkpoint_can_be_any_other() -> None:
    good = made.files(made.entries(5))["checkpoint"]
    for at, byte in enumerate(good):
        for other in range(256):
            if other != byte:
                with pytest.raises((MalformedError, UnsignedError, OriginError)):
                    signed_head("checkpoint", with_byte(good, at, other), made.ORIGIN, [KEY])


def test_not_one_byte_of_full_and_partial_tiles_can_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every byte of every tile and of the checkpoint; of the entries, which are many and alike, every byte of the first and the last and of every length."""
    files = {path: content for path, content in made.files(made.entries(258)).items() if path != "vkey"}
    root = trusted(files).head.checkpoint.root
    # Looking at what entries say takes longest, and is not in question here.
    monkeypatch.setattr(Examination, "_look_at", lambda *_: None)
    one = len(made.entry(0)) + 2
    for path, content in files.items():
        for at in range(len(content)):
            if "entries" in path and one <= at < len(content) - one and at % one > 1:
                continue
            changed = {**files, path: with_byte(content, at, content[at] ^ 1 << at % 8)}
            assert set(looked_through(changed)) == {path}
            if "tile" in path:
                index = at // (one if "entries" in path else 32) + (256 if "001" in path else 0)
                with pytest.raises(LedgerError):
                    _proved(changed, index if "tile/1" not in path else 257, root)


def _proved(files: Files, index: int, root: bytes) -> None:
    """One entry, by the checkpoint that is unchanged."""
    head = SignedCheckpoint(Checkpoint(made.ORIGIN, 258, root), Note("", ()))
    Log(made.Memory(files), head).proof(index)


@pytest.mark.parametrize("salt", [None, bytes(range(32))])
def test_not_one_bit_of_a_receipt_can_change(salt: bytes | None) -> None:
    subject = b"5"
    files = made.files(made.entries(9))
    if salt:
        salted = made.entry(5).replace(f"sha256:{made.digest(subject)[7:]}".encode(), salted_digest(subject, salt).encode())
        files = made.files([*made.entries(5), salted, *made.entries(9)[6:]])
    log = trusted(files)
    content = Receipt(log.entry(5), 5, tuple(log.proof(5)), log.head, salt).content

    def check(receipt: bytes) -> None:
        held = parse_receipt(receipt)
        verified_by(held.head.note, (KEY,))
        held.check()
        held.check_subject(subject)

    check(content)
    for at, byte in enumerate(content):
        for bit in range(8):
            with pytest.raises(LedgerError):
                check(with_byte(content, at, byte ^ 1 << bit))


def test_what_a_stranger_signed_below_says_nothing_and_may_be_anything() -> None:
    """The one part of a log that can change unseen: signature lines of keys that nobody trusts. They vouch for nothing."""
    files = made.files(made.entries(5))
    line = Ed25519Signer("stranger.example", bytes(32)).sign("something").line.encode()
    for at in range(len(line)):
        changed = files["checkpoint"] + with_byte(line, at, line[at] ^ 1)
        try:
            head = parse_signed(changed)
        except MalformedError:
            continue
        assert [one.key for one in verified_by(head.note, (KEY,))] == [KEY]
        assert head.checkpoint == parse_signed(files["checkpoint"]).checkpoint


# ---------------------------------------------------------------------- each lie its own error

GOOD = made.files(made.entries(600))
SHORT = len(GOOD["tile/entries/000"]) // 256


def resigned(text: str, signer: Ed25519Signer = made.SIGNER) -> bytes:
    return Note(text, (signer.sign(text),)).content


def headed(origin: str = made.ORIGIN, size: int | str = 600, signer: Ed25519Signer = made.SIGNER) -> bytes:
    root = GOOD["checkpoint"].split(b"\n")[2].decode()
    return resigned(f"{origin}\n{size}\n{root}\n", signer)


OTHERS = Ed25519Signer("other.example", bytes(32))
LIES: dict[str, tuple[type[LedgerError], str, bytes | None]] = {
    "a tile that is cut": (DamagedError, "tile/0/000", GOOD["tile/0/000"][:-1]),
    "a tile that is cut by a hash": (DamagedError, "tile/0/000", GOOD["tile/0/000"][:-32]),
    "an empty tile": (DamagedError, "tile/0/000", b""),
    "a tile with a hash more": (DamagedError, "tile/0/000", GOOD["tile/0/000"] + bytes(32)),
    "a tile without end": (DamagedError, "tile/0/000", bytes(1 << 26)),
    "a partial tile that is cut": (DamagedError, "tile/0/002.p/88", GOOD["tile/0/002.p/88"][:-32]),
    "a tile of other hashes": (InclusionError, "tile/1/000.p/2", bytes(64)),
    "a tile that is gone": (MissingError, "tile/0/000", None),
    "a bundle that is cut": (DamagedError, "tile/entries/000", GOOD["tile/entries/000"][:-1]),
    "a bundle with an entry less": (DamagedError, "tile/entries/000", GOOD["tile/entries/000"][:-SHORT]),
    "a bundle with an entry more": (DamagedError, "tile/entries/000", GOOD["tile/entries/000"] + b"\0\0"),
    "a bundle whose last entry overruns": (DamagedError, "tile/entries/000", GOOD["tile/entries/000"][:-SHORT] + b"\xff\xff" + bytes(SHORT - 2)),
    "a bundle whose first entry overruns": (DamagedError, "tile/entries/000", b"\xff\xff" + GOOD["tile/entries/000"][2:]),
    "a bundle without end": (DamagedError, "tile/entries/000", bytes(1 << 25)),
    "an empty bundle": (DamagedError, "tile/entries/000", b""),
    "another entry": (DamagedError, "tile/entries/000", GOOD["tile/entries/000"].replace(b"document", b"agreemen")),
    "a bundle that is gone": (MissingError, "tile/entries/000", None),
    "no checkpoint": (MissingError, "checkpoint", None),
    "an empty checkpoint": (MalformedError, "checkpoint", b""),
    "a checkpoint without end": (DamagedError, "checkpoint", bytes(1 << 20)),
    "a checkpoint of another log, signed by our key": (OriginError, "checkpoint", headed(origin="other.example")),
    "a checkpoint of another log, signed by its own": (OriginError, "checkpoint", headed(origin="other.example", signer=OTHERS)),
    "a checkpoint of ours, signed by another log": (UnsignedError, "checkpoint", headed(signer=OTHERS)),
    "a checkpoint that another key of our name signed": (UnsignedError, "checkpoint", headed(signer=Ed25519Signer(made.ORIGIN, bytes(32)))),
    "a checkpoint with another key id": (UnsignedError, "checkpoint", GOOD["checkpoint"].replace(b"centre K", b"centre L")),
    "a checkpoint that nobody signed": (MalformedError, "checkpoint", GOOD["checkpoint"].partition(b"\n\n")[0] + b"\n\n"),
    "signatures by the hundred": (MalformedError, "checkpoint", GOOD["checkpoint"] + made.SIGNER.sign("").line.encode() * 100),
    "a size beyond all logs": (MalformedError, "checkpoint", headed(size=(1 << 62) + 1)),
    "a size of five thousand digits": (MalformedError, "checkpoint", headed(size="9" * 5000)),
    "a size larger than the log": (MissingError, "checkpoint", headed(size=1 << 61)),
    "a size below zero": (MalformedError, "checkpoint", headed(size=-600)),
    "a size with a zero before it": (MalformedError, "checkpoint", headed(size="0600")),
    "a smaller size": (InclusionError, "checkpoint", headed(size=512)),
}


def lie(how: str) -> Files:
    _, path, content = LIES[how]
    if how == "a checkpoint with another key id":
        # The id's four bytes are the first of the signature.
        line = re.search(rb"centre (\S+)\n$", GOOD["checkpoint"])
        assert line
        content = GOOD["checkpoint"].replace(line[1], b"AAAAAA" + line[1][6:])
    files = {**GOOD, path: content or b""}
    if content is None:
        del files[path]
    return files


@pytest.mark.parametrize("how", LIES)
def test_a_verifier_refuses_each_lie_with_its_own_error(how: str, tmp_path: Path) -> None:
    error = LIES[how][0]
    naive.write(tmp_path, lie(how))
    with pytest.raises(error) as refused:
        head = read_checkpoint(Folder(tmp_path))
        signed_head("checkpoint", head.content, made.ORIGIN, [KEY])
        Log(Folder(tmp_path), head).proof(5)
    assert refused.type is error


@pytest.mark.parametrize("how", LIES)
def test_fsck_names_the_file_that_lies(how: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path = LIES[how][1]
    naive.write(tmp_path / "log", lie(how))
    status = main(["ledger", "fsck", str(tmp_path / "log"), "--key", KEY.vkey, "--lang", "en"])
    out = capsys.readouterr().out
    if how == "no checkpoint":
        # Nothing says what should be there.
        assert (status, out) == (3, "")
    else:
        assert status == 2
        assert out.splitlines()[-1].startswith("the ledger is damaged")
    if how not in ("no checkpoint", "a size larger than the log"):
        assert f"damaged  {path}  " in out


def test_a_second_history_is_refused_whichever_way_it_is_shown() -> None:
    """The split view: to one side this log, to the other that one, both signed."""
    ours, theirs = made.entries(300), [*made.entries(200), made.entry("rewritten"), *made.entries(300)[201:]]
    for size in (201, 255, 256, 257, 299, 300):
        mine, other = trusted(made.files(ours[:size])), trusted(made.files(theirs))
        old, new = mine.head.checkpoint, other.head.checkpoint
        for proof in (other.consistency(size), trusted(made.files(ours)).consistency(size), [], [old.root], [new.root, old.root]):
            with pytest.raises(ConsistencyError):
                check_consistency(old.size, old.root, new.size, new.root, proof)
    with pytest.raises(ConsistencyError):
        check_consistency(300, naive.root([naive.leaf(one) for one in ours]), 300, naive.root([naive.leaf(one) for one in theirs]), [])


def test_a_log_that_went_back_has_no_proof_to_show() -> None:
    log = trusted(made.files(made.entries(300)))
    with pytest.raises(MisuseError, match="has 300 entries, and never had 310"):
        log.consistency(310)
    with pytest.raises(MalformedError):
        check_consistency(310, bytes(32), 300, log.head.checkpoint.root, [])


def test_an_entry_that_is_not_there_cannot_be_proven() -> None:
    log = trusted(GOOD)
    with pytest.raises(MisuseError):
        log.entry(600)
    proof = log.proof(599)
    leaf, root = leaf_hash(log.entry(599)), log.head.checkpoint.root
    for index in (598, 600, -1, 1 << 62):
        with pytest.raises(InclusionError):
            check_inclusion(leaf, index, 600, proof, root)
    # A node of the tree is no entry, though its hash is in it: entries and nodes are hashed with different first bytes.
    with pytest.raises(InclusionError):
        check_inclusion(leaf_hash(b"\1" + leaf + proof[0]), 299, 300, proof[1:], root)


REORDERED: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "two entries in each other's place": lambda held: [held[1], held[0], *held[2:]],
    "an entry left out": lambda held: held[1:],
    "an entry twice": lambda held: [held[0], *held],
    "an entry cut in two": lambda held: [held[0][:100], held[0][100:], *held[1:]],
    "two entries made one": lambda held: [held[0] + held[1], *held[2:]],
}


@pytest.mark.parametrize("how", REORDERED)
def test_entries_in_any_other_order_or_parts_are_not_those_that_were_signed(how: str) -> None:
    held = REORDERED[how](list(made.entries(9)))
    forged = naive.files(held)
    files = {**forged, "checkpoint": made.files(made.entries(9))["checkpoint"]}
    assert looked_through(files) != []
    with pytest.raises(LedgerError):
        verify_everything(files)
