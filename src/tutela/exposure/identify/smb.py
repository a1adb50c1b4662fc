"""SMB: dialect and signing, and whether SMB 1 is still spoken (MS-SMB2 2.2.3, MS-CIFS 2.2.4.52). No session is set up."""

from __future__ import annotations

from tutela.exposure.identify.talk import Ask, Finding, Talk

_DIALECTS = (0x0202, 0x0210, 0x0300, 0x0302)
_NAMES = {0x0202: "2.0.2", 0x0210: "2.1", 0x0300: "3.0", 0x0302: "3.0.2", 0x0311: "3.1.1", 0x02FF: "2"}
_SIGNING_REQUIRED = 2


def _framed(message: bytes) -> bytes:
    return len(message).to_bytes(4, "big") + message


_HEADER2 = b"\xfeSMB" + b"\x40\0" + bytes(2) + bytes(4) + bytes(2) + b"\1\0" + bytes(4) + bytes(4) + bytes(8) + bytes(8) + bytes(8) + bytes(16)
_NEGOTIATE2 = _framed(
    _HEADER2 + b"\x24\0" + len(_DIALECTS).to_bytes(2, "little") + b"\1\0" + bytes(2) + bytes(4) + b"tutela--tutela--" + bytes(8)
    + b"".join(dialect.to_bytes(2, "little") for dialect in _DIALECTS)
)  # fmt: skip
_HEADER1 = b"\xffSMB\x72" + bytes(4) + b"\x18\x01\x28" + bytes(12) + bytes(2) + b"\xff\xfe" + bytes(4)
_WORD = b"\x02NT LM 0.12\0"
_NEGOTIATE1 = _framed(_HEADER1 + b"\0" + len(_WORD).to_bytes(2, "little") + _WORD)


def _complete(answer: bytes) -> bool:
    return len(answer) >= 4 and len(answer) >= 4 + int.from_bytes(answer[1:4], "big")


def talk(address: str, port: int) -> Talk:
    """Which dialects?"""
    _ = (address, port)
    new = yield Ask(_NEGOTIATE2, _complete)
    old = yield Ask(_NEGOTIATE1, _complete, fresh=True)
    return read(new, old)


def read(new: bytes, old: bytes) -> Finding | None:
    """The answers to a negotiation of SMB 2 and 3, and of SMB 1."""
    said = []
    # Each has a flag that an answer sets: an echo of our question has not.
    if new[4:8] == b"\xfeSMB" and len(new) >= 74 and new[20] & 1:
        dialect = int.from_bytes(new[72:74], "little")
        said.append(f"SMB {_NAMES.get(dialect, hex(dialect))}")
        said.append("signing required" if new[70] & _SIGNING_REQUIRED else "signing not required")
    # A dialect index of 0xffff: none of those offered.
    if old[4:9] == b"\xffSMB\x72" and len(old) >= 39 and old[13] & 0x80 and old[36] != 0 and old[37:39] != b"\xff\xff":
        said.append("SMB 1")
    return Finding("smb", ", ".join(said)) if said else None
