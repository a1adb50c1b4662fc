"""Where packages come from, and whether what comes is checked.

Source: sources.list(5) in both forms (one line, deb822), apt.conf(5), yum.conf(5) and dnf.conf(5).
User names and passwords of mirrors are masked at the source (NC3).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts import apt_settings, os_release
from tutela.facts.apt_settings import AptSettings
from tutela.facts.look import Look
from tutela.facts.os_release import OsRelease
from tutela.language import Text
from tutela.record import record

APT_MAIN = "/etc/apt/sources.list"
APT_DIRECTORY = "/etc/apt/sources.list.d/"
YUM_DIRECTORY = "/etc/yum.repos.d/"
YUM_MAIN = ("/etc/dnf/dnf.conf", "/etc/yum.conf")
NEEDS = (APT_MAIN, APT_DIRECTORY, YUM_DIRECTORY, *YUM_MAIN, *apt_settings.NEEDS, *os_release.NEEDS)
MAX_SOURCES = 1000
YES = ("yes", "true", "1", "on")


@record
class Source:
    """Source(file='/etc/apt/sources.list.d/debian.sources', uri='http://deb.debian.org/debian', host='deb.debian.org', release='bookworm', …)"""

    file: str
    uri: str
    """Empty: a list of mirrors is asked."""
    host: str
    """Empty: a local path."""
    release: str
    """APT: the suite. dnf: the name of the repository."""
    checked: bool
    """Signatures are checked."""
    own_key: bool
    """Bound to a key of its own (signed-by, gpgkey)."""
    foreign: bool | Unobserved
    """An archive of the distribution for another release of it."""
    allowed: bool | None
    """Its host is in the site's list; None: the site has no list."""


@record
class PackageSources:
    """PackageSources(sources=(Source(…),), unauthenticated=())"""

    sources: tuple[Source | Unobserved, ...]
    """Those that are switched on; a hole for a file that was not understood."""
    unauthenticated: tuple[str, ...] | Unobserved
    """Settings of APT that let packages in without a signature."""


def parse(look: Look) -> PackageSources | Unobserved:
    """The fact, for APT, or else for dnf and yum."""
    system = look.fact(os_release.parse)
    if isinstance(system, Unobserved):
        return system
    if _there(look, APT_MAIN) or _there(look, APT_DIRECTORY):
        return PackageSources(tuple(_apt(look, system)), _unauthenticated(look))
    if _there(look, YUM_DIRECTORY):
        return PackageSources(tuple(_yum(look, system)), ())
    gone = look.text(APT_DIRECTORY)
    return gone if isinstance(gone, Unobserved) else Unobserved(Reason.NO_ANSWER, APT_DIRECTORY, Text("没有软件源配置", "no package sources"))


def _there(look: Look, name: str) -> bool:
    return look.source(name).status not in (Status.ABSENT, Status.MISSING)


def _listed(look: Look, directory: str, endings: tuple[str, ...]) -> Iterator[str | Unobserved]:
    names = look.text_or_none(directory)
    if isinstance(names, Unobserved):
        yield names
    elif names is not None:
        yield from (directory + name for name in sorted(names.split("\n")) if re.fullmatch(r"[A-Za-z0-9_.+-]+", name) and name.endswith(endings))


def _unauthenticated(look: Look) -> tuple[str, ...] | Unobserved:
    settings = look.fact(apt_settings.parse)
    if isinstance(settings, Unobserved):
        return settings
    if isinstance(settings.values, Unobserved):
        return settings.values
    names = ("APT::Get::AllowUnauthenticated", "Acquire::AllowInsecureRepositories", "Acquire::AllowWeakRepositories")
    return tuple(name for name in names if settings.on(name.lower()) is True)


# --- APT -------------------------------------------------------------------------------------------------------------


def _apt(look: Look, system: OsRelease) -> Iterator[Source | Unobserved]:
    count = 0
    for path in [APT_MAIN, *_listed(look, APT_DIRECTORY, (".list", ".sources"))]:
        if isinstance(path, Unobserved):
            yield path
            continue
        lines = [] if look.source(path).status is Status.ABSENT else look.lines(path)
        if isinstance(lines, Unobserved):
            yield lines
            continue
        for one in _deb822(look, system, path, lines) if path.endswith(".sources") else _one_line(look, system, path, lines):
            count += 1
            if count > MAX_SOURCES:
                yield _strange(path, f"> {MAX_SOURCES}")
                return
            yield one


_LINE = re.compile(r"deb\s+(?:\[([^\]]*)\]\s*)?(cdrom:\[[^\]]*\]\S*|\S+)\s+(\S+)((?:\s+\S+)*)\s*")


def _one_line(look: Look, system: OsRelease, path: str, lines: list[str]) -> Iterator[Source | Unobserved]:
    for line in lines:
        words = line.split("#", 1)[0].strip()
        if not words or words.startswith("deb-src"):
            continue
        found = _LINE.fullmatch(words)
        if found is None:
            yield _strange(path, words)
            continue
        options = {key.strip().lower(): value for key, _, value in (word.partition("=") for word in (found[1] or "").split())}
        yield _source(look, system, path, found[2], found[3], options)


def _deb822(look: Look, system: OsRelease, path: str, lines: list[str]) -> Iterator[Source | Unobserved]:
    for stanza in _stanzas(lines):
        if stanza is None:
            yield _strange(path, "deb822")
            continue
        if stanza.get("enabled", "yes").strip().lower() not in YES or "deb" not in stanza.get("types", "").split():
            continue
        uris, suites = stanza.get("uris", "").split(), stanza.get("suites", "").split()
        if not uris or not suites:
            yield _strange(path, "URIs/Suites")
            continue
        yield from (_source(look, system, path, uri, suite, stanza) for uri in uris[:50] for suite in suites[:50])


def _stanzas(lines: list[str]) -> Iterator[dict[str, str] | None]:
    """Stanzas of fields; None for one that is not understood."""
    fields: dict[str, str] | None = {}
    last = ""
    for line in [*lines, ""]:
        if line.startswith("#"):
            continue
        if not line.strip():
            if fields is None or fields:
                yield fields
            fields, last = {}, ""
        elif fields is None:
            continue
        elif line[0] in " \t":
            if not last:
                fields = None
            else:
                fields[last] += "\n" + line.strip()
        else:
            key, colon, value = line.partition(":")
            last = key.strip().lower()
            if not colon or not re.fullmatch(r"[a-z0-9-]+", last):
                fields = None
            else:
                fields[last] = value.strip()


def _source(look: Look, system: OsRelease, path: str, uri: str, suite: str, options: dict[str, str]) -> Source:
    off = any(options.get(name, "no").strip().lower() in YES for name in ("trusted", "allow-insecure", "allow-weak"))
    return Source(
        file=path,
        uri=uri[:300],
        host=_host(uri),
        release=suite[:100],
        checked=not off,
        own_key=bool(options.get("signed-by", "").strip()),
        foreign=_foreign(look, system, uri, suite),
        allowed=_allowed(look, uri),
    )


def _host(uri: str) -> str:
    found = re.match(r"(?:mirror\+)?(?:tor\+)?[a-z][a-z0-9+.-]*://(?:[^/@]*@)?(\[[0-9A-Fa-f:.]+\]|[^/:]+)", uri)
    return found[1].lower() if found else ""


def _allowed(look: Look, uri: str) -> bool | None:
    hosts = look.site.package_hosts
    if hosts is None:
        return None
    host = _host(uri)
    return host == "" or any(fnmatchcase(host, one.lower()) for one in hosts)


_MOVING = ("stable", "oldstable", "oldoldstable", "testing", "unstable", "devel", "experimental", "rc-buggy")


def _foreign(look: Look, system: OsRelease, uri: str, suite: str) -> bool | Unobserved:
    """Only archives laid out like the distribution's own name their suites after its releases."""
    last = uri.split("?", maxsplit=1)[0].rstrip("/").rpartition("/")[2].lower()
    if not system.codename or not any(last == name or last.startswith(f"{name}-") for name in (system.id, *system.like)):
        return False
    name = re.split(r"[-/]", suite, maxsplit=1)[0]
    if name == system.codename or not name.isalpha():
        return False  # Kylin's archives call their suites 10.1: that is no name of a release
    if name in _MOVING[:3]:
        settings = look.fact(apt_settings.parse)
        if isinstance(settings, AptSettings) and not isinstance(settings.releases, Unobserved):
            meant = {re.split(r"[-/]", one.codename, maxsplit=1)[0] for one in settings.releases if re.split(r"[-/]", one.suite, maxsplit=1)[0] == name}
            if meant:
                return meant != {system.codename}
        return Unobserved(Reason.NO_DATA, suite, Text(f"不知道 {name} 现在指哪个版本", f"it is not known which release {name} is now"))
    return True


# --- dnf and yum -----------------------------------------------------------------------------------------------------


def _yum(look: Look, system: OsRelease) -> Iterator[Source | Unobserved]:
    checks = False  # dnf.conf(5): off unless it is switched on
    for path in YUM_MAIN:
        if look.source(path).status is not Status.ABSENT:
            lines = look.lines(path)
            if isinstance(lines, Unobserved):
                yield lines
                continue
            checks = _ini(lines).get("main", {}).get("gpgcheck", "no").lower() in YES
            break
    for file in _listed(look, YUM_DIRECTORY, (".repo",)):
        lines = look.lines(file) if isinstance(file, str) else file
        if isinstance(lines, Unobserved):
            yield lines
            continue
        assert isinstance(file, str)
        for name, options in list(_ini(lines).items())[:MAX_SOURCES]:
            if name == "main" or options.get("enabled", "1").lower() not in YES:
                continue
            uri = next((options[key].split()[0].rstrip(",") for key in ("baseurl", "metalink", "mirrorlist") if options.get(key, "").split()), "")
            yield Source(
                file=file,
                uri=uri[:300],
                host=_host(uri),
                release=name[:100],
                checked=options["gpgcheck"].lower() in YES if "gpgcheck" in options else checks,
                own_key="gpgkey" in options,
                foreign=_foreign_rpm(system, uri),
                allowed=_allowed(look, uri),
            )


def _ini(lines: list[str]) -> dict[str, dict[str, str]]:
    sections: dict[str, dict[str, str]] = {}
    section = last = ""
    for line in lines:
        if not line.strip() or line[0] in "#;":
            continue
        if found := re.fullmatch(r"\[([^\]]{1,200})\]\s*", line):
            section, last = found[1], ""
            sections.setdefault(section, {})
        elif line[0] in " \t" and last:
            sections[section][last] += " " + line.strip()
        elif section:
            key, equals, value = line.partition("=")
            if equals:
                last = key.strip().lower()
                sections[section][last] = value.strip()
    return sections


def _foreign_rpm(system: OsRelease, uri: str) -> bool:
    """A release that is written out in the address, where `$releasever` is usual."""
    found = re.search(r"/(?:el|rhel|centos|rocky|almalinux|openEuler-)/?([0-9]{1,2}(?:\.[0-9]{2})?)(?:[.\-/]|$)", uri)
    return found is not None and found[1] not in (system.version.partition(".")[0], system.version.partition("-")[0])


def _strange(path: str, words: str) -> Unobserved:
    return Unobserved(Reason.FORMAT, path, Text(f"无法理解：{words[:80]!r}", f"not understood: {words[:80]!r}"))
