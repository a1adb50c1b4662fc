"""Microsoft SQL Server: the version in its answer to PRELOGIN (MS-TDS 2.2.6.5). No login is sent."""

from __future__ import annotations

from tutela.exposure.identify.talk import Ask, Finding, Talk

_OPTIONS = b"\0\0\x0b\0\6" + b"\1\0\x11\0\1" + b"\xff" + bytes(6) + b"\2"
_PRELOGIN = b"\x12\1" + (8 + len(_OPTIONS)).to_bytes(2, "big") + bytes(4) + _OPTIONS


def talk(address: str, port: int) -> Talk:
    """What is it?"""
    _ = (address, port)
    return read((yield Ask(_PRELOGIN, lambda answer: len(answer) >= 4 and len(answer) >= int.from_bytes(answer[2:4], "big"))))


def read(answer: bytes) -> Finding | None:
    """A table response whose first option is the version."""
    if len(answer) < 8 + 6 or answer[0] != 4 or answer[1] != 1 or answer[8] != 0:
        return None
    at = 8 + int.from_bytes(answer[9:11], "big")
    version = answer[at : at + 4]
    return Finding("mssql", f"{version[0]}.{version[1]}.{int.from_bytes(version[2:4], 'big')}") if len(version) == 4 else None
