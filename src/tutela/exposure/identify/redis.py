"""Redis, Valkey, KeyDB: PING is answered, or authentication is demanded (redis.io "RESP protocol specification")."""

from __future__ import annotations

import re

from tutela.exposure.identify.talk import Ask, Finding, Talk, a_line, words

_REFUSED = (b"-NOAUTH", b"-DENIED", b"-NOPERM", b"-WRONGPASS", b"-ERR operation not permitted")
_BUSY = (b"-LOADING", b"-MASTERDOWN", b"-MISCONF", b"-BUSY", b"-ERR max number of clients")
_VERSION = re.compile(rb"^(redis|valkey|keydb)_version:([!-~]{1,40})", re.MULTILINE)


def talk(address: str, port: int) -> Talk:
    """Does it answer?"""
    _ = (address, port)
    answer = yield Ask(b"PING\r\n", a_line)
    refused = read(answer)
    if refused is not None:
        return refused
    if not answer.startswith((b"+PONG", b"$4\r\nPONG")):
        return None
    about = yield Ask(b"INFO server\r\n", _bulk)
    found = dict(_VERSION.findall(about))
    name, version = max(found.items(), key=lambda one: one[0] != b"redis", default=(b"redis", b""))
    free = False if about.startswith(_REFUSED) else True if b"\n" in about else None
    return Finding(name.decode(), words(version), without_authentication=free)


def read(greeting: bytes) -> Finding | None:
    """Who may not come in is told so before asking, and the connection ends."""
    if greeting.startswith(_REFUSED):
        return Finding("redis", without_authentication=False)
    return Finding("redis", words(greeting[1:])) if greeting.startswith(_BUSY) else None


def _bulk(answer: bytes) -> bool:
    head, _, rest = answer.partition(b"\r\n")
    if not head.startswith(b"$"):
        return bool(rest) or b"\n" in answer
    return not head[1:].isdigit() or len(head) > 9 or len(rest) >= int(head[1:]) + 2
