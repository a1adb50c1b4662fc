"""ZooKeeper: a session is opened and the children of `/` are asked for, which needs no account unless one is enforced (zookeeper.jute; four-letter word srvr)."""

from __future__ import annotations

import re

from tutela.exposure.identify.talk import Ask, Finding, Talk, nothing_more, words


def _framed(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


_CONNECT = _framed(bytes(4) + bytes(8) + (5000).to_bytes(4, "big") + bytes(8) + (16).to_bytes(4, "big") + bytes(16) + b"\0")
_CHILDREN = _framed((1).to_bytes(4, "big") + (8).to_bytes(4, "big") + (1).to_bytes(4, "big") + b"/" + b"\0")
_CLOSE = _framed((2).to_bytes(4, "big") + (0xFFFFFFF5).to_bytes(4, "big"))
_VERSION = re.compile(rb"Zookeeper version: ([0-9.]{1,20})")
_REFUSED = {-102, -115, -124}
"""NOAUTH, AUTHFAILED, SESSIONCLOSEDREQUIRESASLAUTH."""


def _complete(answer: bytes) -> bool:
    return len(answer) >= 4 and len(answer) >= 4 + int.from_bytes(answer[:4], "big")


def talk(address: str, port: int) -> Talk:
    """Does it tell what it holds?"""
    _ = (address, port)
    hello = yield Ask(_CONNECT, _complete)
    # Version 0, a time-out, a session, a password of 16 bytes.
    if len(hello) < 36 or hello[:4] not in (b"\0\0\0\x24", b"\0\0\0\x25") or hello[4:8] != bytes(4) or hello[20:24] != b"\0\0\0\x10":
        return None
    children = yield Ask(_CHILDREN, _complete)
    error = int.from_bytes(children[16:20], "big", signed=True) if len(children) >= 20 and children[4:8] == b"\0\0\0\1" else None
    yield Ask(_CLOSE, _complete)
    server = yield Ask(b"srvr", nothing_more, fresh=True)
    match = _VERSION.search(server)
    free = True if error == 0 else False if error in _REFUSED else None
    return Finding("zookeeper", words(match[1]) if match else "", without_authentication=free)
