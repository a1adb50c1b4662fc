"""The small services of 1983: whoever asks gets an answer, and a forged sender's address makes it somebody else's."""

from __future__ import annotations

import re

from tutela.exposure.payloads.question import Answer, Question, words


def _token(token: bytes) -> bytes:
    return token


def _read_echo(token: bytes, answer: bytes) -> Answer | None:
    return Answer("", True) if answer == token else None


def _read_daytime(token: bytes, answer: bytes) -> Answer | None:
    _ = token
    return Answer(words(answer), True) if re.search(rb"\d\d:\d\d", answer) and len(answer) < 100 else None


def _read_quote(token: bytes, answer: bytes) -> Answer | None:
    _ = token
    return Answer("", True) if 0 < len(answer) <= 512 and not re.search(rb"[^\t\n\r\x20-\x7e]", answer) else None


def _read_chargen(token: bytes, answer: bytes) -> Answer | None:
    _ = token
    return Answer("", True) if 0 < len(answer) <= 1024 and not re.search(rb"[^\t\n\r\x20-\x7e]", answer) else None


def _read_time(token: bytes, answer: bytes) -> Answer | None:
    _ = token
    return Answer("", True) if len(answer) == 4 else None


SMALL = (
    Question("echo", (7,), "RFC 862", _token, _read_echo),
    Question("daytime", (13,), "RFC 867", _token, _read_daytime),
    Question("qotd", (17,), "RFC 865", _token, _read_quote),
    Question("chargen", (19,), "RFC 864", _token, _read_chargen),
    Question("time", (37,), "RFC 868", _token, _read_time),
)
