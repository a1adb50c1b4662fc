"""What a UDP service is asked, and what its answer tells."""

from __future__ import annotations

import struct
from collections.abc import Callable

from tutela.record import record

LONGEST_SAID = 120
"""Characters of what a service says that are kept."""


@record
class Answer:
    """Answer(said='Linux web1 6.1.0', without_authentication=True)"""

    said: str = ""
    without_authentication: bool | None = None
    """It answers questions about its data, or works, for anybody; None: not established."""


@record
class Question:
    """Question(name='ntp', ports=(123,), source='RFC 5905, section 7.3', ask=…, read=…)"""

    name: str
    ports: tuple[int, ...]
    source: str
    """Where the format of question and answer is written down."""
    ask: Callable[[bytes], bytes]
    """The datagram, with a token of 16 random bytes, or as many as fit, where the protocol returns what it is sent."""
    read: Callable[[bytes, bytes], Answer | None]
    """From token and answer: what it tells; None when it is not this protocol's answer to this question. May stumble over bytes; `recognise` catches it."""
    any_port: bool = False
    """The answer comes from another port than was asked; then only what is recognised counts."""


def recognise(question: Question, token: bytes, answer: bytes) -> Answer | None:
    """What the answer tells; None when it is none of this protocol. Never raises, whatever the bytes."""
    try:
        return question.read(token, answer)
    except (ValueError, IndexError, KeyError, struct.error):
        return None


def words(raw: bytes) -> str:
    """Foreign bytes as a short line without control, bidirectional or invisible characters."""
    text = raw[: 4 * LONGEST_SAID].decode("utf-8", "replace")
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:LONGEST_SAID]
