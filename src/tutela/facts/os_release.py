"""Which operating system this is.

Source: os-release(5); openEuler puts its service pack only in VERSION and PRETTY_NAME.
"""

from __future__ import annotations

import re
from datetime import date

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record

NEEDS = ("/etc/os-release", "/usr/lib/os-release")


@record
class OsRelease:
    """OsRelease(id='debian', like=(), version='12', name='Debian GNU/Linux 12 (bookworm)', codename='bookworm', support_end=None)"""

    id: str
    like: tuple[str, ...]
    version: str
    """As in the end-of-life table: `12`, `9.4`, `24.03-LTS-SP3`; empty on rolling systems."""
    name: str
    codename: str
    support_end: date | None
    """The last day of support, where the vendor ships it in SUPPORT_END."""


def parse(look: Look) -> OsRelease | Unobserved:
    """The fact, from /etc/os-release or its vendor copy."""
    name = NEEDS[0] if look.source(NEEDS[0]).status is not Status.ABSENT else NEEDS[1]
    lines = look.lines(name)
    if isinstance(lines, Unobserved):
        return lines
    fields = dict(_assignments(lines))
    if not fields.get("ID"):
        return Unobserved(Reason.FORMAT, name, Text("没有 ID 字段", "it has no ID field"))
    version = fields.get("VERSION_ID", "")
    if fields["ID"].lower() == "openeuler":
        version = _openeuler(version, fields.get("VERSION", "") or fields.get("PRETTY_NAME", ""))
    return OsRelease(
        id=fields["ID"].lower(),
        like=tuple(fields.get("ID_LIKE", "").lower().split()),
        version=version,
        name=fields.get("PRETTY_NAME", "") or f"{fields['ID']} {version}".strip(),
        codename=fields.get("VERSION_CODENAME", ""),
        support_end=_day(fields.get("SUPPORT_END", "")),
    )


def _day(words: str) -> date | None:
    try:
        return date.fromisoformat(words) if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", words) else None
    except ValueError:
        return None


def _assignments(lines: list[str]) -> list[tuple[str, str]]:
    """Shell-compatible assignments; quotes and backslashes as os-release(5) allows, nothing expanded."""
    pairs = []
    for line in lines:
        key, equals, value = line.strip().partition("=")
        if equals and re.fullmatch(r"[A-Z][A-Z0-9_]*", key):
            if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
                value = value[1:-1]
            pairs.append((key, re.sub(r"\\([\"'$`\\])", r"\1", value)))
    return pairs


def _openeuler(version: str, words: str) -> str:
    """`24.03` and `24.03 (LTS-SP3)` or `24.03 (LTS SP3)` -> `24.03-LTS-SP3`."""
    found = re.search(r"\bLTS(?:[- ]SP(\d+))?", words)
    if found is None:
        return version
    return f"{version}-LTS-SP{found[1]}" if found[1] else f"{version}-LTS"
