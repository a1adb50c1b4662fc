"""Where Debian packages come from: the mirror that the machine's own apt uses, read at run time."""

from __future__ import annotations

import os
from dataclasses import dataclass

from tests.lab.command import run
from tests.lab.errors import LabError

__all__ = ["Mirror", "find_mirror"]


@dataclass(frozen=True, slots=True)
class Mirror:
    """The two archives of Debian, and the settings apt needs to reach them."""

    main: str
    """Base address of the archive proper."""
    security: str
    """Base address of the security archive."""
    options: tuple[str, ...]
    """`Key=value` words for `apt-get -o`: proxies and the like, copied from the machine."""

    def sources(self, suite: str) -> list[str]:
        """The sources.list lines of `suite`."""
        return [
            f"deb {self.main} {suite} main",
            f"deb {self.main} {suite}-updates main",
            f"deb {self.security} {suite}-security main",
        ]


def find_mirror() -> Mirror:
    """Ask apt for its targets. Raises LabError when none of them is a Debian security archive.

    TUTELA_LAB_MIRROR and TUTELA_LAB_SECURITY_MIRROR win, for machines that are not Debian.
    """
    main = os.environ.get("TUTELA_LAB_MIRROR")
    security = os.environ.get("TUTELA_LAB_SECURITY_MIRROR")
    targets = _targets()
    if not targets and (main is None or security is None):
        # apt names only those archives whose lists it has.
        run(["apt-get", "update", "-q"], timeout_s=300)
        targets = _targets()
    for site, codename in targets:
        if codename.endswith("-security"):
            security = security or site
        elif codename.endswith("-updates"):
            main = main or site
    if main is None or security is None:
        raise LabError("apt knows no Debian archive with updates and security: set TUTELA_LAB_MIRROR and TUTELA_LAB_SECURITY_MIRROR")
    return Mirror(main, security, tuple(_transport_options()))


def _targets() -> list[tuple[str, str]]:
    """Site and code name of everything that apt knows of."""
    listed = run(["apt-get", "indextargets", "--format", "$(SITE) $(CODENAME)"]).stdout
    return [(site, codename) for site, _, codename in (line.partition(" ") for line in listed.splitlines())]


def _transport_options() -> list[str]:
    """`Acquire::http::Proxy "x";` becomes `Acquire::http::Proxy=x`."""
    found = []
    for line in run(["apt-config", "dump"]).stdout.splitlines():
        key, _, rest = line.partition(" ")
        value = rest.strip().rstrip(";").strip('"')
        is_wanted = "proxy" in key.lower() or key == "Acquire::Check-Valid-Until"
        if is_wanted and value:
            found.append(f"{key}={value}")
    return found
