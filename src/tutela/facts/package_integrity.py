"""Programs of the packages one logs in with that are no longer what the package brought.

Source: dpkg(1) --verify, rpm(8) -V, of openssh, sudo, login, PAM and coreutils.
A line is nine marks, an optional kind (`c` configuration, `d` documentation, `a` made by the build) and a path; `5` in the third place is a changed digest.
"""

from __future__ import annotations

import re

from tutela.evidence import Reason, Unobserved
from tutela.facts import packages
from tutela.facts.look import Look
from tutela.facts.packages import Packages
from tutela.facts.unseen import unseen
from tutela.language import Text
from tutela.record import record

VERIFY = "verify (openssh-server, sudo, login, pam, coreutils)"
NEEDS = (VERIFY, *packages.NEEDS)
MAX_LINES = 10_000

_LINE = re.compile(r"([.?A-Za-z0-9]{8,12}|missing) {1,5}(?:([A-Za-z]) )?(/.*)")
_PROGRAM = re.compile(r"(/usr)?(/local)?/(s?bin|lib|lib32|lib64|libx32|libexec)/|\.so(\.[0-9.]+)?$")
_NOT_CODE = re.compile(r"/(share|doc|man|locale|systemd|tmpfiles\.d|sysusers\.d|pam\.d|udev|sysctl\.d)/|\.(conf|service|socket|timer|target|txt|gz|pyc)$")


@record
class PackageIntegrity:
    """PackageIntegrity(changed=('/usr/sbin/sshd',), missing=())"""

    changed: tuple[str | Unobserved, ...]
    """Executables and libraries with another digest."""
    missing: tuple[str, ...]
    """Executables and libraries that are gone."""


def parse(look: Look) -> PackageIntegrity | Unobserved:
    """The fact; needs root."""
    lines = look.lines(VERIFY)
    if isinstance(lines, Unobserved):
        return lines
    prelinked = look.fact(_prelinked)
    if prelinked is True:
        return Unobserved(Reason.FORMAT, VERIFY, Text("prelink 会改写程序，摘要无法比较", "prelink rewrites programs, so digests cannot be compared"))
    changed: list[str | Unobserved] = []
    missing: list[str] = []
    for line in filter(None, lines[:MAX_LINES]):
        found = _LINE.fullmatch(line)
        if found is None:
            if not line.startswith(("Unsatisfied ", "dpkg: warning")):
                changed.append(Unobserved(Reason.FORMAT, VERIFY, Text(f"无法理解的一行：{line[:100]!r}", f"a line that is not understood: {line[:100]!r}")))
        elif (found[2] is not None and found[2] in "acdglPr") or not _PROGRAM.search(found[3]) or _NOT_CODE.search(found[3]):
            continue
        elif found[1] == "missing":
            missing.append(found[3].removesuffix(" (Permission denied)"))
        elif found[1][2] == "5":
            changed.append(prelinked or found[3])
        elif found[1][2] == "?" and "." in found[1]:
            # rpm: the digest could not be read; dpkg writes `?` for everything it does not check.
            changed.append(Unobserved(Reason.PRIVILEGE, found[3], Text("摘要读不出来", "its digest could not be read")))
    return PackageIntegrity(tuple(changed), tuple(missing))


def _prelinked(look: Look) -> bool | Unobserved:
    known = look.fact(packages.parse)
    if isinstance(known, Packages):
        return bool(known.named("prelink"))
    return next((doubt for name in packages.NEEDS if (doubt := unseen(look, name)) is not None), False)
