"""What the host is called, and whether that follows the site's convention.

Source: hostname(5), hostname(1). Whether DNS agrees is seen from elsewhere.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from tutela.evidence import Reason, Unobserved
from tutela.facts import os_release
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record

STATIC = "/etc/hostname"
RUNNING = "hostname"
NEEDS = (STATIC, RUNNING, *os_release.NEEDS)

DEFAULTS = frozenset(
    [
        "localhost",
        "localhost6",
        "ubuntu",
        "debian",
        "host",
        "hostname",
        "server",
        "linux",
        "vm",
        "template",
        "raspberrypi",
        "centos",
        "fedora",
        "rocky",
        "almalinux",
        "openeuler",
        "archlinux",
        "opensuse",
        "kali",
        "unassigned",
        "changeme",
        "example",
    ]
)
_CLOUD = re.compile(
    r"(iz[a-z0-9]{18,}|vm-\d+-\d+-[a-z]+|ecs-[0-9a-f]{4,}|ip-\d+-\d+-\d+-\d+|instance-[a-z0-9-]+|debian-\d+|ubuntu-\d+|lavm-[a-z0-9]+|i-[a-z0-9]{8,})"
)
"""Names that clouds and installers give."""


@record
class Hostname:
    """Hostname(static='web-01.example', running='web-01.example', same=True, is_default=False, follows_pattern=True, equals_inventory=None)"""

    static: str
    """The name in /etc/hostname, kept over a restart."""
    running: str | Unobserved
    same: bool | Unobserved
    """The running name is the static one; short and full form count as the same."""
    is_default: bool
    """A name that an installer or a cloud gave, which says nothing."""
    follows_pattern: bool | None
    """None: the site declares no pattern."""
    equals_inventory: bool | None
    """None: the site declares no inventory name."""


def parse(look: Look) -> Hostname | Unobserved:
    """The fact; the static name is what counts."""
    text = look.text(STATIC)
    if isinstance(text, Unobserved):
        return text
    static = next((line.strip() for line in text.split("\n") if line.strip() and not line.lstrip().startswith("#")), "")
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,253}", static):
        return Unobserved(Reason.FORMAT, STATIC, Text("不是主机名", "not a host name"))
    running = look.text(RUNNING)
    short = _short(static)
    pattern, inventory = look.site.hostname_pattern, look.site.inventory_name
    system = look.fact(os_release.parse)
    return Hostname(
        static=static,
        running=running.strip() if isinstance(running, str) else running,
        same=_short(running.strip()) == short if isinstance(running, str) else running,
        is_default=short in DEFAULTS or _CLOUD.fullmatch(short) is not None or (isinstance(system, os_release.OsRelease) and short == system.id),
        follows_pattern=None if pattern is None else any(fnmatchcase(name, pattern.lower()) for name in (short, static.lower())),
        equals_inventory=None if inventory is None else _agree(static.lower(), inventory.lower()),
    )


def _short(name: str) -> str:
    return name.partition(".")[0].lower()


def _agree(static: str, inventory: str) -> bool:
    """Two full names must be the same; a short one agrees with the first label of a full one."""
    return static == inventory or (("." not in static or "." not in inventory) and _short(static) == _short(inventory))
