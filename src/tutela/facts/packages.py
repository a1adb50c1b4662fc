"""Installed packages.

Source: dpkg-query(1), rpm(8).
"""

from __future__ import annotations

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record

DPKG = r"dpkg-query -W -f ${db:Status-Abbrev}\t${Package}\t${Version}\t${Architecture}\n"
RPM = r"rpm -qa --qf %{NAME}\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\t%{ARCH}\n"
NEEDS = (DPKG, RPM)
MAX_PACKAGES = 50_000


@record
class Package:
    """Package(name='openssl', version='3.0.17-1~deb12u2', architecture='amd64', held=False)"""

    name: str
    version: str
    """RPM: `epoch:version-release`."""
    architecture: str
    held: bool
    """Kept at its version on purpose (apt-mark hold)."""


@record
class Packages:
    """Packages(manager='dpkg', installed=(Package(…),))"""

    manager: str
    """dpkg | rpm"""
    installed: tuple[Package, ...]

    def named(self, *names: str) -> tuple[Package, ...]:
        """The installed packages of these names; several where more than one version or architecture is installed."""
        return tuple(one for one in self.installed if one.name in names)


def parse(look: Look) -> Packages | Unobserved:
    """The fact; a host with both tools is judged by dpkg if that knows any package."""
    for name, manager in ((DPKG, "dpkg"), (RPM, "rpm")):
        if look.source(name).status in (Status.ABSENT, Status.MISSING):
            continue
        lines = look.lines(name)
        if isinstance(lines, Unobserved):
            return lines
        installed = tuple(one for line in lines[:MAX_PACKAGES] if (one := _package(line, manager)) is not None)
        if installed:
            return Packages(manager, installed)
        if manager == "rpm" or look.source(RPM).status in (Status.ABSENT, Status.MISSING):
            return Unobserved(Reason.FORMAT, name, Text("没有列出任何已安装的软件包", "it lists no installed package"))
    gone = look.text(DPKG)
    return gone if isinstance(gone, Unobserved) else Unobserved(Reason.NO_ANSWER, DPKG, Text("没有软件包数据库", "no package database"))


def _package(line: str, manager: str) -> Package | None:
    words = line.split("\t")
    if manager == "dpkg":
        # The second letter is the state: only `i` is whole. Packages that were removed and left their settings are not installed.
        if len(words) != 4 or words[0][1:2] not in ("i", "W", "t"):
            return None
        return Package(words[1], words[2], words[3], held=words[0].startswith("h"))
    if len(words) != 3 or words[0] == "gpg-pubkey":
        return None
    return Package(words[0], words[1], words[2], held=False)
