"""Application software: what packages brought, which of its security updates wait, and what lies outside packages.

Sources: the package database; the pending security updates; a bounded find(1) for what marks an application (a log4j jar, WordPress' version.php, lock files of package managers of languages).
Where no package manager answers for a file nobody here can say whether it is current: a site registers it (SBOM), or it stays undecided.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from functools import lru_cache

from tutela.evidence import Reason, Unobserved
from tutela.facts import packages, security_updates
from tutela.facts.look import Look
from tutela.facts.security_updates import Update
from tutela.language import Text
from tutela.record import record

OUTSIDE = "find (application software outside packages)"
NEEDS = (*packages.NEEDS, *security_updates.NEEDS, OUTSIDE)
MAX_FILES = 2000
PACKAGED = {
    "PHP": re.compile(r"php[0-9.]{0,6}(-.+)?|libapache2-mod-php.*"),
    "Java": re.compile(r"openjdk-\d+-j(re|dk)(-.+)?|java-[0-9.]+-[a-z]+(-.+)?|(temurin|zulu|msopenjdk)[0-9-].*|jdk-[0-9.]+"),
    "Tomcat": re.compile(r"(lib)?tomcat[0-9]*(-.+)?"),
    "Jetty, WildFly, Jenkins": re.compile(r"jetty[0-9]*|wildfly|jenkins"),
    "Node.js": re.compile(r"nodejs[0-9]*(-.+)?|npm"),
    "Python web": re.compile(r"python3(\.\d+)?-(django[0-9.]*|flask|tornado|bottle|pyramid|fastapi|sanic|aiohttp|werkzeug|gunicorn)|gunicorn|uwsgi(-.+)?"),
    "Ruby web": re.compile(r"(ruby-)?rails|puma|passenger|libapache2-mod-passenger"),
    "web application": re.compile(r"wordpress|drupal[0-9]*|mediawiki|moodle|phpmyadmin|phpMyAdmin|roundcube(-core|mail)?|nextcloud(-server)?|gitlab-[ce]e"),
    "log4j": re.compile(r"(lib)?log4j([0-9.]+|2)?(-java)?"),
}
"""Kind of software -> names of its packages."""
ANY_PACKAGED = re.compile("|".join(f"(?:{pattern.pattern})" for pattern in PACKAGED.values()))
MARKS = {
    "log4j": re.compile(r"log4j-(core|1\.[0-9.]+)[^/]*\.jar"),
    "WordPress": re.compile(r"version\.php"),
    "Tomcat": re.compile(r"catalina\.jar"),
    "Java": re.compile(r"jrt-fs\.jar|[^/]*\.war|spring-core-[^/]*\.jar"),
    "Node.js": re.compile(r"package-lock\.json|yarn\.lock|pnpm-lock\.yaml|node"),
    "PHP": re.compile(r"composer\.lock|php|php-fpm"),
    "Python web": re.compile(r"requirements\.txt|Pipfile\.lock|poetry\.lock|uv\.lock"),
}
"""Kind of software -> the file name that gives it away."""


@record
class Application:
    """Application(kind='PHP', packages=('php8.2-cli', 'php8.2-fpm'))"""

    kind: str
    packages: tuple[str, ...]


@record
class Outside:
    """Outside(kind='log4j', path='/opt/app/lib/log4j-core-2.14.1.jar', registered=Unobserved(…), hole='CVE-2021-44228')"""

    kind: str
    path: str
    registered: bool | Unobserved
    """The site registered it; undecided otherwise, since nothing tells whether it is current."""
    hole: str | None
    """A hole of its very version that is known and high; None too where the site registered the file, since holes are closed in place."""


@record
class Applications:
    """Applications(installed=(Application(…),), pending=(), outside=())"""

    installed: tuple[Application, ...] | Unobserved
    pending: tuple[Update | Unobserved, ...] | Unobserved
    """Security updates of the installed ones that wait; empty without any."""
    outside: tuple[Outside | Unobserved, ...] | Unobserved


def parse(look: Look) -> Applications | Unobserved:
    """The fact."""
    known = look.fact(packages.parse)
    outside = _outside(look)
    if isinstance(known, Unobserved):
        return known if isinstance(outside, Unobserved) else Applications(known, known, outside)
    found: dict[str, list[str]] = {}
    for one in known.installed:
        kind = _packaged(one.name)
        if kind is not None:
            found.setdefault(kind, []).append(one.name)
    installed = tuple(Application(kind, tuple(sorted(set(found[kind])))) for kind in PACKAGED if kind in found)
    return Applications(installed, _pending(look, {name for names in found.values() for name in names}), outside)


def _kind(table: dict[str, re.Pattern[str]], name: str) -> str | None:
    return next((kind for kind, pattern in table.items() if pattern.fullmatch(name)), None)


@lru_cache(maxsize=4096)
def _packaged(name: str) -> str | None:
    """Kind of software that a package holds; hosts of one system have nearly the same packages."""
    return _kind(PACKAGED, name) if ANY_PACKAGED.fullmatch(name) else None


def _pending(look: Look, mine: set[str]) -> tuple[Update | Unobserved, ...] | Unobserved:
    if not mine:
        return ()
    updates = look.fact(security_updates.parse)
    if isinstance(updates, Unobserved):
        return updates
    # Its holes hide updates of any package, these too.
    return tuple(one for one in updates.pending if isinstance(one, Unobserved) or one.package in mine)


def _outside(look: Look) -> tuple[Outside | Unobserved, ...] | Unobserved:
    lines = look.lines(OUTSIDE)
    if isinstance(lines, Unobserved):
        return lines
    found: list[Outside | Unobserved] = []
    for path in sorted(set(lines[:MAX_FILES])):
        kind = _kind(MARKS, path.rpartition("/")[2])
        if path.startswith("/") and kind is not None:
            registered = _registered(look, path)
            found.append(Outside(kind, path, registered, None if registered is True else _hole(path)))
    if look.source(OUTSIDE).rc != 0:
        found.append(Unobserved(Reason.PRIVILEGE, OUTSIDE, Text("有些目录没有看到", "some directories could not be looked at")))
    return tuple(found)


def _registered(look: Look, path: str) -> bool | Unobserved:
    if any(fnmatchcase(path, pattern) for pattern in look.site.allowed_unpackaged):
        return True
    why = Text("不属于任何软件包，也没有登记，无法判断是否需要更新", "it belongs to no package and is not registered: whether it is current cannot be told")
    return Unobserved(Reason.NO_DATA, path, why)


_LOG4J = re.compile(r"log4j-core-2\.(\d{1,3})(?:\.(\d{1,3}))?(?:[-.][^/]{0,60})?\.jar")
_MENDED = {3: 1, 12: 2}
"""Minor releases for old Java versions that were mended in themselves: minor -> first mended patch."""


def _hole(path: str) -> str | None:
    """log4j before 2.16.0 runs code that a log message names (2.3.1 and 2.12.2 were mended too)."""
    found = _LOG4J.fullmatch(path.rpartition("/")[2])
    if found is None:
        return None
    minor, patch = int(found[1]), int(found[2] or 0)
    mended = minor >= 16 or patch >= _MENDED.get(minor, 1000)
    return None if mended else "CVE-2021-44228, CVE-2021-45046"
