"""Kernel modules that few hosts need and that have had many holes: whether they can be loaded.

Sources: modprobe.d(5) (a file of /etc hides one of the same name in /run and /usr/lib), /proc/modules.
`install X /bin/false`, `blacklist X` and an alias of its protocol to `off` all stop a module from being loaded by a request of the network.
"""

from __future__ import annotations

import re

from tutela.evidence import Status, Unobserved
from tutela.facts.listing import entries
from tutela.facts.look import Look
from tutela.facts.sysctl import value_of
from tutela.record import record

DIRECTORIES = ("/etc/modprobe.d", "/run/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d")
LOADED = "/proc/modules"
NEEDS = (*(directory + "/" for directory in DIRECTORIES), LOADED, "/proc/sys/kernel/modules_disabled")
RISKY = {"dccp": ("net-pf-2-proto-33",), "sctp": ("net-pf-2-proto-132",), "rds": ("net-pf-21",), "tipc": ("net-pf-30",), "usb_storage": ()}
"""Module -> aliases by which the network asks for it."""


@record
class Module:
    """Module(name='sctp', blocked=False, loaded=False)"""

    name: str
    blocked: bool
    loaded: bool


@record
class Modules:
    """Modules(loadable=True, risky=(Module(…), …))"""

    loadable: bool
    """Whether this kernel takes modules at all."""
    risky: tuple[Module, ...]


def parse(look: Look) -> Modules | Unobserved:
    """The fact."""
    loaded = look.text_or_none(LOADED)
    if isinstance(loaded, Unobserved):
        return loaded
    if loaded is None or value_of(look, "kernel.modules_disabled") == 1:
        return Modules(loadable=False, risky=())
    names = {line.split(" ", 1)[0] for line in loaded.split("\n") if line}
    by_name: dict[str, str] = {}
    for directory in DIRECTORIES:
        listed = entries(look, directory)
        if isinstance(listed, Unobserved):
            if directory == "/lib/modprobe.d":
                continue
            return listed
        for name in listed:
            if name.endswith(".conf"):
                by_name.setdefault(name, f"{directory}/{name}")
    blocked: set[str] = set()
    for path in by_name.values():
        if look.source(path).status is Status.ABSENT:
            continue
        lines = look.lines(path)
        if isinstance(lines, Unobserved):
            return lines
        for line in lines[:5000]:
            found = re.match(r"\s*(?:blacklist\s+(\S+)\s*$|install\s+(\S+)\s+\S*/(?:true|false)\b|alias\s+(\S+)\s+off\s*$)", line)
            if found is not None:
                blocked.add((found[1] or found[2] or found[3]).replace("-", "_"))
    return Modules(
        loadable=True,
        risky=tuple(
            Module(name, name in blocked or any(alias.replace("-", "_") in blocked for alias in aliases), name in names) for name, aliases in RISKY.items()
        ),
    )
