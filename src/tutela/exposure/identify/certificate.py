"""What a certificate says (RFC 5280), as far as it can be read: it comes from a stranger and may be anything."""

from __future__ import annotations

from datetime import UTC

from tutela.exposure.identify.talk import words
from tutela.record import record

MOST_NAMES = 50
_SM2 = bytes.fromhex("06082a811ccf5501822d")
"""The curve of SM2, 1.2.156.10197.1.301 (GM/T 0006)."""


@record
class Certificate:
    """Certificate(subject='www.example.net', issuer='Example CA', names=('www.example.net',), ends='2027-01-31T00:00:00Z', key='EC P-256')"""

    subject: str = ""
    issuer: str = ""
    names: tuple[str, ...] = ()
    ends: str = ""
    key: str = ""
    responder: bool = False
    """It names an OCSP responder."""


def read(der: bytes) -> Certificate:
    """Empty fields for what cannot be read, and all of them without the package cryptography."""
    try:
        # cryptography is not part of every installation.
        from cryptography import x509  # noqa: PLC0415
    except ImportError:
        return Certificate()
    try:
        one = x509.load_der_x509_certificate(der)
        return Certificate(
            _name(one.subject),
            _name(one.issuer),
            _names(one),
            one.not_valid_after_utc.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            _key(one, der),
            _responder(one),
        )
    except Exception:  # noqa: BLE001 - cryptography raises many kinds, of which not all are ValueErrors, and later versions others
        return Certificate()


def _name(name: object) -> str:
    from cryptography.x509 import Name  # noqa: PLC0415
    from cryptography.x509.oid import NameOID  # noqa: PLC0415

    assert isinstance(name, Name)
    common = name.get_attributes_for_oid(NameOID.COMMON_NAME) or name.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return words(str(common[0].value)) if common else words(name.rfc4514_string())


def _names(one: object) -> tuple[str, ...]:
    from cryptography import x509  # noqa: PLC0415

    assert isinstance(one, x509.Certificate)
    try:
        found = one.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except Exception:  # noqa: BLE001 - one bad extension does not hide subject and end
        return ()
    return tuple(words(str(name.value)) for name in list(found)[:MOST_NAMES] if isinstance(name, x509.DNSName | x509.IPAddress))


def _responder(one: object) -> bool:
    from cryptography import x509  # noqa: PLC0415
    from cryptography.x509.oid import AuthorityInformationAccessOID  # noqa: PLC0415

    assert isinstance(one, x509.Certificate)
    try:
        found = one.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except Exception:  # noqa: BLE001 - one bad extension does not hide subject and end
        return False
    return any(access.access_method == AuthorityInformationAccessOID.OCSP for access in found)


def _key(one: object, der: bytes) -> str:
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa  # noqa: PLC0415

    assert isinstance(one, x509.Certificate)
    try:
        key = one.public_key()
    except Exception:  # noqa: BLE001 - a kind of key that the library does not know
        return "SM2" if _SM2 in der else words(one.public_key_algorithm_oid.dotted_string)
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    if isinstance(key, dsa.DSAPublicKey):
        return f"DSA {key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        curve = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}.get(key.curve.name, key.curve.name)
        return f"EC {curve}"
    return type(key).__name__.lstrip("_").removesuffix("PublicKey")
