"""Remote Desktop: does it insist on network level authentication (MS-RDPBCGR 2.2.1.1 and 2.2.1.2)? TLS alone is asked for; a server that wants more says so."""

from __future__ import annotations

from tutela.exposure.identify.talk import Ask, Finding, Talk

ASK = b"\x03\x00\x00\x13" + b"\x0e\xe0\x00\x00\x00\x00\x00" + b"\x01\x00\x08\x00" + (1).to_bytes(4, "little")
_HYBRID_REQUIRED = 5


def talk(address: str, port: int) -> Talk:
    """What does it demand before a session?"""
    _ = (address, port)
    return read((yield Ask(ASK, complete)))


def complete(answer: bytes) -> bool:
    """A whole TPKT packet."""
    return len(answer) >= 4 and len(answer) >= int.from_bytes(answer[2:4], "big")


def takes_tls(answer: bytes) -> bool:
    """It goes on with TLS."""
    return len(answer) >= 19 and answer[11] == 2 and answer[15:19] == b"\1\0\0\0"


def read(answer: bytes) -> Finding | None:
    """An X.224 connection confirm."""
    if len(answer) < 11 or answer[:2] != b"\x03\x00" or answer[5] != 0xD0:
        return None
    if len(answer) < 19:
        return Finding("rdp", "no TLS, no NLA")
    kind, value = answer[11], int.from_bytes(answer[15:19], "little")
    if kind == 3:
        return Finding("rdp", "NLA") if value == _HYBRID_REQUIRED else Finding("rdp", "no TLS, no NLA")
    return Finding("rdp", "TLS, NLA not required" if value == 1 else "no TLS, no NLA")
