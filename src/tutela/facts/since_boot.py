"""When something happened that the kernel counts from its own start, by the host's clock.

Source: /proc/uptime (proc(5)), and the host's time as the probe noted it within the same second.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from tutela.evidence import Reason, Unobserved
from tutela.facts.look import Look
from tutela.language import Text

UPTIME = "/proc/uptime"
NEEDS = (UPTIME, "meta")
SLACK = timedelta(seconds=2)
"""A moment may come out too early by less: the noted time lacks its fraction, and the other clock was read up to a second later."""


def moment(look: Look, seconds: float) -> datetime | Unobserved:
    """So long after the kernel's start; never later than it was."""
    booted = look.fact(_booted)
    if isinstance(booted, Unobserved):
        return booted
    try:
        return booted + timedelta(seconds=seconds)
    except OverflowError:
        return _strange()


def _booted(look: Look) -> datetime | Unobserved:
    meta, uptime = look.text("meta"), look.text(UPTIME)
    if isinstance(meta, Unobserved):
        return meta
    if isinstance(uptime, Unobserved):
        return uptime
    noted = re.search(r"(?:^|\n)started=([0-9]{1,12})(?:\n|$)", meta)
    up = re.match(r"([0-9]{1,12}(?:\.[0-9]{1,9})?) ", uptime)
    if noted is None or up is None:
        return _strange()
    try:
        return datetime.fromtimestamp(int(noted[1]), tz=UTC) - timedelta(seconds=float(up[1]))
    except (ValueError, OverflowError, OSError):
        return _strange()


def _strange() -> Unobserved:
    return Unobserved(Reason.FORMAT, UPTIME, Text("读不出启动时间", "the time of the start cannot be read"))
