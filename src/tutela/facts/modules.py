"""Kernel modules that few hosts need and that have had many holes: whether they can be loaded.

Sources: modprobe.d(5) (a file of /etc hides one of the same name in /run and /usr/lib), /proc/modules.
`install X /bin/false`, `blacklist X` and an alias of its protocol to `off` all stop a module from being loaded by a request of the network;
but a module that another one needs is loaded in spite of `blacklist`, and for sctp and dccp the kernel asks by names with the type of the socket first.
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
PRESENT = "/lib/modules/*/ (risky modules)"
"""Files of those modules below the directory of the running kernel; RHEL has most of them in a package that few install."""
NEEDS = (*(directory + "/" for directory in DIRECTORIES), LOADED, PRESENT, "/proc/sys/kernel/modules_disabled")
RISKY = {"dccp": "", "sctp": "", "rds": "net_pf_21", "tipc": "net_pf_30", "usb_storage": ""}
"""Module -> the alias by which alone the network asks for it."""
ASKED_FOR = {"dccp": ("dccp_ipv4", "dccp_ipv6")}
"""What the network asks for in place of a module that those need."""


@record
class Module:
    """Module(name='sctp', blocked=False, loaded=False)"""

    name: str
    blocked: bool | Unobserved
    """Also where this kernel has no such module."""
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
    installed: set[str] = set()
    ignored: set[str] = set()
    """By their aliases, which is how the network asks."""
    for path in by_name.values():
        if look.source(path).status is Status.ABSENT:
            continue
        lines = look.lines(path)
        if isinstance(lines, Unobserved):
            return lines
        for line in lines[:5000]:
            words = line.replace("-", "_").split()
            if words[:1] == ["blacklist"] and len(words) > 1:
                ignored.add(words[1])
            elif words[:1] == ["install"] and len(words) > 2 and re.fullmatch(r"(?:\S*/)?(?:true|false)|:", words[2]):
                installed.add(words[1])
            elif words[:1] == ["alias"] and words[2:3] == ["off"]:
                ignored.add(words[1])

    def blocked(name: str) -> bool | Unobserved:
        if name in installed or RISKY[name] in ignored or all(one in ignored | installed for one in ASKED_FOR.get(name, (name,))):
            return True
        return present if isinstance(present, Unobserved) else present is not None and name not in present

    present = _present(look)
    return Modules(loadable=True, risky=tuple(Module(name, blocked(name), name in names) for name in RISKY))


def _present(look: Look) -> frozenset[str] | Unobserved | None:
    """Those of the modules that this kernel has; None where its directory is not there."""
    text = look.text_or_none(PRESENT)
    if text is None or isinstance(text, Unobserved):
        return text
    return frozenset(line.partition(".")[0].replace("-", "_") for line in text.split("\n"))
