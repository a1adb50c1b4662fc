"""A fact is a value or `Unobserved`: there is no default that could pass for a look."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from tutela.language import Text
from tutela.record import record

if TYPE_CHECKING:
    from tutela.evidence.bundle import Evidence


class Reason(StrEnum):
    """Why something is unknown; the codes of the catalogue, section 0."""

    STALE = "U1"
    """No report from the host inside the freshness window."""
    PRIVILEGE = "U2"
    """Not enough privilege to read the source."""
    NO_ANSWER = "U3"
    """The named product, setting or API is not configured or did not answer."""
    NO_DATA = "U4"
    """No data in the period, or fewer samples than the minimum; also a source that was left out on request."""
    NOT_LODGED = "U5"
    """Human evidence is not lodged."""
    NO_VANTAGE = "U6"
    """No suitable vantage point."""
    FORMAT = "U7"
    """A format or version the parser does not know; never guessed."""
    CLOCK = "U8"
    """The clock is not trustworthy."""


@record
class Unobserved:
    """What could not be seen, and why. Never counts as kept, never excuses."""

    code: Reason
    source: str
    """Name of the source (a command or a path), or of the setting that is missing."""
    why: Text


T = TypeVar("T")

_BY_STATUS = {
    "denied": (Reason.PRIVILEGE, Text("权限不足，无法读取", "not permitted to read")),
    "timeout": (Reason.NO_ANSWER, Text("超时未返回", "no answer in time")),
    "failed": (Reason.NO_ANSWER, Text("命令失败", "the command failed")),
    "truncated": (Reason.NO_DATA, Text("超出采集上限，未看完整", "larger than the budget: not seen whole")),
    "skipped": (Reason.NO_DATA, Text("按要求未采集", "left out on request")),
    "missing": (Reason.NO_DATA, Text("证据包中没有此项；若由旧版采集，请重新采集", "not in the bundle; if an older version collected it, collect again")),
    "absent": (Reason.NO_ANSWER, Text("主机上没有这个命令或文件", "no such command or file on the host")),
}


def observed(evidence: Evidence) -> bytes | Unobserved:
    """The content of evidence that was seen whole, else why it was not.

    `absent` is an established fact about the host; a caller to whom absence means something asks `evidence.status` first.
    """
    if evidence.status.value == "ok":
        return evidence.content
    code, why = _BY_STATUS[evidence.status.value]
    return Unobserved(code, evidence.name, why)


def any_of(answers: Iterable[bool | Unobserved]) -> bool | Unobserved:
    """Whether one of them holds, in Kleene's strong logic: the first doubt counts where none surely does."""
    doubt: Unobserved | None = None
    for answer in answers:
        if answer is True:
            return True
        if isinstance(answer, Unobserved):
            doubt = doubt or answer
    return doubt if doubt is not None else False


def all_of(answers: Iterable[bool | Unobserved]) -> bool | Unobserved:
    """Whether all of them hold; of none at all that is so."""
    doubt: Unobserved | None = None
    for answer in answers:
        if answer is False:
            return False
        if isinstance(answer, Unobserved):
            doubt = doubt or answer
    return doubt if doubt is not None else True
