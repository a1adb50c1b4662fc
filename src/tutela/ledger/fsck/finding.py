"""What is found: a file, and what is wrong with it."""

from __future__ import annotations

from enum import Enum

from tutela.errors import LedgerError, said_by_system
from tutela.language import Text
from tutela.ledger.refused import MissingError
from tutela.record import record


class Grade(Enum):
    """What a finding means."""

    DAMAGED = Text("损坏", "damaged")
    UNSEEN = Text("看不到", "unseen")
    """Could not be looked at."""
    REMARK = Text("注意", "remark")
    """Worth knowing; what was signed is there all the same."""


@record
class Finding:
    """A file, and what is wrong with it."""

    place: str
    """Below the log's folder or URL."""
    grade: Grade
    what: Text


def unread(place: str, problem: LedgerError | OSError) -> Finding:
    """Why a file has no content for us."""
    if isinstance(problem, MissingError):
        return Finding(place, Grade.DAMAGED, Text("缺失", "is missing"))
    if isinstance(problem, LedgerError):
        return Finding(place, Grade.DAMAGED, problem.message)
    return Finding(place, Grade.UNSEEN, said_by_system(problem))
