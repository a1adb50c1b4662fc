"""How often the logs of the last 24 hours hold what should not be there.

The probe counts on the host and sends counts alone (NC5). A number counts only with a valid check digit: GB 11643 for identity cards, Luhn for bank cards.
"""

from __future__ import annotations

import re

from tutela.evidence import Reason, Unobserved
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record

COUNTS = "grep (patterns of sensitive data in logs of the last 24 h, counts)"
NEEDS = (COUNTS,)
KINDS = ("password", "token", "key", "id", "card")


@record
class Hits:
    """Hits(kind='password', lines=3)"""

    kind: str
    """password | token | key (a private key's header) | id (identity card number) | card (bank card number)"""
    lines: int


@record
class LogSamples:
    """LogSamples(sampled_bytes=4096000, sampled_lines=31000, hits=(Hits(kind='password', lines=3),))"""

    sampled_bytes: int
    sampled_lines: int
    hits: tuple[Hits, ...]
    """Kinds that were found."""


def parse(look: Look) -> LogSamples | Unobserved:
    """The fact; nothing to sample is no clean bill."""
    text = look.text(COUNTS)
    if isinstance(text, Unobserved):
        return text
    values = dict(re.findall(r"([a-z]{1,20})=(\d{1,15})(?= |$)", text))
    if not {"bytes", "lines", *KINDS} <= set(values):
        return Unobserved(Reason.FORMAT, COUNTS, Text("计数格式不明", "counts of unknown form"))
    if values["lines"] == "0":
        return Unobserved(Reason.NO_DATA, COUNTS, Text("24 小时内没有可抽样的日志", "no log of the last 24 hours to sample"))
    hits = tuple(Hits(kind, int(values[kind])) for kind in KINDS if values[kind] != "0")
    return LogSamples(int(values["bytes"]), int(values["lines"]), hits)
