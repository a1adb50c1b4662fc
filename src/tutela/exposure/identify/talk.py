"""How a probe speaks: what it sends, when an answer is complete, and what it found. No sockets here, so that every byte of an answer can be made up in a test.

A talk is a generator: it gives an Ask, gets the bytes that came back, and returns a Finding, or None when the other end speaks something else.
Bytes are hostile: they may be anything, cut anywhere, or missing, as after a time-out.
"""

from __future__ import annotations

from collections.abc import Callable, Generator

from tutela.record import record

MOST_BYTES = 32 * 1024
"""An answer is cut after so many."""
WORDS = 80


def anything(answer: bytes) -> bool:
    """One piece is enough."""
    return bool(answer)


def a_line(answer: bytes) -> bool:
    """Complete at the first end of a line."""
    return b"\n" in answer


def nothing_more(answer: bytes) -> bool:
    """Never complete: all that comes until the other end closes, or time is up."""
    _ = answer
    return False


def at_least(count: int) -> Callable[[bytes], bool]:
    """Complete when so many bytes came."""
    return lambda answer: len(answer) >= count


@record
class Ask:
    r"""Ask(b'PING\r\n', a_line)"""

    send: bytes
    """Nothing: only listen."""
    until: Callable[[bytes], bool] = anything
    fresh: bool = False
    """On a connection of its own, since what went before may have ended the old one."""


@record
class Finding:
    """Finding('redis', '7.0.15', without_authentication=True)"""

    name: str | None
    said: str = ""
    without_authentication: bool | None = None
    sure: bool = True
    """False: take it only when no other probe knows better, as a web server's complaint about a bad request."""
    hsts: str | None = None


Talk = Generator[Ask, bytes, Finding | None]
Start = Callable[[str, int], Talk]
"""Begins a talk with an address and port."""


def words(raw: bytes | str, most: int = WORDS) -> str:
    """Foreign bytes as words on one line, without control characters, shortened."""
    text = raw[: 8 * most].decode("utf-8", "replace") if isinstance(raw, bytes) else raw[: 8 * most]
    plain = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return plain if len(plain) <= most else plain[: most - 1] + "…"
