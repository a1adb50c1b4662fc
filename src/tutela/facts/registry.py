"""The facts by the name that checks use.

A table, not discovery: one look shows every fact there is. Modules are imported when first asked for, so `tutela --help` pays nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from tutela.facts.look import Look

MODULES: dict[str, str] = {
    "accounts": "tutela.facts.accounts",
    "exposure": "tutela.facts.exposure",
    "firewall": "tutela.facts.firewall",
    "interfaces": "tutela.facts.interfaces",
    "lockout": "tutela.facts.lockout",
    "machine": "tutela.facts.machine",
    "os": "tutela.facts.os_release",
    "pam": "tutela.facts.pam",
    "password_policy": "tutela.facts.password_policy",
    "platform": "tutela.facts.platform",
    "schedules": "tutela.facts.schedules",
    "sockets": "tutela.facts.sockets",
    "sudo": "tutela.facts.sudo",
    "support": "tutela.facts.support",
    "sysctl": "tutela.facts.sysctl",
    "units": "tutela.facts.units",
    "weak_passwords": "tutela.facts.weak_passwords",
}


@cache
def parser(fact: str) -> Callable[[Look], Any]:
    """The `parse` function of a fact. Raises KeyError for an unknown name."""
    found: Callable[[Look], Any] = import_module(MODULES[fact]).parse
    return found
