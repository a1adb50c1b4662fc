"""Whatever bytes come, the parsers of the ledger read them in their one way of writing or refuse them, and nothing else happens."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.ledger import made, naive
from tutela.ledger.checkpoint import parse_checkpoint, parse_signed
from tutela.ledger.entry import parse_entry
from tutela.ledger.fsck.examination import Examination
from tutela.ledger.fsck.heads import Head
from tutela.ledger.fsck.identities import Identities
from tutela.ledger.fsck.layout import unpacked
from tutela.ledger.log import Log
from tutela.ledger.note import parse_note, parse_signatures, parse_vkey
from tutela.ledger.policy import parse_policy
from tutela.ledger.receipt import Receipt, parse_receipt
from tutela.ledger.refused import LedgerError
from tutela.ledger.signing import Cosigner, parse_private_key, private_key, verified_by, verify
from tutela.ledger.tiles import ENTRIES, Tile, bundle_of, entries_in, hashes_in

SIZE = 300
FILES = made.files(made.entries(SIZE))
WITNESS = Cosigner("witness.example/w1", bytes(32))
HEAD = parse_signed(FILES["checkpoint"])
COSIGNED = FILES["checkpoint"] + WITNESS.cosign(HEAD.note.text, made.START).line.encode()
LOG = Log(made.Memory(FILES), parse_signed(COSIGNED))
RECEIPT = Receipt(LOG.entry(7), 7, tuple(LOG.proof(7)), LOG.head).content
SALTED = Receipt(LOG.entry(7), 7, tuple(LOG.proof(7)), LOG.head, bytes(range(32))).content
BUNDLE = bundle_of([b"one", b"", b"three"])
POLICY = f"log {made.SIGNER.key.vkey} https://ledger.example\nwitness w1 {WITNESS.key.vkey}\ngroup g 1 w1\nquorum g\n".encode()


@st.composite
def mangled(draw: st.DrawFn, *good: bytes) -> bytes:
    """Something that was good, with some pieces gone, doubled, moved or made up."""
    content = draw(st.sampled_from(good))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        end = draw(st.integers(start, min(len(content), start + 40)))
        piece = content[start:end]
        other = draw(st.integers(0, len(content)))
        new = draw(
            st.one_of(
                st.binary(max_size=4),
                st.sampled_from(
                    [b"", b"\n", b"\n\n", b" ", b"=", b"+", b"0", b"\xe2\x80\x94 ", b"\xff\xff", b"\0", b"\r", b"\xc2\xa0", b"9" * 30, b"\ned=", b"\nsalt "]
                ),
                st.just(piece * 2),
                st.just(content[other : other + 40]),
            )
        )
        content = content[:start] + new + content[end:]
    return content


def one_of(*good: bytes) -> st.SearchStrategy[bytes]:
    return st.one_of(mangled(*good), st.binary(max_size=300), st.text(max_size=200).map(lambda words: words.encode("utf-8", "surrogatepass")))


def words(*good: str) -> st.SearchStrategy[str]:
    """What a command line or a file may hold, bytes that are no text included."""
    return one_of(*(one.encode() for one in good)).map(lambda content: content.decode("utf-8", "surrogateescape"))


def holds(content: bytes, parse: Callable[[bytes], object], written: Callable[..., bytes]) -> None:
    """Either refused, or read and written as it was."""
    try:
        found = parse(content)
    except LedgerError as problem:
        assert problem.message.zh
        assert problem.message.en
        return
    assert written(found) == content


PARSERS: dict[str, tuple[Callable[[bytes], object], Callable[..., bytes], tuple[bytes, ...]]] = {
    "note": (parse_note, lambda note: note.content, (COSIGNED, FILES["checkpoint"])),
    "signed checkpoint": (parse_signed, lambda head: head.content, (COSIGNED, FILES["checkpoint"])),
    "entry": (parse_entry, lambda entry: entry.record.entry(entry.logged), (made.entry(1), made.entry(2, 0))),
    "receipt": (parse_receipt, lambda receipt: receipt.content, (RECEIPT, SALTED)),
    "bundle": (lambda content: entries_in(content, Tile(ENTRIES, 0, 3)), bundle_of, (BUNDLE, BUNDLE * 2)),
    "tile": (lambda content: hashes_in(content, Tile(0, 0, 3)), b"".join, (bytes(96),)),
}


@pytest.mark.parametrize("what", PARSERS)
@given(data=st.data())
@settings(max_examples=400)
def test_bytes_are_read_the_one_way_or_refused(what: str, data: st.DataObject) -> None:
    parse, written, good = PARSERS[what]
    for one in good[:1]:
        assert written(parse(one)) == one
    holds(data.draw(one_of(*good)), parse, written)


TEXTS: dict[str, tuple[Callable[[str], object], Callable[..., str], tuple[str, ...]]] = {
    "checkpoint": (parse_checkpoint, lambda found: found.text, (HEAD.note.text, HEAD.note.text + "more\n")),
    "signatures": (parse_signatures, lambda found: "".join(one.line for one in found), tuple(one.line * 2 for one in LOG.head.note.signatures)),
    "verifier key": (parse_vkey, lambda key: key.vkey, (made.SIGNER.key.vkey, WITNESS.key.vkey)),
    "private key": (parse_private_key, private_key, (private_key(made.SIGNER), private_key(WITNESS))),
}


@pytest.mark.parametrize("what", TEXTS)
@given(data=st.data())
@settings(max_examples=400)
def test_text_is_read_the_one_way_or_refused(what: str, data: st.DataObject) -> None:
    parse, written, good = TEXTS[what]
    for one in good:
        assert written(parse(one)) == one
    holds_text(data.draw(words(*good)), parse, written)


def holds_text(content: str, parse: Callable[[str], object], written: Callable[..., str]) -> None:
    try:
        found = parse(content)
    except LedgerError:
        return
    assert written(found) == content


@given(one_of(POLICY))
@settings(max_examples=400)
def test_a_policy_is_read_or_refused(content: bytes) -> None:
    parse_policy(POLICY)
    try:
        policy = parse_policy(content)
        policy.accept(LOG.head)
    except LedgerError:
        pass


@given(st.one_of(st.binary(max_size=2000), mangled(BUNDLE)))
@example(b"\0")
@example(b"\0\0" * 300)
def test_both_readers_of_bundles_agree(content: bytes) -> None:
    """The one of verifiers and the one of fsck, which were written apart."""
    held = unpacked(content)
    if held is None or not held:
        for width in (1, 2, 3, 256):
            with pytest.raises(LedgerError):
                entries_in(content, Tile(ENTRIES, 0, width))
    else:
        assert entries_in(content, Tile(ENTRIES, 0, len(held))) == held


@given(kind=st.integers(0, 255), material=st.binary(max_size=100), signature=st.binary(max_size=100), text=st.text(st.characters(exclude_categories=["Cs"])))
def test_a_made_up_key_verifies_no_made_up_signature(kind: int, material: bytes, signature: bytes, text: str) -> None:
    from tutela.ledger.note import VerifierKey

    with pytest.raises(LedgerError):
        verify(VerifierKey("a", b"abcd", kind, material), text, signature)


@st.composite
def lying(draw: st.DrawFn) -> dict[str, bytes]:
    """A log some of whose files are mangled, gone, or in each other's place; its checkpoint is as it was."""
    files = dict(FILES)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from([path for path in FILES if path.startswith("tile")]))
        match draw(st.sampled_from(["mangled", "gone", "another"])):
            case "mangled":
                files[path] = draw(mangled(FILES[path]))
            case "gone":
                files.pop(path, None)
            case "another":
                files[path] = FILES[draw(st.sampled_from(sorted(FILES)))]
    return files


@given(files=lying(), data=st.data())
@settings(max_examples=200)
def test_a_log_that_lies_shows_what_was_signed_or_is_refused(files: dict[str, bytes], data: st.DataObject) -> None:
    log = Log(made.Memory(files), LOG.head)
    index = data.draw(st.integers(0, SIZE - 1))
    try:
        proof = log.proof(index)
        assert (log.entry(index), proof) == (LOG.entry(index), LOG.proof(index))
    except LedgerError:
        pass
    try:
        log.consistency(data.draw(st.integers(0, SIZE)))
        log.tree.root()
    except LedgerError:
        pass


@given(files=lying())
@settings(max_examples=200)
def test_fsck_calls_a_log_sound_if_and_only_if_it_is(files: dict[str, bytes]) -> None:
    with Identities() as identities:
        found = list(Examination(made.Memory(files), [Head("checkpoint", HEAD.checkpoint)], identities).findings())
    changed = {path for path in naive.files(made.entries(SIZE)) if files.get(path) != FILES[path]}
    assert bool(found) is bool(changed)
    # Whatever is named is wrong, or disagrees with something wrong and nothing says which of the two it is.
    if len(changed) == 1:
        assert {one.place for one in found} == changed


@given(one_of(COSIGNED))
@settings(max_examples=300)
def test_whatever_a_checkpoint_says_is_what_the_key_signed(content: bytes) -> None:
    try:
        head = parse_signed(content)
        verified_by(head.note, (made.SIGNER.key,))
    except LedgerError:
        return
    assert head.checkpoint == HEAD.checkpoint


# What fuzzing and reading found.
FOUND: dict[str, Callable[[], object]] = {
    # The year 999 was read, and would have been written with three digits.
    "a year of three digits": lambda: parse_entry(made.entry(1).replace(b"2023-", b"0999-")),
    # The name could not be hashed: UnicodeEncodeError.
    "a name that is no Unicode": lambda: parse_vkey("\udc80+00000000+AQA="),
    "a private key's name that is no Unicode": lambda: parse_private_key(f"PRIVATE+KEY+\udc80+00000000+{base64.b64encode(bytes([1]) + bytes(32)).decode()}"),
}


@pytest.mark.parametrize("what", FOUND)
def test_what_was_found_stays_mended(what: str) -> None:
    with pytest.raises(LedgerError):
        FOUND[what]()
