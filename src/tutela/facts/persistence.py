"""Signs that somebody made a place to stay: libraries forced into every program.

Source: ld.so(8), /etc/ld.so.preload. What else could be compared (units, timers, cron tables, authorised keys) needs an earlier look.
"""

from __future__ import annotations

from tutela.evidence import Reason, Unobserved
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record

PRELOAD = "/etc/ld.so.preload"
NEEDS = (PRELOAD,)


@record
class Persistence:
    """Persistence(preloaded=(), changed=Unobserved(…))"""

    preloaded: tuple[str, ...] | Unobserved
    """Libraries that the dynamic linker loads into every program."""
    changed: tuple[str, ...] | Unobserved
    """Places to start programs from that changed since the last snapshot without a ticket."""


def parse(look: Look) -> Persistence | Unobserved:
    """The fact."""
    text = look.text_or_none(PRELOAD)
    if isinstance(text, Unobserved):
        return text
    words = [word for line in (text or "").split("\n")[:1000] for word in line.split("#", 1)[0].replace(":", " ").split()]
    first = Unobserved(Reason.NO_DATA, "snapshot", Text("没有上一次快照可比", "no earlier snapshot to compare with"))
    return Persistence(tuple(words), first)
