"""SM2 signatures with SM3 (GB/T 32918, GM/T 0009), by the system's OpenSSL 3: a second signature line for parties bound to national algorithms.

The key is of type 0xff with the identifier `gm/sm2-sm3`; then follows the public key as an uncompressed point of 65 bytes. A signature is r and s, 32 bytes each.
The signer's identity that SM2 asks for is the usual `1234567812345678`.

Keys and signatures go in and out of OpenSSL as DER (RFC 5480, RFC 5958), so nothing here computes with secrets.
"""

from __future__ import annotations

import ctypes
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from tutela.language import Text
from tutela.ledger.note import Signature, VerifierKey
from tutela.ledger.refused import MalformedError, MissingError
from tutela.record import record

KIND = 0xFF
IDENTIFIER = b"gm/sm2-sm3"
SCALAR_BYTES = 32
_POINT_BYTES = 65
_SIGNER = b"1234567812345678"
_ORDER = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
_GENERATOR = bytes.fromhex("0432c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7bc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0")
_ALGORITHM = bytes.fromhex("301306072a8648ce3d020106082a811ccf5501822d")
"""id-ecPublicKey on the curve sm2p256v1."""
_PUBLIC = b"\x30\x59" + _ALGORITHM + b"\x03\x42\x00"
_PRIVATE = b"\x30\x41\x02\x01\x00" + _ALGORITHM + b"\x04\x27\x30\x25\x02\x01\x01\x04\x20"
_LONGEST_DER = 72


@record
class Sm2Signer:
    """A log's second private key."""

    name: str
    scalar: bytes

    @classmethod
    def new(cls, name: str) -> Sm2Signer:
        """A new key from the system's random numbers."""
        return cls(name, (secrets.randbelow(_ORDER - 2) + 1).to_bytes(SCALAR_BYTES, "big"))

    @property
    def key(self) -> VerifierKey:
        """The public half."""
        return VerifierKey.of(self.name, KIND, IDENTIFIER + _point(self.scalar))

    def sign(self, text: str) -> Signature:
        """SM2 over the text."""
        key = self.key
        return Signature(key.name, key.key_id, _signed(self.scalar, text.encode()))


def verified(material: bytes, signature: bytes, content: bytes) -> bool:
    """Whether the key with this material, identifier included, made this signature over the content."""
    point = material[len(IDENTIFIER) :]
    if not material.startswith(IDENTIFIER) or len(point) != _POINT_BYTES or len(signature) != 2 * SCALAR_BYTES:
        return False
    crypto = _libcrypto()
    der = _der(signature)
    with _public(point) as key, _context(key) as context:
        return bool(
            key
            and crypto.EVP_DigestVerifyInit(context, None, crypto.EVP_sm3(), None, key) == 1
            and crypto.EVP_DigestVerify(context, der, len(der), content, len(content)) == 1
        )


def _signed(scalar: bytes, content: bytes) -> bytes:
    crypto = _libcrypto()
    signature, length = ctypes.create_string_buffer(_LONGEST_DER), ctypes.c_size_t(_LONGEST_DER)
    with _private(scalar) as key, _context(key) as context:
        _done(crypto.EVP_DigestSignInit(context, None, crypto.EVP_sm3(), None, key))
        _done(crypto.EVP_DigestSign(context, signature, ctypes.byref(length), content, len(content)))
    return _raw(signature.raw[: length.value])


@lru_cache(maxsize=4)
def _point(scalar: bytes) -> bytes:
    """The public key of a private one."""
    crypto = _libcrypto()
    with _private(scalar) as key:
        written = ctypes.c_void_p()
        length = crypto.i2d_PUBKEY(key, ctypes.byref(written))
        _done(length == len(_PUBLIC) + _POINT_BYTES)
        try:
            return ctypes.string_at(written, length)[-_POINT_BYTES:]
        finally:
            crypto.CRYPTO_free(written, None, 0)


@contextmanager
def _private(scalar: bytes) -> Iterator[ctypes.c_void_p]:
    if not 0 < int.from_bytes(scalar, "big") < _ORDER - 1:
        raise MalformedError(Text("SM2 私钥不在曲线的范围内", "the SM2 private key is out of the curve's range"))
    with _parsed("d2i_AutoPrivateKey", _PRIVATE + scalar) as key:
        _done(key)
        yield key


@contextmanager
def _public(point: bytes) -> Iterator[ctypes.c_void_p]:
    with _parsed("d2i_PUBKEY", _PUBLIC + point) as key:
        if not key:
            _supported()
        yield key


@contextmanager
def _parsed(function: str, der: bytes) -> Iterator[ctypes.c_void_p]:
    """An EVP_PKEY; NULL for what is no point on the curve."""
    crypto = _libcrypto()
    at = ctypes.c_char_p(der)
    key = ctypes.c_void_p(getattr(crypto, function)(None, ctypes.byref(at), len(der)))
    try:
        yield key
    finally:
        crypto.EVP_PKEY_free(key)


@contextmanager
def _context(key: ctypes.c_void_p) -> Iterator[ctypes.c_void_p]:
    """An EVP_MD_CTX that knows the signer's identity."""
    crypto = _libcrypto()
    context, pkey_context = ctypes.c_void_p(crypto.EVP_MD_CTX_new()), ctypes.c_void_p(crypto.EVP_PKEY_CTX_new(key, None) if key else None)
    try:
        if pkey_context:
            _done(crypto.EVP_PKEY_CTX_set1_id(pkey_context, _SIGNER, len(_SIGNER)))
            crypto.EVP_MD_CTX_set_pkey_ctx(context, pkey_context)
        yield context
    finally:
        crypto.EVP_MD_CTX_free(context)
        crypto.EVP_PKEY_CTX_free(pkey_context)
        # What failed here is no error of the next user of this thread's queue, Python's ssl for one.
        crypto.ERR_clear_error()


def _der(signature: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    return encode_dss_signature(int.from_bytes(signature[:SCALAR_BYTES], "big"), int.from_bytes(signature[SCALAR_BYTES:], "big"))


def _raw(der: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    r, s = decode_dss_signature(der)
    return r.to_bytes(SCALAR_BYTES, "big") + s.to_bytes(SCALAR_BYTES, "big")


@lru_cache(maxsize=1)
def _supported() -> None:
    """Raises MissingError where OpenSSL was built without SM2: then nothing is known of a signature, good or bad."""
    with _parsed("d2i_PUBKEY", _PUBLIC + _GENERATOR) as key:
        _done(key)


def _done(result: object) -> None:
    if not result or result == -1:
        raise MissingError(Text("系统的 OpenSSL 不支持 SM2", "the system's OpenSSL does not support SM2"))


@lru_cache(maxsize=1)
def _libcrypto() -> ctypes.CDLL:
    """OpenSSL 3's libcrypto with the signatures of what is called."""
    try:
        crypto = ctypes.CDLL("libcrypto.so.3")
    except OSError:
        raise MissingError(Text("SM2 需要系统的 OpenSSL 3（libcrypto.so.3）", "SM2 needs the system's OpenSSL 3 (libcrypto.so.3)")) from None
    pointer, size, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    for name, result, arguments in (
        ("d2i_AutoPrivateKey", pointer, (pointer, pointer, ctypes.c_long)),
        ("d2i_PUBKEY", pointer, (pointer, pointer, ctypes.c_long)),
        ("i2d_PUBKEY", number, (pointer, pointer)),
        ("CRYPTO_free", None, (pointer, ctypes.c_char_p, number)),
        ("EVP_PKEY_free", None, (pointer,)),
        ("EVP_MD_CTX_new", pointer, ()),
        ("EVP_MD_CTX_free", None, (pointer,)),
        ("EVP_PKEY_CTX_new", pointer, (pointer, pointer)),
        ("EVP_PKEY_CTX_free", None, (pointer,)),
        ("EVP_PKEY_CTX_set1_id", number, (pointer, ctypes.c_char_p, number)),
        ("EVP_MD_CTX_set_pkey_ctx", None, (pointer, pointer)),
        ("ERR_clear_error", None, ()),
        ("EVP_sm3", pointer, ()),
        ("EVP_DigestSignInit", number, (pointer, pointer, pointer, pointer, pointer)),
        ("EVP_DigestSign", number, (pointer, ctypes.c_char_p, pointer, ctypes.c_char_p, size)),
        ("EVP_DigestVerifyInit", number, (pointer, pointer, pointer, pointer, pointer)),
        ("EVP_DigestVerify", number, (pointer, ctypes.c_char_p, size, ctypes.c_char_p, size)),
    ):
        function = getattr(crypto, name)
        function.restype, function.argtypes = result, arguments
    return crypto
