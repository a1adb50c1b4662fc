"""What is reachable from where: sockets and firewall together."""

from __future__ import annotations

from tutela.evidence import Reason, Unobserved
from tutela.facts.look import Look
from tutela.language import Text


def parse(look: Look) -> Unobserved:
    """Not computed yet."""
    return Unobserved(Reason.NO_DATA, "exposure", Text("尚未计算", f"not computed yet ({len(look.bundle.sources)} sources)"))
