"""TLS: which versions a server agrees to, its certificate, and whether its chain leads to a root of this machine.

Every version is offered alone in a handshake of its own, with all ciphers that the library has.
What the library cannot offer, or cannot bring to an end, is offered without it (tutela.exposure.identify.obsolete); what got no answer is told as untested.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import warnings
from functools import cache

from tutela.exposure.identify import certificate, obsolete, stapling
from tutela.exposure.identify.door import Door
from tutela.exposure.model import Tls
from tutela.record import record

VERSIONS = {"TLSv1": ssl.TLSVersion.TLSv1, "TLSv1.1": ssl.TLSVersion.TLSv1_1, "TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}
_LEGACY_SERVER_CONNECT = 0x4
"""SSL_OP_LEGACY_SERVER_CONNECT: old servers without RFC 5746 are to be seen, not refused."""
_OTHER_VERSION = ("TLSV1_ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL")
"""The server refused the version itself, or answered with another. Any other end of a handshake may have other causes: a certificate of ours that is wanted, ciphers, a policy of this machine."""


@cache
def context(version: str | None = None, *, verified: bool = False) -> ssl.SSLContext | None:
    """Offers one version, or all; None when the library cannot."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.options |= _LEGACY_SERVER_CONNECT
    try:
        made.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            # Old versions are deprecated, which is why they are looked for.
            warnings.simplefilter("ignore", DeprecationWarning)
            made.minimum_version = VERSIONS[version] if version else ssl.TLSVersion.TLSv1
            made.maximum_version = VERSIONS[version] if version else ssl.TLSVersion.MAXIMUM_SUPPORTED
    except (ssl.SSLError, ValueError):
        return None
    if version and not getattr(ssl, "HAS_" + version.replace(".", "_"), False):
        return None
    if verified:
        made.load_default_certs()
        made.verify_mode = ssl.CERT_REQUIRED
    return made


@cache
def has_roots() -> bool:
    """This machine knows roots at all."""
    paths = ssl.get_default_verify_paths()
    return bool(paths.cafile) or bool(paths.capath and os.listdir(paths.capath))  # noqa: PTH208 - a path from ssl


@record
class Agreed:
    """What a first handshake came to: Agreed('TLSv1.3', certificate); empty where the server speaks TLS and refuses ours."""

    version: str = ""
    der: bytes = b""


async def agree(door: Door) -> Agreed | None:
    """A handshake with all versions on offer; None when the port speaks something else."""
    general = context()
    if general is None:
        return None
    try:
        async with door.connection(general) as line:
            return Agreed(line.tls.version() or "", line.tls.getpeercert(binary_form=True) or b"") if line.tls else None
    except ssl.SSLError as problem:
        return Agreed() if _spoken(problem) else None
    except OSError:
        return None


async def inspect(door: Door, agreed: Agreed) -> Tls:
    """The versions it takes, its certificate, and what that is worth."""
    seen = certificate.read(agreed.der)
    # In this order they get their turn at the door: those that a server may meet with silence come last.
    offers, trusted, stapled, older = await asyncio.gather(
        asyncio.gather(*(_offer(door, version, agreed.version) for version in VERSIONS)),
        _trusted(door, agreed.version),
        _stapled(door) if seen.responder and not door.before_tls else _untold(),
        asyncio.gather(*(obsolete.takes(door, version, speaks=bool(agreed.version)) for version in obsolete.VERSIONS.values())),
    )
    told = dict(zip((*obsolete.VERSIONS, *VERSIONS), (*older, *offers), strict=True))
    return Tls(
        tuple(version for version, took in told.items() if took),
        tuple(version for version, took in told.items() if took is None),
        seen.subject,
        seen.issuer,
        seen.names,
        seen.ends,
        seen.key,
        trusted,
        None,
        stapled,
    )


async def _offer(door: Door, version: str, agreed: str) -> bool | None:
    """Does it take this version alone? None: not established."""
    if version == agreed:
        return True
    took = await _handshake(door, version, agreed)
    if took is not None:
        return took
    by_hand = obsolete.BY_HAND.get(version)
    return None if by_hand is None else await obsolete.takes(door, by_hand, speaks=bool(agreed))


async def _handshake(door: Door, version: str, agreed: str) -> bool | None:
    """By the library; None where it cannot tell."""
    offered = context(version)
    if offered is None:
        return None
    try:
        async with door.connection(offered):
            return True
    except ssl.SSLError as problem:
        if problem.reason in _OTHER_VERSION:
            return False
        # TLS 1.3 ends for us before the server wants a certificate of ours: it has no other cause.
        return False if version == "TLSv1.3" and (agreed or "ALERT" in (problem.reason or "")) else None
    except (ConnectionResetError, ConnectionAbortedError, BrokenPipeError):
        # Nor would it have agreed to an older version when both were on offer.
        return False if version == "TLSv1.3" and agreed else None
    except OSError:
        # No connection, or no time: it was not asked.
        return None


async def _trusted(door: Door, agreed: str) -> bool | None:
    verifying = context(agreed, verified=True) if agreed in VERSIONS and has_roots() else None
    if verifying is None:
        return None
    try:
        async with door.connection(verifying):
            return True
    except ssl.SSLCertVerificationError:
        return False
    except OSError:
        return None


async def _stapled(door: Door) -> bool | None:
    try:
        async with door.connection() as line:
            return stapling.read(await line.ask(stapling.hello()))
    except OSError:
        return None


async def _untold() -> None:
    return None


def _spoken(problem: ssl.SSLError) -> bool:
    """The refusal itself is TLS: an alert, or a version that we do not know."""
    reason = problem.reason or ""
    return "ALERT" in reason or reason in ("UNSUPPORTED_PROTOCOL", "NO_SHARED_CIPHER", "DH_KEY_TOO_SMALL", "BAD_ECPOINT", "WRONG_SSL_VERSION")
