"""Cassandra: OPTIONS, then STARTUP, which is READY for anybody or demands authentication (CQL native protocol v4, sections 4.1 and 4.2)."""

from __future__ import annotations

import re

from tutela.exposure.identify.talk import Ask, Finding, Talk, words

_OPTIONS = b"\x04\0\0\1\x05" + bytes(4)
_BODY = b"\0\1\0\x0bCQL_VERSION\0\x053.0.0"
_STARTUP = b"\x04\0\0\2\x01" + len(_BODY).to_bytes(4, "big") + _BODY
_ERROR, _READY, _AUTHENTICATE, _SUPPORTED = 0, 2, 3, 6
_CQL = re.compile(rb"CQL_VERSION\0[\0-\5]\0[\3-\x0a]([0-9.]{3,10})")


def _complete(answer: bytes) -> bool:
    return len(answer) >= 9 and len(answer) >= 9 + int.from_bytes(answer[5:9], "big")


def talk(address: str, port: int) -> Talk:
    """Does it let a stranger in?"""
    _ = (address, port)
    options = yield Ask(_OPTIONS, _complete)
    if len(options) < 9 or not 0x81 <= options[0] <= 0x86 or options[4] not in (_ERROR, _SUPPORTED):
        return None
    if options[4] == _ERROR and b"protocol" not in options.lower():
        return None
    match = _CQL.search(options)
    started = yield Ask(_STARTUP, _complete)
    kind = started[4] if len(started) >= 9 and started[0] & 0x80 else None
    return Finding("cassandra", words(b"CQL " + match[1]) if match else "", without_authentication={_READY: True, _AUTHENTICATE: False}.get(kind or -1))
