"""Mandatory access control: SELinux or AppArmor, as the kernel has it and as the next boot will.

Sources: /sys/fs/selinux/enforce, /etc/selinux/config (selinux(8)); /sys/module/apparmor, /sys/kernel/security/apparmor/profiles (what aa-status(8) reads).
"""

from __future__ import annotations

import re

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts import exposure, guards
from tutela.facts.look import Look
from tutela.facts.unseen import unseen
from tutela.language import Text
from tutela.record import record

ENFORCE = "/sys/fs/selinux/enforce"
CONFIG = "/etc/selinux/config"
ENABLED = "/sys/module/apparmor/parameters/enabled"
PROFILES = "/sys/kernel/security/apparmor/profiles"
NEEDS = (ENFORCE, CONFIG, ENABLED, PROFILES, "/sys/kernel/security/lsm", "/proc/cmdline", *guards.NEEDS, *exposure.NEEDS)


@record
class Confinement:
    """Confinement(system='apparmor', enforcing=True, after_boot=True, complaining=(), profiles=34)"""

    system: str | Unobserved
    """selinux | apparmor | none"""
    enforcing: bool | Unobserved
    """SELinux: enforcing now; AppArmor: at least one profile is enforced."""
    after_boot: bool | Unobserved
    """Neither the configuration nor the kernel's command line turns it off, and the unit that loads AppArmor's profiles is not disabled."""
    profiles: int | Unobserved | None
    """Enforced profiles of AppArmor."""
    complaining: tuple[str, ...] | Unobserved
    """Daemons that others reach and whose profile only complains."""


def parse(look: Look) -> Confinement | Unobserved:
    """The fact."""
    enforce, enabled = look.text_or_none(ENFORCE), look.text_or_none(ENABLED)
    if isinstance(enforce, Unobserved):
        return enforce
    if isinstance(enabled, Unobserved):
        return enabled
    command_line = look.text("/proc/cmdline")
    doubt = unseen(look, "/proc/cmdline")
    words = [] if isinstance(command_line, Unobserved) else command_line.split()
    if enforce is not None:
        return Confinement("selinux", enforce.strip() == "1", _selinux_after_boot(look, words, doubt), None, ())
    if enabled is not None and enabled.strip() == "Y":
        return _apparmor(look, "apparmor=0" not in words and (_loads_profiles(look) if doubt is None else doubt))
    return Confinement("none", enforcing=False, after_boot=False, profiles=None, complaining=())


def _selinux_after_boot(look: Look, words: list[str], doubt: Unobserved | None) -> bool | Unobserved:
    """As libselinux reads it: the first line with a mode counts, only with SELINUX= at its very beginning; `enforcing=` given to the kernel wins."""
    asked = next((word.partition("=")[2] for word in words if word.startswith("enforcing=")), None)
    if "selinux=0" in words or asked == "0":
        return False
    text = look.text_or_none(CONFIG)
    if isinstance(text, Unobserved):
        return text
    found = re.search(r"(?m)^SELINUX=[ \t]*(?i:(enforcing|permissive|disabled))", text or "")
    mode = found[1].lower() if found else "permissive"
    if mode == "disabled":
        return False
    return doubt or asked == "1" or mode == "enforcing"


def _loads_profiles(look: Look) -> bool | Unobserved:
    """Whether the next start loads the profiles of /etc/apparmor.d; those of Docker and snaps come by themselves."""
    known = look.fact(guards.parse)
    units = known if isinstance(known, Unobserved) else known.units
    if isinstance(units, Unobserved):
        return units
    unit = units.get("apparmor.service")
    return unit is None or unit.enabled not in ("disabled", "masked")


def _apparmor(look: Look, after_boot: bool | Unobserved) -> Confinement:
    if look.source(PROFILES).status is Status.ABSENT:
        doubt = Unobserved(Reason.NO_ANSWER, PROFILES, Text("securityfs 没有挂载", "securityfs is not mounted"))
        return Confinement("apparmor", doubt, after_boot, doubt, doubt)
    text = look.text(PROFILES)
    if isinstance(text, Unobserved):
        return Confinement("apparmor", text, after_boot, text, text)
    modes: dict[str, str] = {}
    for line in text.split("\n")[:5000]:
        found = re.fullmatch(r"(.{1,4096}) \((enforce|complain|kill|unconfined|prompt|mixed)\)", line)
        if found is not None:
            modes[found[1]] = found[2]
    enforced = sum(1 for mode in modes.values() if mode in ("enforce", "kill"))
    # The name of a process is that of its program, cut after 15 characters by the kernel.
    complaining = {name.rpartition("/")[2][:15] for name, mode in modes.items() if mode == "complain" and "//" not in name}
    seen = look.fact(exposure.parse)
    exposed: tuple[str, ...] | Unobserved = ()
    if complaining:
        if isinstance(seen, Unobserved):
            exposed = seen
        else:
            exposed = tuple(sorted({str(port.process) for port in seen.ports if not port.local and port.process in complaining}))
    return Confinement("apparmor", enforced > 0, after_boot, enforced, exposed)
