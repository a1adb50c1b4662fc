"""A bundle of what the probe sent."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from tutela.errors import BundleError, last_line
from tutela.evidence import Bundle, Evidence, Vantage
from tutela.evidence.bundle import read_frames, write_frames
from tutela.evidence.scan import FROM_ELSEWHERE
from tutela.language import Text
from tutela.record import replace

Reader = Callable[[bytes], dict[str, Evidence]]
"""Like `read_frames`; for many hosts, one that knows what the others sent."""


def make_bundle(subject: str, frames: bytes, at: datetime, meta: dict[str, str], read: Reader = read_frames) -> Bundle:
    """A bundle of the probe's output.

    Raises BundleError when the output is cut, forged or not the probe's.
    """
    sources = read(frames)
    forged = next((name for name in sources if name.startswith(FROM_ELSEWHERE)), None)
    if forged is not None:
        words = last_line(forged.encode())
        raise BundleError(
            Text(
                f"主机自己交来了只有别处才能看到的 {words!r}：未采用其任何内容；请当作可能被入侵处理",
                f"the host itself handed in {words!r}, which only somebody elsewhere can see: nothing of it was used; treat it as possibly broken into",
            )
        )
    said = sources.get("meta")
    version = "?"
    if said is not None:
        version = next((line[8:] for line in said.content.decode("utf-8", "backslashreplace").split("\n") if line.startswith("version=")), "?")
    return Bundle(subject, at.astimezone(UTC).replace(microsecond=0), version, Vantage.HOST, frames, sources, meta)


def unseen(subject: str, at: datetime, why: Text, meta: dict[str, str]) -> Bundle:
    """The bundle of a subject that could not be looked at: no source at all, and the reason."""
    frames = write_frames([])
    reason = {"unreachable": why.en, "unreachable_zh": why.zh}
    return Bundle(subject, at.astimezone(UTC).replace(microsecond=0), "-", Vantage.HOST, frames, {}, meta | reason)


def named_by_host(bundle: Bundle) -> Bundle:
    """The bundle under the name that the host gives itself, where nobody else named it."""
    name = bundle["hostname"].content.decode("utf-8", "backslashreplace").strip()
    return replace(bundle, subject=name) if name else bundle
