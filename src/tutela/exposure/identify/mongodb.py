"""MongoDB: `hello` is answered to anybody, `listDatabases` only where no authentication is demanded (wire protocol, OP_MSG; bsonspec.org)."""

from __future__ import annotations

from tutela.exposure.identify.talk import Ask, Finding, Talk, words

_MSG = 2013
_UNAUTHORIZED = (13, 18)
_FIXED = {0x01: 8, 0x07: 12, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x11: 8, 0x12: 8, 0x13: 16}
Value = float | int | bytes | None


def _string(name: bytes, value: bytes) -> bytes:
    return b"\x02" + name + b"\0" + (len(value) + 1).to_bytes(4, "little") + value + b"\0"


def command(name: bytes, *, number: int, more: bytes = b"") -> bytes:
    """One command to the database `admin`."""
    body = b"\x10" + name + b"\0" + (1).to_bytes(4, "little") + more + _string(b"$db", b"admin")
    document = (len(body) + 5).to_bytes(4, "little") + body + b"\0"
    payload = bytes(4) + b"\0" + document
    return b"".join(value.to_bytes(4, "little") for value in (16 + len(payload), number, 0, _MSG)) + payload


def answered(reply: bytes) -> dict[bytes, Value] | None:
    """The top level of the document in an OP_MSG; None when it is none."""
    if len(reply) < 26 or int.from_bytes(reply[12:16], "little") != _MSG or reply[20] != 0:
        return None
    return document(reply[21:])


def document(raw: bytes) -> dict[bytes, Value]:
    """Numbers and strings of the top level, as far as it can be read; of nested documents only that they are there."""
    found: dict[bytes, Value] = {}
    at, end = 4, min(int.from_bytes(raw[:4], "little"), len(raw))
    while at < end and raw[at] != 0:
        kind = raw[at]
        stop = raw.find(b"\0", at + 1, end)
        if stop < 0:
            break
        name, at = raw[at + 1 : stop], stop + 1
        size = int.from_bytes(raw[at : at + 4], "little")
        if kind == 0x02:
            found[name] = raw[at + 4 : min(at + 3 + size, end)]
            at += 4 + size
        elif kind in (0x03, 0x04):
            found[name] = None
            at += max(size, 5)
        elif kind == 0x05:
            at += 5 + size
        elif kind in _FIXED:
            width = _FIXED[kind]
            found[name] = (
                1.0 if kind == 0x01 and raw[at : at + 8] == b"\0\0\0\0\0\0\xf0\x3f" else int.from_bytes(raw[at : at + width], "little") if kind != 0x01 else 0.0
            )
            at += width
        else:
            break
    return found


def _complete(reply: bytes) -> bool:
    return len(reply) >= 16 and len(reply) >= int.from_bytes(reply[:4], "little")


def talk(address: str, port: int) -> Talk:
    """Does it tell its databases?"""
    _ = (address, port)
    hello = answered((yield Ask(command(b"hello", number=1), _complete)))
    if hello is None or not {b"ok", b"maxWireVersion", b"isWritablePrimary"} & hello.keys():
        return None
    about = answered((yield Ask(command(b"buildInfo", number=2), _complete))) or {}
    version = about.get(b"version")
    listed = answered((yield Ask(command(b"listDatabases", number=3, more=b"\x08nameOnly\0\1"), _complete))) or {}
    free = True if listed.get(b"ok") in (1, 1.0) and b"databases" in listed else False if listed.get(b"code") in _UNAUTHORIZED else None
    return Finding("mongodb", words(version) if isinstance(version, bytes) else "", without_authentication=free)
