"""The settings of APT, and what the package archives it knows call themselves.

Source: apt.conf(5): /etc/apt/apt.conf.d in order, then /etc/apt/apt.conf; Release files as in /var/lib/apt/lists.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record

DIRECTORY = "/etc/apt/apt.conf.d/"
MAIN = "/etc/apt/apt.conf"
RELEASES = "Release (fields, /var/lib/apt/lists)"
NEEDS = (DIRECTORY, MAIN, RELEASES)
MAX_TOKENS = 50_000


@record
class Release:
    """Release(archive='deb.debian.org_debian-security_dists_bookworm-security', origin='Debian', label='Debian-Security', suite='oldstable-security', …)"""

    archive: str
    """The address it came from, as apt names the files of its lists."""
    origin: str
    label: str
    suite: str
    version: str
    codename: str
    dated: datetime | None
    """When the archive was published in this state."""
    valid_until: datetime | None
    """From when on this state no longer counts, where the archive says so."""

    @property
    def security(self) -> bool:
        """An archive of security fixes, as Debian and Ubuntu name theirs."""
        return self.label == "Debian-Security" or self.suite.endswith("-security")


@record
class AptSettings:
    """AptSettings(values={'apt::periodic::unattended-upgrade': ('1',)}, releases=(Release(…),))"""

    values: dict[str, tuple[str, ...]] | Unobserved
    """By lower-case name; a list has several values."""
    releases: tuple[Release, ...] | Unobserved

    def last(self, name: str, default: str = "") -> str | Unobserved:
        """The value of a setting that has one."""
        if isinstance(self.values, Unobserved):
            return self.values
        return (self.values.get(name) or (default,))[-1]

    def on(self, name: str, *, default: bool = False) -> bool | Unobserved:
        """Whether a switch is on, or a period (days, or with a unit) is not zero."""
        value = self.last(name)
        if isinstance(value, Unobserved):
            return value
        if not value:
            return default
        return value.lower() in ("always", "true", "yes", "on", "enable", "with") or re.fullmatch(r"0*[1-9][0-9]{0,8}[smhd]?", value) is not None


def parse(look: Look) -> AptSettings | Unobserved:
    """The fact; Unobserved where there is no APT."""
    if look.source(DIRECTORY).status is Status.ABSENT and look.source(MAIN).status is Status.ABSENT:
        gone = look.text(DIRECTORY)
        assert isinstance(gone, Unobserved)
        return gone
    return AptSettings(_values(look), _releases(look))


def _values(look: Look) -> dict[str, tuple[str, ...]] | Unobserved:
    names = look.text_or_none(DIRECTORY)
    if isinstance(names, Unobserved):
        return names
    # APT reads names of these characters that have no ending or `.conf`.
    files = sorted(name for name in (names or "").split("\n") if re.fullmatch(r"[A-Za-z0-9_-]+|[A-Za-z0-9_.-]+\.conf", name))
    found: dict[str, list[str]] = {}
    for path in [*(DIRECTORY + name for name in files), MAIN]:
        text = look.text_or_none(path)
        if isinstance(text, Unobserved):
            return text
        if text is not None and not _read(text, found):
            return Unobserved(Reason.FORMAT, path, Text("无法理解其中的写法", "something in it is not understood"))
    return {name: tuple(values) for name, values in found.items()}


_TOKEN = re.compile(r'\s+|//[^\n]*|#(?!clear\b|include\b)[^\n]*|/\*.*?\*/|(?P<mark>[{};])|"(?P<quoted>[^"\n]*)"|(?P<word>(?:[^\s{};"/]|/(?![/*]))+)', re.DOTALL)


def _tokens(text: str) -> Iterator[tuple[str, str] | None]:
    at = 0
    for _ in range(MAX_TOKENS):
        if at >= len(text):
            return
        found = _TOKEN.match(text, at)
        if found is None:
            yield None
            return
        at = found.end()
        if found.lastgroup is not None:
            yield found.lastgroup, found[found.lastgroup]
    yield None


def _read(text: str, found: dict[str, list[str]]) -> bool:
    """Settings of one file on top of those before; False when it is not understood."""
    scopes: list[str] = []
    words: list[tuple[str, str]] = []
    for token in _tokens(text):
        if token is None:
            return False
        kind, word = token
        if kind != "mark":
            words.append(token)
        elif word == "{":
            if len(words) != 1 or len(scopes) > 20:
                return False
            scopes.append(words[0][1].lower())
            words = []
        else:
            if words and not _statement("::".join(scopes), words, found):
                return False
            words = []
            if word == "}":
                if not scopes:
                    return False
                scopes.pop()
    return not scopes and not words


def _statement(scope: str, words: list[tuple[str, str]], found: dict[str, list[str]]) -> bool:
    values = [word for _, word in words]
    if values[0] == "#clear":
        for value in values[1:]:
            name = _name(scope, value)
            for key in [key for key in found if key == name or key.startswith(name + "::")]:
                del found[key]
        return True
    if values[0] == "#include" or len(words) > 2:
        return False
    if len(words) == 1:
        # A value without a name is an item of the list that the scope is; a name alone sets nothing.
        if words[0][0] == "quoted" and scope:
            found.setdefault(scope, []).append(values[0])
        return True
    name = _name(scope, values[0])
    if name.endswith("::"):
        found.setdefault(name[:-2], []).append(values[1])
    else:
        found[name] = [values[1]]
    return True


def _name(scope: str, word: str) -> str:
    return f"{scope}::{word.lower()}" if scope else word.lower()


def _releases(look: Look) -> tuple[Release, ...] | Unobserved:
    lines = look.lines(RELEASES)
    if isinstance(lines, Unobserved):
        return lines
    files: list[dict[str, str]] = []
    for line in lines:
        key, colon, value = line.partition(": ")
        if key == "File":
            files.append({"File": value.rpartition("/")[2].removesuffix("Release").removesuffix("In").rstrip("_")})
        elif colon and files:
            files[-1].setdefault(key, value.strip())
    return tuple(_release(one) for one in files if len(one) > 1)


def _release(one: dict[str, str]) -> Release:
    def field(name: str) -> str:
        return one.get(name, "")

    names = (field("File"), field("Origin"), field("Label"), field("Suite"), field("Version"), field("Codename"))
    return Release(*names, dated=release_date(field("Date")), valid_until=release_date(field("Valid-Until")))


def release_date(words: str) -> datetime | None:
    """`Sat, 11 Jul 2026 10:16:37 UTC`; always UTC. None for any other form."""
    found = re.fullmatch(r"[A-Z][a-z]{2}, ([0-9]{1,2}) ([A-Z][a-z]{2}) ([0-9]{4}) ([0-9]{1,2}):([0-9]{2}):([0-9]{2}) (?:UTC|GMT|[+]0000)", words)
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    if found is None or found[2] not in months:
        return None
    try:
        return datetime(int(found[3]), months.index(found[2]) + 1, int(found[1]), int(found[4]), int(found[5]), int(found[6]), tzinfo=UTC)
    except ValueError:
        return None
