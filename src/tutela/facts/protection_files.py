"""Databases and programs of protection software as they lie on the disk. Source: stat(1)."""

from __future__ import annotations

from tutela.evidence import Unobserved
from tutela.facts.look import Look
from tutela.facts.schedules import Left, stat_rows

STAT = "stat -L -c '%a %u %g %s %Y %F %n' (databases and programs of protection)"
NEEDS = (STAT,)


def files(look: Look) -> dict[str, Left] | Unobserved:
    """By path; a path that is missing was not there, or lay in a directory that a plain user may not enter (see `Look.as_root`)."""
    text = look.text(STAT)
    return text if isinstance(text, Unobserved) else stat_rows(text)
