"""Whether the kernel's audit records what matters: identity files, sudo, kernel modules, the clock.

Source: auditctl(8): `auditctl -s` for the state, `auditctl -l` for the rules that the kernel really has. A rule with `arch=b32` hears of
32-bit programs alone, which on a 64-bit system are none of its own.
"""

from __future__ import annotations

import re
from itertools import pairwise

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts import units
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record

STATE = "auditctl -s"
RULES = "auditctl -l"
UNAME = "uname -srm"
NEEDS = (STATE, RULES, UNAME, "systemd-detect-virt", *units.NEEDS)

CONTAINERS = ("lxc", "lxc-libvirt", "systemd-nspawn", "docker", "podman", "rkt", "wsl", "proot", "pouch", "openvz", "container-other")
OTHER_TOOLS = ("auditbeat", "falco", "falco-modern-bpf", "falco-bpf", "falco-kmod", "osqueryd", "tetragon", "go-audit", "laurel", "sysmon")
"""Programs that record the same by other means; what they record is not read here."""
IDENTITY = ("/etc/passwd", "/etc/shadow", "/etc/group")


@record
class Audit:
    """Audit(installed=True, enabled=1, lost=0, rules=31, uncovered=(), container=False, other_tools=())"""

    installed: bool
    enabled: int | Unobserved
    """0 off, 1 on, 2 on and locked."""
    lost: int | Unobserved
    """Records the kernel had to drop since boot."""
    rules: int | Unobserved
    uncovered: tuple[str, ...] | Unobserved
    """identity | sudo | modules | time: what no rule covers."""
    container: bool | Unobserved
    other_tools: tuple[str, ...] | Unobserved
    """Running units that record the same by other means."""


def parse(look: Look) -> Audit | Unobserved:
    """The fact; a missing auditctl is an answer."""
    status = look.source(STATE).status
    if status is Status.MISSING:
        gone = look.text(STATE)
        assert isinstance(gone, Unobserved)
        return gone
    running = look.fact(units.up)
    other = running if isinstance(running, Unobserved) else running.running(*OTHER_TOOLS)
    virtual = look.text("systemd-detect-virt")
    container: bool | Unobserved = virtual if isinstance(virtual, Unobserved) else any(line in CONTAINERS for line in virtual.split("\n"))
    if status is Status.ABSENT:
        return Audit(False, 0, 0, 0, ("identity", "sudo", "modules", "time"), container, other)
    state, listed = look.text(STATE), look.text(RULES)
    rules = listed if isinstance(listed, Unobserved) else [line for line in listed.split("\n") if line.startswith("-")]
    return Audit(
        installed=True,
        enabled=_number(state, "enabled"),
        lost=_number(state, "lost"),
        rules=rules if isinstance(rules, Unobserved) else len(rules),
        uncovered=rules if isinstance(rules, Unobserved) else _uncovered_here(rules, look.text(UNAME)),
        container=container,
        other_tools=other,
    )


_OF_32_BITS = re.compile(r" (?:i[3-6]86|armv[5-8][a-z]*|ppc|mips|mipsel|s390|riscv32)$")


def _number(state: str | Unobserved, key: str) -> int | Unobserved:
    if isinstance(state, Unobserved):
        return state
    # Old versions print everything in one line: `AUDIT_STATUS: enabled=1 flag=1 …`.
    found = re.search(rf"(?:^|\s){key}[ =](\d{{1,10}})(?=\s|$)", state)
    return int(found[1]) if found else Unobserved(Reason.FORMAT, STATE, Text(f"没有 {key}", f"no {key}"))


def _uncovered_here(rules: list[str], machine: str | Unobserved) -> tuple[str, ...] | Unobserved:
    at_32, at_64 = _uncovered(rules), _uncovered([rule for rule in rules if "arch=b32" not in rule.split()])
    if isinstance(machine, Unobserved) and at_32 != at_64:
        return machine
    return at_32 if isinstance(machine, str) and _OF_32_BITS.search(machine) else at_64


def _uncovered(rules: list[str]) -> tuple[str, ...]:
    # Without a filter `never,task` (RHEL's 10-no-audit.rules) makes no audit context for any process, so no other rule ever matches.
    if any(re.fullmatch(r"-a (never,task|task,never)", rule.strip()) for rule in rules):
        return ("identity", "sudo", "modules", "time")
    # A rule about a file counts when it reports who writes to it, one about a program when it reports who runs it.
    written: set[str] = set()
    executed: set[str] = set()
    calls: set[str] = set()
    for rule in rules:
        words = rule.split()
        if "never" in " ".join(words[1:3]):
            continue
        watched: set[str] = set()
        access = "rwxa"
        for flag, value in pairwise(words):
            if flag == "-w" or (flag == "-F" and value.startswith(("path=", "dir=", "exe="))):
                watched.add(value.partition("=")[2].rstrip("/") if flag == "-F" else value.rstrip("/"))
            elif flag == "-S":
                calls |= set(value.split(","))
            elif flag == "-p" or (flag == "-F" and value.startswith("perm=")):
                access = value.removeprefix("perm=")
        written |= watched if "w" in access else set()
        executed |= watched if "x" in access else set()
    whole_etc = "/etc" in written
    missing = []
    if not whole_etc and not all(name in written for name in IDENTITY):
        missing.append("identity")
    if not whole_etc and not (written & {"/etc/sudoers", "/var/log/sudo.log"} or executed & {"/usr/bin/sudo", "/bin/sudo"}):
        missing.append("sudo")
    modules = calls & {"init_module", "finit_module"} and calls & {"delete_module"}
    if not modules and not executed & {"/sbin/insmod", "/sbin/modprobe", "/usr/sbin/modprobe", "/usr/sbin/insmod", "/usr/bin/kmod", "/bin/kmod"}:
        missing.append("modules")
    if not (calls & {"settimeofday", "clock_settime", "adjtimex"}):
        missing.append("time")
    return tuple(missing)
