"""Does a server staple an answer of the OCSP responder that its certificate names (RFC 6066 section 8, status_request)?

The standard library cannot ask for it. In TLS 1.2 certificate and status are sent in the clear, so that a ClientHello is enough (RFC 5246 section 7.4);
a server that speaks only TLS 1.3 encrypts them, and nothing is told.
No responder is asked: its address comes from the certificate of a stranger.
"""

from __future__ import annotations

import os

from tutela.exposure.identify.talk import MOST_BYTES, Ask

_HANDSHAKE, _SERVER_HELLO, _CERTIFICATE, _STATUS, _KEY_EXCHANGE, _DONE = 22, 2, 11, 22, 12, 14
_CIPHERS = (0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC009, 0xC013, 0xC00A, 0xC014, 0x009C, 0x009D, 0x002F, 0x0035, 0x009E, 0x009F)
_GROUPS = (29, 23, 24, 25)
_SIGNATURES = (0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0203, 0x0201)


def _numbers(values: tuple[int, ...]) -> bytes:
    return b"".join(value.to_bytes(2, "big") for value in values)


def _sized(body: bytes, width: int = 2) -> bytes:
    return len(body).to_bytes(width, "big") + body


def hello() -> Ask:
    """A ClientHello of TLS 1.2 that asks for the status."""
    extensions = b"".join(
        number.to_bytes(2, "big") + _sized(body)
        for number, body in ((5, b"\1\0\0\0\0"), (10, _sized(_numbers(_GROUPS))), (11, b"\1\0"), (13, _sized(_numbers(_SIGNATURES))), (0xFF01, b"\0"))
    )
    body = b"\3\3" + os.urandom(32) + b"\0" + _sized(_numbers(_CIPHERS)) + b"\1\0" + _sized(extensions)
    return Ask(
        b"\x16\3\1" + _sized(b"\1" + _sized(body, 3)), lambda answer: read(answer) is not None or len(answer) >= MOST_BYTES or answer[:1] not in (b"", b"\x16")
    )


def read(answer: bytes) -> bool | None:
    """True: an answer of a responder was stapled. False: none. None: the handshake did not come so far."""
    messages = b""
    at = 0
    while at + 5 <= len(answer) and answer[at] == _HANDSHAKE:
        length = int.from_bytes(answer[at + 3 : at + 5], "big")
        messages += answer[at + 5 : at + 5 + length]
        at += 5 + length
    certified = False
    at = 0
    while at + 4 <= len(messages):
        kind, length = messages[at], int.from_bytes(messages[at + 1 : at + 4], "big")
        if kind == _STATUS and certified and at + 8 <= len(messages):
            # status_type 1, then the response.
            return messages[at + 4] == 1 and int.from_bytes(messages[at + 5 : at + 8], "big") > 0
        if kind in (_KEY_EXCHANGE, _DONE) and certified:
            return False
        certified = certified or kind == _CERTIFICATE
        at += 4 + length
    return None
