"""Security updates that are published and not installed, and how long they have been so at least.

Source: with APT the versions that apt-cache(8) policy knows, and the Release files; with dnf the advisories in the cached updateinfo.xml against the installed versions.

Since when an update has been waiting here cannot be seen in one look. What can be seen is a lower bound:
APT: the archive was published in this state at `Date`, so the update is at least as old as the oldest of the archives that offer it.
dnf: the advisory's own day of issue, which is exact.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts import apt_settings, package_sources, packages, support, update_files
from tutela.facts.apt_settings import Release
from tutela.facts.look import Look
from tutela.facts.package_sources import PackageSources
from tutela.facts.package_versions import newer_rpm
from tutela.facts.packages import Package
from tutela.facts.update_files import UpdateFiles
from tutela.language import Text
from tutela.record import record

APT = "apt-cache policy (installed packages with newer versions)"
DNF = "updateinfo.xml (security advisories of installed packages)"
NEEDS = (APT, DNF, *apt_settings.NEEDS, *packages.NEEDS, *update_files.NEEDS, *package_sources.NEEDS, *support.NEEDS)
METADATA_HOURS = 48
"""Older metadata does not know what is pending today."""
QUIET = timedelta(days=14)
"""So long at most an archive of security fixes brings nothing new. With an archive that cannot be reached apt-get update succeeds all the same, and keeps what it has."""
STAMPS = ("/var/lib/apt/lists", "/var/lib/apt/periodic/update-success-stamp", "/var/lib/apt/periodic/update-stamp")
HIGH = ("Critical", "Important", "High")
MAX_LINES = 100_000


@record
class Update:
    """Update(package='openssl', installed='3.0.15-1', candidate='3.0.17-1~deb12u3', advisory=None, high=Unobserved(…), known_hours=30, waiting_hours=Unobserved(…))"""

    package: str
    installed: str
    candidate: str
    advisory: str | None
    high: bool | Unobserved
    """The vendor calls it high or critical. APT's metadata does not say."""
    known_hours: int
    """It has been published for at least this long."""
    waiting_hours: int | Unobserved
    """How long it has been published exactly, where that is known."""


@record
class SecurityUpdates:
    """SecurityUpdates(pending=(Update(…),), refreshed=…, metadata_hours=5)"""

    pending: tuple[Update | Unobserved, ...]
    """With a hole for everything that hides updates: old metadata, an archive without advisories, lines that are not understood."""
    refreshed: datetime | None
    """When the host last fetched metadata."""
    metadata_hours: int | None


def parse(look: Look) -> SecurityUpdates | Unobserved:
    """The fact; for APT, or else for dnf."""
    if look.source(APT).status not in (Status.ABSENT, Status.MISSING):
        return _apt(look)
    if look.source(DNF).status is not Status.MISSING:
        return _dnf(look)
    gone = look.text(APT)
    return (
        gone if isinstance(gone, Unobserved) else Unobserved(Reason.NO_ANSWER, APT, Text("没有可识别的软件包管理器", "no package manager that is known here"))
    )


def _made(look: Look, pending: list[Update | Unobserved], refreshed: datetime | None, source: str) -> SecurityUpdates:
    hours = None if refreshed is None else _hours(look, refreshed)
    if hours is None:
        pending.append(Unobserved(Reason.NO_DATA, source, Text("看不到软件包元数据的获取时间", "when the metadata was fetched is not to be seen")))
    elif hours > METADATA_HOURS:
        why = Text(f"元数据是 {hours} 小时前获取的，超过 {METADATA_HOURS} 小时", f"the metadata was fetched {hours} hours ago, more than {METADATA_HOURS}")
        pending.append(Unobserved(Reason.STALE, source, why))
    return SecurityUpdates(tuple(pending), refreshed, hours)


def _hours(look: Look, since: datetime) -> int:
    return max(0, int((look.now - since) // timedelta(hours=1)))


# --- APT -------------------------------------------------------------------------------------------------------------

_COUNT = re.compile(r"installed ([1-9][0-9]{0,6})")
_PACKAGE = re.compile(r"(\S{1,200}):")
_INSTALLED = re.compile(r"  Installed: (\S{1,200})")
_VERSION = re.compile(r" {5}(\S{1,200}) -?[0-9]{1,10}(?: .*)?")
_ORIGIN = re.compile(r" {8} *-?[0-9]{1,10} (\S{1,500}) (\S{1,200}) .{1,200}")


@record
class Newer:
    """Newer(package='openssl', installed='3.0.15-1', version='3.0.17-1~deb12u3', archives=(('http://deb.debian.org/debian-security', 'bookworm-security/main'),))"""

    package: str
    installed: str
    version: str
    archives: tuple[tuple[str, str], ...]
    """Address, and release with component."""


def _apt(look: Look) -> SecurityUpdates | Unobserved:
    lines = look.lines(APT)
    if isinstance(lines, Unobserved):
        return lines
    files = look.fact(update_files.parse)
    settings = look.fact(apt_settings.parse)
    if isinstance(settings, Unobserved):
        return settings
    releases = settings.releases
    if isinstance(releases, Unobserved):
        return releases
    if not any(_COUNT.fullmatch(line) for line in lines[-1:]):
        return Unobserved(Reason.FORMAT, APT, Text("没有看到已安装的软件包", "no installed package was looked up"))
    pending: list[Update | Unobserved] = []
    by_archive = {one.archive: one for one in releases}
    fixes: dict[str, Update] = {}
    for one in _newer(lines[:MAX_LINES]):
        if isinstance(one, Unobserved):
            pending.append(one)
            continue
        known = [by_archive.get(_archive(*place)) for place in one.archives]
        if not any(_SECURITY.search(" ".join(place)) if release is None else release.security for place, release in zip(one.archives, known, strict=True)):
            continue
        # Several newer versions: the newest is what will be installed, the one known for longest tells since when.
        hours = max((_hours(look, release.dated) for release in known if release is not None and release.dated is not None), default=0)
        newest = fixes.get(one.package)
        version, hours = (one.version, hours) if newest is None else (newest.candidate, max(hours, newest.known_hours))
        fixes[one.package] = _update(one.package, one.installed, version, hours)
    pending += fixes.values()
    if not any(one.security for one in releases):
        pending.append(Unobserved(Reason.NO_ANSWER, apt_settings.RELEASES, Text("没有安全更新源的元数据", "no metadata of an archive of security fixes")))
    pending += _outdated(look, [one for one in releases if one.security])
    return _made(look, pending, _refreshed(files, releases), "/var/lib/apt/lists")


def _outdated(look: Look, archives: list[Release]) -> list[Unobserved]:
    """Archives of security fixes in a state too old to be today's."""
    old = [one for one in archives if one.dated is not None and look.now > (one.valid_until or one.dated + QUIET)]
    until = look.part(support.parse, "ends")
    if len(old) < len(archives) and isinstance(until, date) and look.today > until:
        return []  # the distribution's own archive stands still, and its paid extension brings the fixes
    why = Text("软件源的状态已过期，看来已很久没有真正获取到", "this state of the archive is out of date: it seems not to have been fetched for long")
    return [Unobserved(Reason.STALE, one.archive, why) for one in old]


def _newer(lines: list[str]) -> Iterator[Newer | Unobserved]:
    """Newer versions of installed packages, the newest first, whether a pin or a hold keeps them back or not."""
    package = installed = version = ""
    archives: list[tuple[str, str]] = []
    for line in (*lines, ":"):
        if (found := _ORIGIN.fullmatch(line)) and version:
            archives.append((found[1], found[2]))
            continue
        if version and archives and version != installed:  # the same version once more, built by someone else, is no newer one
            yield Newer(package, installed, version, tuple(archives))
        version, archives = "", []
        if found := _VERSION.fullmatch(line):
            version = found[1]
        elif found := _PACKAGE.fullmatch(line):
            package, installed = found[1], ""
        elif found := _INSTALLED.fullmatch(line):
            installed = found[1]
        elif not (line == ":" or line.startswith(("  Candidate: ", "  Version table:", "  Package pin: ")) or _COUNT.fullmatch(line)):
            yield Unobserved(Reason.FORMAT, APT, Text(f"无法理解的一行：{line[:100]!r}", f"a line that is not understood: {line[:100]!r}"))


def _archive(address: str, release: str) -> str:
    """How apt names the lists of an archive: `deb.debian.org_debian-security_dists_bookworm-security` (its URItoFileName())."""
    quoted = "".join(f"%{ord(sign):02x}" if sign in _QUOTED else sign for sign in address.partition(":")[2].removeprefix("//").rstrip("/"))
    if release.endswith("/") or "/" not in release:
        return f"{quoted}/{release.rstrip('/')}".replace("/", "_")
    return f"{quoted}/dists/{release.rpartition('/')[0]}".replace("/", "_")


_SECURITY = re.compile(r"//security\.|/debian-security\b|-security/")
"""Where the Release file of an archive is not to be found."""
_QUOTED = frozenset('\\|{}[]<>"^~_=!@#$%&*')


def _update(package: str, installed: str, candidate: str, known: int) -> Update:
    return Update(
        package=package,
        installed=installed,
        candidate=candidate,
        advisory=None,
        high=Unobserved(Reason.NO_DATA, APT, Text("APT 的元数据不说明严重程度", "the metadata of APT does not say how severe it is")),
        known_hours=known,
        waiting_hours=Unobserved(
            Reason.NO_DATA,
            package,
            Text(
                f"有安全更新未装（{candidate}），发布至少 {known} 小时，单次采集看不出确切时长",
                f"a security update is not installed ({candidate}); published for at least {known} hours, one look cannot say how long exactly",
            ),
        ),
    )


def _refreshed(files: UpdateFiles | Unobserved, releases: tuple[Release, ...]) -> datetime | None:
    """The newest sign of a fetch that succeeded; what an archive says of its own day is one too."""
    signs = [one.dated for one in releases if one.dated is not None]
    if isinstance(files, UpdateFiles) and releases and (stamp := files.newest(*STAMPS)) is not None:
        signs.append(stamp)
    return max(signs, default=None)


# --- dnf -------------------------------------------------------------------------------------------------------------


def _dnf(look: Look) -> SecurityUpdates | Unobserved:
    lines = look.lines(DNF)
    if isinstance(lines, Unobserved):
        return lines
    known = look.fact(packages.parse)
    if isinstance(known, Unobserved):
        return known
    installed: dict[tuple[str, str], Package] = {}
    for one in known.installed:
        kind = (one.name, one.architecture)
        if kind not in installed or newer_rpm(one.version, installed[kind].version) > 0:
            installed[kind] = one
    pending: list[Update | Unobserved] = []
    read: list[str] = []
    oldest: dict[tuple[str, str, bool], Update] = {}
    for line in lines[:MAX_LINES]:
        words = line.split("\t")
        if words[0] == "repository" and len(words) == 3:
            if words[2] == "read":
                read.append(words[1])
            else:
                pending.append(Unobserved(Reason.FORMAT, words[1], Text("安全公告读不出来", "its advisories could not be read")))
        elif len(words) == 6 and (package := installed.get((words[3], words[5]))) is not None and newer_rpm(words[4], package.version) > 0:
            update = _advisory(look, words, package)
            # Several advisories for one package: the one that has waited longest decides, of the high ones and of the others.
            key = (words[3], words[5], update.high is True)
            if key not in oldest or update.known_hours > oldest[key].known_hours:
                oldest[key] = update
    pending += oldest.values()
    pending += _blind(look, read)
    return _made(look, pending, _dnf_refreshed(look), "/var/cache/dnf")


def _advisory(look: Look, words: list[str], package: Package) -> Update:
    issued = _issued(words[1])
    hours = 0 if issued is None else _hours(look, issued)
    when: int | Unobserved = hours
    if issued is None:
        when = Unobserved(Reason.NO_DATA, words[0], Text("公告没有发布日期", "the advisory has no day of issue"))
    elif ".module" in words[4]:
        # Another stream of a module may have a newer version that is no update of this one.
        why = Text("模块化软件包，公告可能属于另一个流", "a module's package: the advisory may be for another stream")
        when, hours = Unobserved(Reason.FORMAT, words[0], why), 0
    high: bool | Unobserved = words[2] in HIGH
    if not words[2] or words[2] == "None":
        high = Unobserved(Reason.NO_DATA, words[0], Text("公告没有严重程度", "the advisory has no severity"))
    return Update(package.name, package.version, words[4], words[0], high, hours, when)


def _issued(words: str) -> datetime | None:
    found = re.match(r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?: ([0-9]{2}):([0-9]{2}))?", words)
    if found is None:
        return None
    try:
        return datetime(int(found[1]), int(found[2]), int(found[3]), int(found[4] or 0), int(found[5] or 0), tzinfo=UTC)
    except ValueError:
        return None


def _blind(look: Look, read: list[str]) -> Iterator[Unobserved]:
    """Enabled repositories whose cache brought no advisories."""
    sources = look.fact(package_sources.parse)
    if not isinstance(sources, PackageSources):
        yield Unobserved(Reason.NO_DATA, DNF, Text("不知道启用了哪些软件源", "which repositories are enabled is not known"))
        return
    for one in sources.sources:
        if isinstance(one, Unobserved):
            yield one
        elif not any(_is_of(path, one.release) for path in read):
            yield Unobserved(
                Reason.NO_ANSWER, one.release, Text("该软件源没有安全公告，或还没有获取过", "this repository has no advisories, or none were fetched yet")
            )


def _is_of(path: str, repository: str) -> bool:
    return re.search(rf"/{re.escape(repository)}-[0-9a-f]{{16}}/", path) is not None


def _dnf_refreshed(look: Look) -> datetime | None:
    """When the metadata was fetched of the repository that was not asked for longest; dnf goes on without one that does not answer."""
    files, sources = look.fact(update_files.parse), look.fact(package_sources.parse)
    if isinstance(files, Unobserved):
        return None
    metadata = [path for path in files.by_path if path.endswith("/repodata/repomd.xml")]
    enabled = {one.release for one in sources.sources if not isinstance(one, Unobserved)} if isinstance(sources, PackageSources) else set()
    each = (files.newest(*(path for path in metadata if _is_of(path, name))) for name in enabled)
    return min((fetched for fetched in each if fetched is not None), default=files.newest(*metadata))
