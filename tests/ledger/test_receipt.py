"""Receipts: what they prove offline, and to whom."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.ledger.test_keeper import ORIGIN, made_up
from tutela.ledger.entry import Kind, digest, new_record, salted_digest
from tutela.ledger.receipt import Receipt, parse_receipt
from tutela.ledger.refused import InclusionError, LedgerError, MalformedError
from tutela.ledger.store.keeper import Ledger, create
from tutela.ledger.store.salts import Salts


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    made = create(tmp_path / "log", tmp_path / "log.private", ORIGIN)
    made.append([made_up(i) for i in range(300)])
    return made


def receipt(ledger: Ledger, index: int, salt: bytes | None = None) -> Receipt:
    log = ledger.log()
    return Receipt(log.entry(index), index, tuple(log.proof(index)), log.head, salt)


@pytest.mark.parametrize("index", [0, 1, 255, 256, 299])
def test_it_reads_back_as_it_was_written_and_verifies(ledger: Ledger, index: int) -> None:
    written = receipt(ledger, index)
    read = parse_receipt(written.content)
    assert read == written
    read.check()
    assert read.said.record == made_up(index)
    read.check_subject(str(index).encode())
    with pytest.raises(InclusionError, match="the file's digest is"):
        read.check_subject(b"something else")


def test_another_index_another_entry_or_a_hash_less_is_refused(ledger: Ledger) -> None:
    good = receipt(ledger, 7)
    for bad in (
        Receipt(good.entry, 8, good.proof, good.head),
        Receipt(good.entry, 300, good.proof, good.head),
        Receipt(receipt(ledger, 8).entry, 7, good.proof, good.head),
        Receipt(good.entry, 7, good.proof[:-1], good.head),
        Receipt(good.entry, 7, (*good.proof, good.proof[0]), good.head),
    ):
        with pytest.raises(InclusionError):
            parse_receipt(bad.content).check()


def test_every_single_flipped_bit_is_noticed(ledger: Ledger) -> None:
    """Not one byte of a receipt can change without it being refused, but for what says nothing: a signature is checked by its key, not here."""
    good = receipt(ledger, 5)
    content = good.content
    signed = content.rindex(b"\n\xe2\x80\x94 ")
    for at in range(signed):
        for bit in range(8):
            changed = content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]
            try:
                read = parse_receipt(changed)
                read.check()
            except LedgerError:
                continue
            # What was signed differs: the key will say so.
            assert read.head.note.text != good.head.note.text, (at, bit)


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: ["c2sp.org/tlog-proof@v2", *lines[1:]],
        lambda lines: [lines[0], *lines[2:]],
        lambda lines: [*lines[:2], *lines[3:]],
        lambda lines: [*lines[:2], "index 05", *lines[3:]],
        lambda lines: [*lines[:2], "index -1", *lines[3:]],
        lambda lines: [*lines[:3], "AAAA", *lines[3:]],
        lambda lines: [*lines[:3], *lines[3:4] * 64],
        lambda lines: [lines[0], lines[1] + "=", *lines[2:]],
    ],
    ids=["other version", "no entry", "no index", "leading zero", "negative", "short hash", "too many hashes", "odd base64"],
)
def test_any_other_way_of_writing_is_refused(ledger: Ledger, change) -> None:
    head, _, note = receipt(ledger, 5).content.partition(b"\n\n")
    lines = change(head.decode().split("\n"))
    with pytest.raises(MalformedError):
        parse_receipt("\n".join(lines).encode() + b"\n\n" + note)


def test_a_salted_subject_can_be_compared_only_by_whoever_has_the_salt(ledger: Ledger) -> None:
    salts = Salts(ledger.private / "salts")
    letter = b"Zhang San, telephone 555"
    salt = salts.of(letter)
    assert salts.of(letter) == salt
    subject = salted_digest(letter, salt)
    (index,) = ledger.append([new_record(Kind.LETTER, subject, 1, 2)])
    parse_receipt(receipt(ledger, index, salts.find(subject)).content).check_subject(letter)
    assert salts.forget(subject)
    assert not salts.forget(subject)
    assert salts.find(subject) is salts.known(letter) is None
    with pytest.raises(InclusionError, match="the receipt has no salt"):
        receipt(ledger, index).check_subject(letter)
    assert salts.of(letter) != salt
    kept = b"".join(path.read_bytes() for folder in (ledger.public, ledger.private) for path in folder.rglob("*") if path.is_file())
    assert digest(letter).encode()[7:] not in kept
    assert subject.encode() in kept


def test_appenders_at_the_same_moment_share_one_salt(ledger: Ledger) -> None:
    found: list[bytes] = []
    start = threading.Barrier(8)

    def work() -> None:
        start.wait()
        found.extend(Salts(ledger.private / "salts").of(f"letter {number}".encode()) for number in range(40))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(set(found)) == 40
