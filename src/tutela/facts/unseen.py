"""Why one source was not seen, for facts that stand without it when there is nothing to see."""

from __future__ import annotations

from tutela.evidence import Status, Unobserved
from tutela.facts.look import Look
from tutela.record import record


def unseen(look: Look, name: str) -> Unobserved | None:
    """Denied, cut, failed, timed out, left out or not in the bundle; None where it was seen and where there is none."""
    return look.fact(_Unseen(name))


@record
class _Unseen:
    """A fact of its own, since hosts whose sources say different things share that they were seen."""

    name: str

    def __call__(self, look: Look) -> Unobserved | None:
        if look.source(self.name).status is Status.ABSENT:
            return None
        text = look.text(self.name)
        return text if isinstance(text, Unobserved) else None
