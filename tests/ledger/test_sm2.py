"""SM2 signatures: OpenSSL's own command verifies ours, and we verify its; nothing else passes."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st

from tutela.ledger import sm2
from tutela.ledger.note import Note, parse_note, parse_vkey
from tutela.ledger.refused import MalformedError, MissingError, UnsignedError
from tutela.ledger.signing import Ed25519Signer, parse_private_key, private_key, verified_by
from tutela.ledger.sm2 import IDENTIFIER, Sm2Signer

pytestmark = pytest.mark.program("openssl")
TEXT = "ledger.example/centre\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
SIGNER = Sm2Signer.new("ledger.example/centre")
SPKI = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d034200")
USING = ("-rawin", "-digest", "sm3", "-pkeyopt", "distid:1234567812345678")


def openssl(*words: str | Path) -> str:
    return subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True, check=True).stdout


def test_openssl_verifies_what_we_sign(tmp_path: Path) -> None:
    signature = SIGNER.sign(TEXT).signature
    (tmp_path / "text").write_text(TEXT)
    (tmp_path / "key").write_bytes(SPKI + SIGNER.key.material[len(IDENTIFIER) :])
    (tmp_path / "signature").write_bytes(encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")))
    said = openssl(
        "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", tmp_path / "key", *USING, "-in", tmp_path / "text", "-sigfile", tmp_path / "signature"
    )
    assert said == "Signature Verified Successfully\n"


def test_we_verify_what_openssl_signs(tmp_path: Path) -> None:
    (tmp_path / "text").write_text(TEXT)
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:SM2", "-out", tmp_path / "key")
    openssl("pkey", "-in", tmp_path / "key", "-pubout", "-outform", "DER", "-out", tmp_path / "public")
    openssl("pkeyutl", "-sign", "-inkey", tmp_path / "key", *USING, "-in", tmp_path / "text", "-out", tmp_path / "signature")
    r, s = decode_dss_signature((tmp_path / "signature").read_bytes())
    material = IDENTIFIER + (tmp_path / "public").read_bytes()[-65:]
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    assert sm2.verified(material, signature, TEXT.encode())
    assert not sm2.verified(material, signature, TEXT.encode() + b"\n")


def test_keys_read_back_and_two_signatures_stand_under_one_note() -> None:
    first = Ed25519Signer.new(SIGNER.name)
    assert parse_private_key(private_key(SIGNER)) == SIGNER
    assert parse_vkey(SIGNER.key.vkey) == SIGNER.key
    note = parse_note(Note(TEXT, (first.sign(TEXT), SIGNER.sign(TEXT))).content)
    for keys in ((first.key,), (SIGNER.key,), (first.key, SIGNER.key)):
        assert [one.key for one in verified_by(note, keys)] == list(keys)
    changed = Note(TEXT.replace("\n1\n", "\n2\n"), note.signatures)
    with pytest.raises(UnsignedError, match="does not verify"):
        verified_by(changed, (SIGNER.key,))


SIGNED = SIGNER.sign(TEXT).signature


@settings(max_examples=200)
@given(at=st.integers(0, 63), bit=st.integers(0, 7))
def test_no_changed_signature_passes(at: int, bit: int) -> None:
    changed = SIGNED[:at] + bytes([SIGNED[at] ^ 1 << bit]) + SIGNED[at + 1 :]
    assert not sm2.verified(SIGNER.key.material, changed, TEXT.encode())


@pytest.mark.parametrize("signature", [b"", bytes(64), b"\xff" * 64, SIGNED[:-1], SIGNED + b"\0"], ids=["empty", "zero", "huge", "short", "long"])
def test_what_is_no_signature_is_refused(signature: bytes) -> None:
    assert not sm2.verified(SIGNER.key.material, signature, TEXT.encode())


@given(st.binary(max_size=80))
def test_what_is_no_key_verifies_nothing(point: bytes) -> None:
    assert not sm2.verified(IDENTIFIER + point, SIGNED, TEXT.encode())
    assert not sm2.verified(point, SIGNED, TEXT.encode())


def test_a_scalar_outside_the_curves_order_is_no_key() -> None:
    words = private_key(SIGNER).split("+", 4)
    for scalar in (bytes(32), b"\xff" * 32):
        words[4] = base64.b64encode(b"\xff" + IDENTIFIER + scalar).decode()
        with pytest.raises(MalformedError, match="out of the curve's range"):
            parse_private_key("+".join(words))


def test_without_sm2_in_openssl_nothing_is_said_of_a_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on systems whose OpenSSL leaves SM2 out: its keys cannot be read there."""
    monkeypatch.setattr(sm2, "_PUBLIC", b"\x30\x59" + bytes(len(SPKI) - 2))
    sm2._supported.cache_clear()
    with pytest.raises(MissingError, match="does not support SM2"):
        sm2.verified(SIGNER.key.material, SIGNED, TEXT.encode())
    sm2._supported.cache_clear()
