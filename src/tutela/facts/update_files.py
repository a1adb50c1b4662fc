"""When files that tell of updates were written: stamps, kernels, metadata.

Source: stat(1) of the paths that the probe asks for.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from tutela.evidence import Unobserved
from tutela.facts.look import Look
from tutela.record import record

STAT = "stat -L -c '%Y %Z %n' (updates)"
NEEDS = (STAT,)


@record
class Times:
    """Times(modified=…, changed=…)"""

    modified: datetime
    changed: datetime
    """When the file came to this place: the kernel keeps it, packages cannot set it."""


@record
class UpdateFiles:
    """UpdateFiles(by_path={'/var/lib/apt/periodic/update-stamp': Times(…)})"""

    by_path: dict[str, Times]

    def newest(self, *paths: str) -> datetime | None:
        """The last time one of these was written; None when there is none of them."""
        return max((self.by_path[path].modified for path in paths if path in self.by_path), default=None)


def parse(look: Look) -> UpdateFiles | Unobserved:
    """The fact; a path that is not listed does not exist."""
    lines = look.lines(STAT)
    if isinstance(lines, Unobserved):
        return lines
    found = (re.fullmatch(r"([0-9]{1,11}) ([0-9]{1,11}) (/.*)", line) for line in lines)
    return UpdateFiles({one[3]: Times(_moment(one[1]), _moment(one[2])) for one in found if one is not None})


def _moment(seconds: str) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)
