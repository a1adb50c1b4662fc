"""X11: a connection set-up without authorization data (X Window System Protocol, section 8). Success means that anybody may see and type."""

from __future__ import annotations

from tutela.exposure.identify.talk import Ask, Finding, Talk, words

_SETUP = b"l\0" + (11).to_bytes(2, "little") + bytes(8)


def talk(address: str, port: int) -> Talk:
    """Does it let a stranger in?"""
    _ = (address, port)
    return read((yield Ask(_SETUP, lambda answer: len(answer) >= 8 and len(answer) >= min(8 + 4 * int.from_bytes(answer[6:8], "little"), 120))))


def read(answer: bytes) -> Finding | None:
    """The reply to the set-up."""
    if len(answer) < 8 or answer[0] not in (0, 1, 2) or (answer[0] < 2 and int.from_bytes(answer[2:4], "little") != 11):
        return None
    if answer[0] == 1:
        length = int.from_bytes(answer[24:26], "little")
        return Finding("x11", words(answer[40 : 40 + min(length, 80)]), without_authentication=True)
    return Finding("x11", words(answer[8 : 8 + min(answer[1], 80)]) if answer[0] == 0 else "", without_authentication=False)
