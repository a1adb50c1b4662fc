"""The row of platform data that fits this host: names of units, PAM files, service accounts. Source: `content/platforms/`."""

from __future__ import annotations

from tutela.evidence import Reason, Unobserved
from tutela.facts import os_release
from tutela.facts.look import Look
from tutela.facts.reference import Platform
from tutela.language import Text

NEEDS = os_release.NEEDS


def parse(look: Look) -> Platform | Unobserved:
    """The platform by ID and version, the minor release left out where the row names only the major one."""
    system = look.fact(os_release.parse)
    if isinstance(system, Unobserved):
        return system
    for row in look.reference.platforms:
        if row.match_id == system.id and (system.version + ".").startswith((row.match_version + ".", row.match_version + "-LTS")):
            return row
    return Unobserved(Reason.FORMAT, f"{system.id} {system.version}".strip(), Text("没有此平台的数据", "no data about this platform"))
