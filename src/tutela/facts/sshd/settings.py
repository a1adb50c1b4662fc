"""What effective settings of sshd say about ways to log in: sshd_config(5)."""

from __future__ import annotations

import re
from collections.abc import Mapping


def normal(value: str) -> str:
    """`without-password` is the old name of `prohibit-password`."""
    low = value.strip().lower()
    return "prohibit-password" if low == "without-password" else low


def ways(settings: Mapping[str, str]) -> list[tuple[str, ...]]:
    """The sequences of methods of which one must be passed."""
    value = settings.get("authenticationmethods", "any").strip()
    if value.lower() == "any" or not value:
        return [("publickey",), ("password",), ("keyboard-interactive",)]
    return [tuple(way.split(",")) for way in value.split()]


def plain(method: str) -> str:
    """`keyboard-interactive:pam` -> `keyboard-interactive`."""
    return method.partition(":")[0].lower()


def password_methods(settings: Mapping[str, str], *, root: bool, root_login: str) -> set[str]:
    """Methods that ask for a password and are switched on."""
    if root and root_login != "yes":
        return set()
    found = set()
    if settings.get("passwordauthentication") == "yes":
        found.add("password")
    if settings.get("kbdinteractiveauthentication") == "yes" and settings.get("usepam") == "yes":
        found.add("keyboard-interactive")
    return found


def key_only(settings: Mapping[str, str], *, root: bool, root_login: str) -> bool:
    """Whether the only way in is a public key, perhaps with more beside it."""
    enabled = password_methods(settings, root=root, root_login=root_login)
    if settings.get("gssapiauthentication") == "yes" or settings.get("hostbasedauthentication") == "yes":
        return False
    return not any("publickey" not in {plain(method) for method in way} and all(plain(method) in enabled for method in way) for way in ways(settings))


_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def seconds(words: str) -> int:
    """sshd_config(5) TIME FORMATS: `2m`, `1h30m`, `120`."""
    parts = re.findall(r"([0-9]{1,9})([smhdw]?)", words.strip().lower())
    return sum(int(number) * _UNITS[unit] for number, unit in parts)


def number(words: str) -> int:
    """A count; 0 for what is none."""
    return int(words) if re.fullmatch(r"[0-9]{1,9}", words.strip()) else 0
