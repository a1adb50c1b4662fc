"""The clock of this side."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """This moment; everything below the commands takes the time as an argument."""
    return datetime.now(UTC)
