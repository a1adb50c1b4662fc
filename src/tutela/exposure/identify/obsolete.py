"""Versions offered by hand: SSL 3.0 (RFC 6101) and SSL 2.0 (draft-hickman-netscape-ssl-00), which nobody may speak any more (RFC 7568, RFC 6176), and TLS 1.0 to 1.2.

OpenSSL as distributions build it cannot offer the first two, nor the old ciphers that some servers want, and it finishes no handshake with who demands a certificate of ours.
The first message of a client is enough, since a server names the version that it takes in its first answer.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

from tutela.exposure.identify.door import PATIENT_S, Door
from tutela.exposure.identify.talk import Ask
from tutela.record import record

_ALERT, _HANDSHAKE, _SERVER_HELLO = 21, 22, 2
_NAME_NOT_KNOWN = b"\1\x70"
"""A mere warning (RFC 6066 section 3), which may come before a ServerHello."""
_SUITES = (*range(0x01, 0x1C), *range(0x2F, 0x3B), *range(0x41, 0x47), *range(0x60, 0x67), *range(0x84, 0x8A), *range(0x96, 0x9C), *range(0xC001, 0xC01A), 0xFF)
"""All that a server of that time may take, and the sign that renegotiation is secured (RFC 5746), without which some refuse. In all under 256 bytes, since some hang on more."""
_NEWER = (0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC023, 0xC027, 0x9E, 0x9F, 0x3C, 0x3D, 0x67, 0x6B)
"""Of TLS 1.2 alone."""
_EXTENSIONS = bytes.fromhex("000a00080006001d00170018" + "000b00020100" + "000d00120010" + "04030503060308040401050106010203" + "ff01000100")
"""Groups, point formats, signatures (TLS 1.2), and secured renegotiation: RFC 8422, RFC 5246, RFC 5746."""
_KINDS = (0x010080, 0x020080, 0x030080, 0x040080, 0x050080, 0x060040, 0x0700C0, 0x080080)
"""Ciphers of SSL 2."""
_SSL2_ERROR, _SSL2_CLIENT_HELLO, _SSL2_SERVER_HELLO = b"\0", b"\1", b"\4"


@record
class Version:
    """Version(hello=ssl3_hello, read=read_ssl3): what offers it alone, and whether an answer takes it."""

    hello: Callable[[], bytes]
    read: Callable[[bytes], bool | None]


def ssl3_hello() -> bytes:
    """A ClientHello of SSL 3.0: without extensions, which it has not."""
    return _hello(b"\3\0")


def _tls_hello(version: bytes) -> bytes:
    # Its own ciphers last, as in TLS 1.2 with AES-GCM.
    return _hello(version, _NEWER if version == b"\3\3" else (), len(_EXTENSIONS).to_bytes(2, "big") + _EXTENSIONS)


def _hello(version: bytes, more: tuple[int, ...] = (), extensions: bytes = b"") -> bytes:
    suites = b"".join(suite.to_bytes(2, "big") for suite in (*more, *_SUITES))
    body = version + os.urandom(32) + b"\0" + len(suites).to_bytes(2, "big") + suites + b"\1\0" + extensions
    return b"\x16\3" + bytes((min(version[1], 1),)) + (4 + len(body)).to_bytes(2, "big") + b"\1" + len(body).to_bytes(3, "big") + body


def ssl2_hello() -> bytes:
    """A CLIENT-HELLO of SSL 2.0, which offers no newer version and none of their ciphers."""
    kinds = b"".join(kind.to_bytes(3, "big") for kind in _KINDS)
    body = _SSL2_CLIENT_HELLO + b"\0\2" + len(kinds).to_bytes(2, "big") + b"\0\0" + b"\0\x10" + kinds + os.urandom(16)
    return (0x8000 | len(body)).to_bytes(2, "big") + body


def read_ssl3(answer: bytes) -> bool | None:
    """True: a ServerHello of SSL 3.0. False: of another version, or an alert. None: not told, or not TLS."""
    return _read(answer, b"\3\0")


def _read(answer: bytes, version: bytes) -> bool | None:
    message = b""
    at = 0
    while at + 5 <= len(answer) and answer[at + 1] == 3:
        kind, length = answer[at], int.from_bytes(answer[at + 3 : at + 5], "big")
        piece = answer[at + 5 : at + 5 + length]
        if kind == _HANDSHAKE:
            message += piece
        elif kind != _ALERT or message or length != 2 or len(piece) < 2:
            return None
        elif piece != _NAME_NOT_KNOWN:
            return False
        if len(message) >= 6:
            return message[4:6] == version if message[0] == _SERVER_HELLO else None
        at += 5 + length
    return None


def read_ssl2(answer: bytes) -> bool | None:
    """True: a SERVER-HELLO of SSL 2.0, whatever ciphers it names. False: an ERROR, or an answer of SSL 3 or TLS. None: not told, or none of these."""
    if not answer or not answer[0] & 0x80:
        return None if read_ssl3(answer) is None else False
    kind, length = answer[2:3], int.from_bytes(answer[:2], "big") & 0x7FFF
    if kind == _SSL2_ERROR:
        return False if length == 3 and len(answer) >= 5 else None
    if kind != _SSL2_SERVER_HELLO or len(answer) < 13 or answer[5:7] != b"\0\2":
        return None
    # Certificate, ciphers and the name of the connection fill the rest of the record.
    sizes = sum(int.from_bytes(answer[at : at + 2], "big") for at in (7, 9, 11))
    return True if length == 11 + sizes else None


VERSIONS = {"SSLv2": Version(ssl2_hello, read_ssl2), "SSLv3": Version(ssl3_hello, read_ssl3)}
BY_HAND = {
    name: Version(partial(_tls_hello, number), partial(_read, version=number))
    for name, number in (("TLSv1", b"\3\1"), ("TLSv1.1", b"\3\2"), ("TLSv1.2", b"\3\3"))
}
"""Where the library cannot say."""


async def takes(door: Door, version: Version, *, speaks: bool) -> bool | None:
    """Does the server take this version? None: it stayed silent, or could not be asked. `speaks`: it does take some version of TLS, so that hanging up is a no."""
    # As in TLS a single end of the connection without a word may be an accident.
    for _ in range(2):
        try:
            async with door.connection() as line:
                await line.begin_tls()
                answer = await line.ask(Ask(version.hello(), lambda so_far: version.read(so_far) is not None), PATIENT_S + 2 * door.rtt_s)
                if answer or not line.ended:
                    return version.read(answer)
        except OSError:
            return None
    return False if speaks else None
