"""The signature algorithms of notes: Ed25519 by logs (type 0x01) and by cosigners with the time (0x04), SM2 by logs beside it (see `sm2`).

https://c2sp.org/signed-note and https://c2sp.org/tlog-cosignature. Which key is trusted is not decided here: see `policy`.
"""

from __future__ import annotations

import base64
import secrets
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from tutela.language import Text
from tutela.ledger import sm2
from tutela.ledger.entry import LATEST, written
from tutela.ledger.note import Note, Signature, VerifierKey, check_new_name, decoded, is_name
from tutela.ledger.refused import MalformedError, UnsignedError
from tutela.ledger.sm2 import IDENTIFIER, Sm2Signer
from tutela.record import record

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519 = 0x01
COSIGNATURE = 0x04
_SEED_BYTES = 32
_SIGNATURE_BYTES = 64
_TIME_BYTES = 8


class Signer(Protocol):
    """Whoever can put a signature under a note's text."""

    @property
    def key(self) -> VerifierKey:
        """What verifies it."""

    def sign(self, text: str) -> Signature:
        """The signature line's content."""


@record
class Ed25519Signer:
    """A log's private key."""

    name: str
    seed: bytes

    @classmethod
    def new(cls, name: str) -> Ed25519Signer:
        """A new key from the system's random numbers; raises MalformedError for a name that looks like another."""
        check_new_name(name)
        return cls(name, secrets.token_bytes(_SEED_BYTES))

    @property
    def key(self) -> VerifierKey:
        """The public half."""
        return VerifierKey.of(self.name, ED25519, _public_bytes(self.seed))

    def sign(self, text: str) -> Signature:
        """Ed25519 over the text (RFC 8032)."""
        key = self.key
        return Signature(key.name, key.key_id, _private(self.seed).sign(text.encode()))


@record
class Cosigner:
    """A witness's private key."""

    name: str
    seed: bytes

    @classmethod
    def new(cls, name: str) -> Cosigner:
        """A new key from the system's random numbers; raises MalformedError for a name that looks like another."""
        check_new_name(name)
        return cls(name, secrets.token_bytes(_SEED_BYTES))

    @property
    def key(self) -> VerifierKey:
        """The public half."""
        return VerifierKey.of(self.name, COSIGNATURE, _public_bytes(self.seed))

    def cosign(self, text: str, time: int) -> Signature:
        """A cosignature made at `time` (POSIX seconds)."""
        key = self.key
        signed = _private(self.seed).sign(_cosigned(text, time))
        return Signature(key.name, key.key_id, time.to_bytes(_TIME_BYTES, "big") + signed)


def private_key(signer: Ed25519Signer | Cosigner | Sm2Signer) -> str:
    """A private key as text, in the form that golang.org/x/mod/sumdb/note reads."""
    key = signer.key
    material = bytes([key.kind]) + (IDENTIFIER + signer.scalar if isinstance(signer, Sm2Signer) else signer.seed)
    return f"PRIVATE+KEY+{key.name}+{key.key_id.hex()}+{base64.b64encode(material).decode()}"


def parse_private_key(words: str) -> Ed25519Signer | Cosigner | Sm2Signer:
    """The signer behind a private key's text; raises MalformedError, which never repeats the key."""
    parts = words.split("+", 4)
    if len(parts) == 5 and parts[:2] == ["PRIVATE", "KEY"] and is_name(parts[2]):
        material, name = decoded(parts[4]), parts[2]
        secret = material[-_SEED_BYTES:]
        signer: Ed25519Signer | Cosigner | Sm2Signer | None = None
        if material[:-_SEED_BYTES] == bytes([ED25519]):
            signer = Ed25519Signer(name, secret)
        elif material[:-_SEED_BYTES] == bytes([COSIGNATURE]):
            signer = Cosigner(name, secret)
        elif material[:-_SEED_BYTES] == bytes([sm2.KIND]) + IDENTIFIER:
            signer = Sm2Signer(name, secret)
        if signer is not None and signer.key.key_id.hex() == parts[3]:
            return signer
    raise MalformedError(Text("这不是我们认识的私钥", "this is no private key that we know"))


@record
class Signed:
    """A signature that was verified."""

    key: VerifierKey
    time: int | None = None
    """POSIX seconds, of a cosignature."""

    @property
    def at(self) -> str:
        """The time for people; a cosigner may sign one that no calendar has, and then it is shown as it came."""
        time = self.time or 0
        return written(time) if time <= LATEST else f"POSIX {time}"


def verify(key: VerifierKey, text: str, signature: bytes) -> Signed:
    """That `key` made this signature under `text`; raises Unsigned."""
    content = text.encode()
    time = None
    if key.kind == ED25519:
        good = _verified(key.material, signature, content)
    elif key.kind == COSIGNATURE:
        time = int.from_bytes(signature[:_TIME_BYTES], "big")
        good = time < 1 << 63 and _verified(key.material, signature[_TIME_BYTES:], _cosigned(text, time))
    elif key.kind == sm2.KIND and key.material.startswith(IDENTIFIER):
        good = sm2.verified(key.material, signature, content)
    else:
        raise UnsignedError(Text(f"不认识签名类型 {key.kind:#04x}（{key.name}）", f"signature type {key.kind:#04x} of {key.name} is not known"))
    if not good:
        raise UnsignedError(
            Text(
                f"{key.name} 的签名不成立：内容被改过，或密钥不对", f"the signature of {key.name} does not verify: the text was changed, or the key is another"
            )
        )
    return Signed(key, time)


def verified_by(note: Note, keys: tuple[VerifierKey, ...]) -> list[Signed]:
    """The known keys that signed; a known key's signature that does not verify refuses the whole note, unknown keys are passed over.

    Raises UnsignedError when no known key signed.
    """
    known = {(key.name, key.key_id): key for key in keys}
    found = []
    for one in note.signatures:
        key = known.get((one.name, one.key_id))
        if key is not None:
            found.append(verify(key, note.text, one.signature))
    if not found:
        # Whoever they are, their names must not steer a terminal.
        names = ", ".join(sorted({repr(one.name)[1:-1] for one in note.signatures}))
        raise UnsignedError(
            Text(
                f"没有可信密钥的签名（签名者：{names}；可信：{'、'.join(key.name for key in keys) or '无'}）",
                f"no trusted key signed this (signed by {names}; trusted: {', '.join(key.name for key in keys) or 'none'})",
            )
        )
    return found


def _cosigned(text: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def _verified(public: bytes, signature: bytes, content: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature

    if len(signature) != _SIGNATURE_BYTES:
        return False
    try:
        _public(public).verify(signature, content)
    except (InvalidSignature, ValueError):
        return False
    return True


@lru_cache(maxsize=64)
def _public(public: bytes) -> Ed25519PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    return Ed25519PublicKey.from_public_bytes(public)


@lru_cache(maxsize=8)
def _private(seed: bytes) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(seed)


@lru_cache(maxsize=8)
def _public_bytes(seed: bytes) -> bytes:
    return _private(seed).public_key().public_bytes_raw()
