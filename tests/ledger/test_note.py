"""Signed notes, keys, checkpoints and cosignatures: the examples of the C2SP documents, and every other way of writing them, which is refused."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest

from tests.ledger import made
from tutela.ledger.checkpoint import Checkpoint, parse_checkpoint, parse_signed
from tutela.ledger.note import MAX_NOTE_BYTES, MAX_SIGNATURES, VerifierKey, key_id_of, parse_note, parse_signatures, parse_vkey
from tutela.ledger.refused import MalformedError, UnsignedError
from tutela.ledger.signing import COSIGNATURE, ED25519, Cosigner, Ed25519Signer, parse_private_key, private_key, verified_by, verify

# From https://c2sp.org/signed-note.
VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
NOTE = """\
This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
""".encode()
POEM = """\
Ognuno sta solo sul cuor della terra
trafitto da un raggio di sole:

ed è subito sera.

— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=
""".encode()
# From https://c2sp.org/tlog-cosignature, which gives neither key.
COSIGNED = """\
example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
""".encode()
# From the tests of golang.org/x/mod/sumdb/note.
PETER = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
PETERS = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_SAID = """\
If you think cryptography is the answer to your problem,
then you don't know what your problem is.

— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
""".encode()

KEY = made.SIGNER.key
TEXT = Checkpoint(made.ORIGIN, 1, bytes(32)).text
GOOD = f"{TEXT}\n{made.SIGNER.sign(TEXT).line}".encode()


def test_the_specifications_key_verifies_the_specifications_note() -> None:
    key, note = parse_vkey(VKEY), parse_note(NOTE)
    assert (key.name, key.key_id.hex(), key.kind, key.vkey) == ("example.com/foo", "530d903a", ED25519, VKEY)
    assert note.text == "This is an example message.\n"
    assert [one.key for one in verified_by(note, (key,))] == [key]
    assert note.content == NOTE


def test_a_text_may_have_empty_lines_and_letters_of_any_language() -> None:
    note = parse_note(POEM)
    assert note.text.endswith("raggio di sole:\n\ned è subito sera.\n")
    assert ([one.name for one in note.signatures], note.content) == (["quasimodo.example/salvatore"], POEM)


def test_the_specifications_cosignature_is_read_with_its_time() -> None:
    head = parse_signed(COSIGNED)
    assert (head.checkpoint.origin, head.checkpoint.size, head.content) == ("example.com/behind-the-sofa", 20_852_163, COSIGNED)
    log, witness = head.note.signatures
    assert (log.key_id.hex(), len(log.signature), witness.key_id.hex(), len(witness.signature)) == ("033de0ae", 64, "8d66cf3f", 8 + 64)
    assert int.from_bytes(witness.signature[:8], "big") == 1_679_315_147


def test_the_cosigned_message_is_the_one_of_the_specification() -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    head = parse_signed(COSIGNED)
    signed = Cosigner("witness.example.com/w1", bytes(range(32))).cosign(head.note.text, 1_679_315_147)
    message = "cosignature/v1\ntime 1679315147\nexample.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    Ed25519PrivateKey.from_private_bytes(bytes(range(32))).public_key().verify(signed.signature[8:], message.encode())
    assert signed.signature[:8] == (1_679_315_147).to_bytes(8, "big")


def test_keys_and_notes_of_the_go_project_are_ours_too() -> None:
    signer = parse_private_key(PETER)
    assert isinstance(signer, Ed25519Signer)
    note = parse_note(PETER_SAID)
    assert (signer.key.vkey, private_key(signer), note.signatures) == (PETERS, PETER, (signer.sign(note.text),))


# ---------------------------------------------------------------------- who signed


def test_lines_of_keys_that_nobody_knows_are_passed_over() -> None:
    stranger, impostor = Ed25519Signer("other.example", bytes(32)), Ed25519Signer(made.ORIGIN, bytes(32))
    lines = "".join(one.sign(TEXT).line for one in (stranger, impostor))
    assert [one.key for one in verified_by(parse_note(GOOD + lines.encode()), (KEY,))] == [KEY]
    with pytest.raises(UnsignedError, match="no trusted key signed this"):
        verified_by(parse_note(f"{TEXT}\n{lines}".encode()), (KEY,))
    with pytest.raises(UnsignedError, match="trusted: none"):
        verified_by(parse_note(GOOD), ())


def test_a_known_keys_line_that_does_not_verify_refuses_the_whole_note() -> None:
    """Also where another known key's line is good, and where the same key's is."""
    wrong = made.SIGNER.sign("another text\n").line.encode()
    witness = Cosigner("witness.example/w1", bytes(32))
    cosigned = witness.cosign(TEXT, 5).line.encode()
    for lines, keys in ((wrong, (KEY, witness.key)), (cosigned + wrong, (KEY, witness.key)), (GOOD[len(TEXT) + 1 :] + wrong, (KEY,))):
        with pytest.raises(UnsignedError, match="does not verify"):
            verified_by(parse_note(TEXT.encode() + b"\n" + lines), keys)


def test_the_same_key_id_under_another_name_is_another_key() -> None:
    other = VerifierKey("other.example", KEY.key_id, ED25519, KEY.material)
    with pytest.raises(UnsignedError, match="no trusted key"):
        verified_by(parse_note(GOOD), (other,))


@pytest.mark.parametrize("length", [0, 1, 7, 8, 63, 65, 71, 73])
@pytest.mark.parametrize("kind", [ED25519, COSIGNATURE])
def test_signatures_of_another_length_verify_nothing(kind: int, length: int) -> None:
    key = (made.SIGNER if kind == ED25519 else Cosigner("w", bytes(32))).key
    with pytest.raises(UnsignedError, match="does not verify"):
        verify(key, TEXT, bytes(length))


def test_a_cosignature_says_its_time_and_no_other() -> None:
    witness = Cosigner("witness.example/w1", bytes(32))
    good = witness.cosign(TEXT, 1_700_000_000)
    assert verify(witness.key, TEXT, good.signature).time == 1_700_000_000
    for moved in ((1_700_000_001).to_bytes(8, "big"), (1_700_000_000 | 1 << 63).to_bytes(8, "big")):
        with pytest.raises(UnsignedError, match="does not verify"):
            verify(witness.key, TEXT, moved + good.signature[8:])
    # The specification has no later time, though this one is signed.
    assert verify(witness.key, TEXT, witness.cosign(TEXT, (1 << 63) - 1).signature).time == (1 << 63) - 1
    with pytest.raises(UnsignedError, match="does not verify"):
        verify(witness.key, TEXT, witness.cosign(TEXT, 1 << 63).signature)


@pytest.mark.parametrize("material", [b"", bytes(31), bytes(33), b"\xff" * 32])
def test_a_key_that_is_none_verifies_nothing(material: bytes) -> None:
    with pytest.raises(UnsignedError):
        verify(VerifierKey(made.ORIGIN, b"abcd", ED25519, material), TEXT, bytes(64))


@pytest.mark.parametrize("kind", [0x00, 0x02, 0x03, 0x05, 0x06, 0xFF])
def test_an_algorithm_that_we_do_not_know_verifies_nothing(kind: int) -> None:
    key = VerifierKey.of(made.ORIGIN, kind, b"some key")
    with pytest.raises(UnsignedError):
        verify(key, TEXT, bytes(64))


# ---------------------------------------------------------------------- one way of writing

LINE = made.SIGNER.sign(TEXT).line
ENCODED = LINE.split(" ")[2].strip()


def with_line(line: str) -> bytes:
    return f"{TEXT}\n{line}".encode()


def wide_padding() -> str:
    """The same bytes in base64, with stray bits in the last character."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    body = ENCODED.rstrip("=")
    stray = body[:-1] + alphabet[alphabet.index(body[-1]) + 1] + ENCODED[len(body) :]
    assert base64.b64decode(stray) == base64.b64decode(ENCODED)
    assert stray != ENCODED
    return stray


NOTES = {
    "nothing": b"",
    "no signature": TEXT.encode(),
    "no signature behind the empty line": TEXT.encode() + b"\n",
    "no empty line": TEXT.encode() + LINE.encode(),
    "no newline at the end": GOOD[:-1],
    "a newline too many": GOOD + b"\n",
    "carriage returns": GOOD.replace(b"\n", b"\r\n"),
    "a tab": GOOD.replace(b"/centre", b"/\tcentre", 1),
    "a NUL": GOOD + b"\0",
    "an escape": b"\x1b[2J" + GOOD,
    "no UTF-8": GOOD.replace(b"\xe2\x80\x94", b"\xe2\x80"),
    "UTF-8 in too many bytes": GOOD.replace(b"/", b"\xc0\xaf", 1),
    "a surrogate": b"\xed\xa0\x80" + GOOD,
    "a hyphen for the dash": with_line(LINE.replace("—", "-")),
    "two hyphens": with_line(LINE.replace("—", "--")),
    "no space behind the dash": with_line(LINE.replace("— ", "—")),
    "two spaces behind the dash": with_line(LINE.replace("— ", "—  ")),
    "two spaces before the signature": with_line(LINE.replace(" " + ENCODED, "  " + ENCODED)),
    "a space at the end": with_line(LINE[:-1] + " \n"),
    "words behind the signature": with_line(LINE[:-1] + " and more\n"),
    "no name": with_line(f"—  {ENCODED}\n"),
    "no signature behind the name": with_line(f"— {made.ORIGIN}\n"),
    "a plus in the name": with_line(LINE.replace("centre", "cen+tre")),
    "a wide space in the name": with_line(LINE.replace("centre", "cen\u3000tre")),
    "a no-break space in the name": with_line(LINE.replace("centre", "cen\u00a0tre")),
    "a name without end": with_line(LINE.replace("centre", "c" * 300)),
    "a key id alone": with_line(f"— {made.ORIGIN} {base64.b64encode(b'abcd').decode()}\n"),
    "half a key id": with_line(f"— {made.ORIGIN} {base64.b64encode(b'ab').decode()}\n"),
    "no padding": with_line(LINE.replace("=", "")),
    "padding too long": with_line(LINE.replace("=", "==")),
    "stray bits in the padding": with_line(LINE.replace(ENCODED, wide_padding())),
    "base64 for URLs": with_line(f"— {made.ORIGIN} {base64.urlsafe_b64encode(bytes([0xFB, 0xFF] * 34)).decode()}\n"),
    "blanks in the base64": with_line(LINE.replace(ENCODED, ENCODED[:20] + " " + ENCODED[20:])),
    "a foreign letter in the base64": with_line(LINE.replace(ENCODED, ENCODED[:20] + "é" + ENCODED[20:])),
    "a text line among the signatures": GOOD + b"more text\n",
    "signatures by the hundred": GOOD + LINE.encode() * 100,
    "one signature too many": TEXT.encode() + b"\n" + LINE.encode() * (MAX_SIGNATURES + 1),
    "too long": b"a" * MAX_NOTE_BYTES + GOOD,
}


@pytest.mark.parametrize("how", NOTES)
def test_a_note_that_is_not_canonical_is_refused(how: str) -> None:
    assert parse_note(GOOD).content == GOOD
    with pytest.raises(MalformedError):
        parse_note(NOTES[how])


def test_as_many_signatures_are_read_as_the_specification_asks_for_and_large_ones() -> None:
    strangers = "".join(f"— {i}.example {base64.b64encode(bytes(5000)).decode()}\n" for i in range(16))
    assert len(parse_note(GOOD + strangers.encode()).signatures) == 17
    assert len(parse_signatures(LINE * MAX_SIGNATURES)) == MAX_SIGNATURES


ROOT = base64.b64encode(bytes(32)).decode()
EMPTY = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
CHECKPOINTS = {
    "nothing": "",
    "an empty line": "\n",
    "two lines": "log\n5\n",
    "no newline at the end": f"log\n5\n{ROOT}",
    "no origin": f"\n5\n{ROOT}\n",
    "an empty extension": f"log\n5\n{ROOT}\n\n",
    "an empty line between": f"log\n\n5\n{ROOT}\n",
    "a leading zero": f"log\n05\n{ROOT}\n",
    "two zeros": f"log\n00\n{EMPTY}\n",
    "a sign": f"log\n+5\n{ROOT}\n",
    "a minus": f"log\n-5\n{ROOT}\n",
    "a blank": f"log\n 5\n{ROOT}\n",
    "an underscore": f"log\n1_000\n{ROOT}\n",
    "digits of another script": f"log\n٥\n{ROOT}\n",
    "hexadecimal": f"log\n0x5\n{ROOT}\n",
    "a fraction": f"log\n5.0\n{ROOT}\n",
    "larger than any log": f"log\n{(1 << 62) + 1}\n{ROOT}\n",
    "digits without end": f"log\n{'9' * 5000}\n{ROOT}\n",
    "a short root": f"log\n5\n{base64.b64encode(bytes(31)).decode()}\n",
    "a long root": f"log\n5\n{base64.b64encode(bytes(33)).decode()}\n",
    "no root": "log\n5\n=\n",
    "a root in hexadecimal": f"log\n5\n{'00' * 32}\n",
    "a root with stray bits": f"log\n5\n{ROOT[:-2]}B=\n",
    "no entries and another root": f"log\n0\n{ROOT}\n",
}


@pytest.mark.parametrize("how", CHECKPOINTS)
def test_a_checkpoint_that_is_not_canonical_is_refused(how: str) -> None:
    with pytest.raises(MalformedError):
        parse_checkpoint(CHECKPOINTS[how])


def test_a_checkpoint_may_say_more_and_its_origin_anything() -> None:
    for text in (f"log\n5\n{ROOT}\nmore\nand more\n", f"大学 的账本\n5\n{ROOT}\n", f"log\n0\n{EMPTY}\n", f"log\n{1 << 62}\n{ROOT}\n"):
        assert parse_checkpoint(text).text == text


NAME, ID, MATERIAL = VKEY.split("+", 2)


def _id_and_rest(name: str) -> tuple[bytes, int, bytes]:
    return key_id_of(name, bytes([ED25519]), bytes(32)), ED25519, bytes(32)


VKEYS = {
    "nothing": "",
    "a name alone": NAME,
    "no material": f"{NAME}+{ID}+",
    "a type alone": f"{NAME}+{ID}+AQ==",
    "no name": f"+{ID}+{MATERIAL}",
    "a blank": VKEY + " ",
    "a newline": VKEY + "\n",
    "a blank in the name": VKEY.replace("foo", "f o"),
    "a capital in the id": VKEY.replace("530d903a", "530D903A"),
    "a long id": VKEY.replace("530d903a", "0530d903a"),
    "a short id": VKEY.replace("530d903a", "530d903"),
    "another id": VKEY.replace("530d903a", "530d903b"),
    "another name": VKEY.replace("foo", "bar"),
    "another key": VKEY.replace("AekyeRrm", "AekyeRrn"),
    "another type": VKEY.replace("+Aeky", "+Beky"),
    "no padding needed": VKEY + "=",
    "a private key": PETER,
    "a name that is no Unicode": VKEY.replace("foo", "\udcff"),
    "a name that no note can hold": VerifierKey("a\x1b[2J", *_id_and_rest("a\x1b[2J")).vkey,
}


@pytest.mark.parametrize("how", VKEYS)
def test_a_verifier_key_that_is_not_canonical_is_refused(how: str) -> None:
    with pytest.raises(MalformedError):
        parse_vkey(VKEYS[how])


PRIVATE_KEYS: dict[str, Callable[[str], str]] = {
    "nothing": lambda _: "",
    "the public half": lambda _: PETERS,
    "another id": lambda key: key.replace("c74f20a3", "c74f20a4"),
    "a capital in the id": lambda key: key.replace("c74f20a3", "C74F20A3"),
    "another name": lambda key: key.replace("Peter", "Paul"),
    "another type": lambda key: key.replace("+AYEK", "+BoEK"),
    "one byte less": lambda key: key[:-4],
    "one byte more": lambda key: key + "AAAA",
    "small letters": lambda key: key.replace("PRIVATE", "private"),
    "a newline": lambda key: key + "\n",
    "a name that is no Unicode": lambda key: key.replace("Peter", "\udcff"),
}


@pytest.mark.parametrize("how", PRIVATE_KEYS)
def test_a_private_key_that_is_not_canonical_is_refused_and_not_repeated(how: str) -> None:
    words = PRIVATE_KEYS[how](PETER)
    with pytest.raises(MalformedError) as refused:
        parse_private_key(words)
    assert "AYEKFALV" not in refused.value.message.zh + refused.value.message.en


def test_keys_of_new_signers_differ_and_are_read_back() -> None:
    for kind in (Ed25519Signer, Cosigner):
        one, other = kind.new("a.example"), kind.new("a.example")
        assert one.seed != other.seed
        assert parse_private_key(private_key(one)) == one
        assert parse_vkey(one.key.vkey) == one.key
    with pytest.raises(MalformedError):
        VerifierKey.of("a name", ED25519, bytes(32))
