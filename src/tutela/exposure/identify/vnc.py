"""VNC: the security types it offers (RFC 6143 section 7.1.2); type 1 is none at all. No type is chosen."""

from __future__ import annotations

import re

from tutela.exposure.identify.talk import Ask, Finding, Talk, at_least, words

_VERSION = re.compile(rb"RFB ([0-9]{3})\.([0-9]{3})\n")
_NONE = 1


def talk(address: str, port: int) -> Talk:
    """Does it let anybody see the screen?"""
    _ = (address, port)
    greeting = yield Ask(b"", at_least(12))
    match = _VERSION.match(greeting)
    if match is None:
        return None
    major, minor = int(match[1]), int(match[2])
    said = f"RFB {major}.{minor}"
    if (major, minor) < (3, 7):
        # The server decides, and says so in four bytes.
        answer = yield Ask(b"RFB 003.003\n", at_least(4))
        kinds = [int.from_bytes(answer[:4], "big")] if len(answer) >= 4 else []
    else:
        answer = yield Ask(b"RFB 003.008\n", _complete)
        kinds = list(answer[1 : 1 + answer[0]]) if _complete(answer) else []
    kinds = [kind for kind in kinds if kind]
    return Finding("vnc", words(said), without_authentication=(_NONE in kinds) if kinds else None)


def _complete(answer: bytes) -> bool:
    """The number of types, and as many."""
    return bool(answer) and len(answer) > answer[0]
