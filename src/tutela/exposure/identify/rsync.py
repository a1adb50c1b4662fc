"""rsync daemon: its modules, and whether one may be entered without a user name (rsyncd.conf(5), `auth users`). Nothing is transferred."""

from __future__ import annotations

import re

from tutela.exposure.identify.talk import Ask, Finding, Talk, a_line, words

_GREETING = re.compile(rb"@RSYNCD: ([0-9]+(?:\.[0-9]+)?)[^\n]*\n")
_HELLO = b"@RSYNCD: 31.0\n"
_MODULE = re.compile(rb"[!-~]{1,64}")
_ENTERED = 3
"""Modules that are tried."""


def talk(address: str, port: int) -> Talk:
    """Which modules, and are they for anybody?"""
    _ = (address, port)
    greeting = yield Ask(b"", a_line)
    match = _GREETING.search(greeting)
    if match is None:
        return None
    listing = yield Ask(_HELLO + b"#list\n", lambda answer: b"@RSYNCD: EXIT" in answer or b"@ERROR" in answer)
    names = [name for line in listing.splitlines() if not line.startswith(b"@") for name in [line.partition(b"\t")[0].strip()] if _MODULE.fullmatch(name)]
    free: bool | None = None
    for name in names[:_ENTERED]:
        yield Ask(b"", a_line, fresh=True)
        answer = yield Ask(_HELLO + name + b"\n", _decided)
        if b"@RSYNCD: OK" in answer:
            free = True
        elif free is None and b"@RSYNCD: AUTHREQD" in answer:
            free = False
    return Finding("rsync", words(b"protocol " + match[1] + (b": " + b" ".join(names) if names else b"")), without_authentication=free)


def _decided(answer: bytes) -> bool:
    return any(mark in answer for mark in (b"@RSYNCD: OK", b"@RSYNCD: AUTHREQD", b"@ERROR"))
