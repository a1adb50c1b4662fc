"""Whether security updates are installed by themselves, and when that last worked.

Source: unattended-upgrade(8) and apt.systemd.daily with apt.conf(5), or dnf-automatic(8); timers as systemd has them.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts import apt_settings, os_release, packages, units, update_files
from tutela.facts.apt_settings import AptSettings, Release
from tutela.facts.look import Look
from tutela.facts.os_release import OsRelease
from tutela.facts.packages import Packages
from tutela.facts.units import Units
from tutela.facts.update_files import UpdateFiles
from tutela.language import Text
from tutela.record import record

WANTS = ("/etc/systemd/system/timers.target.wants/", "/usr/lib/systemd/system/timers.target.wants/")
DNF = ("/etc/dnf/automatic.conf", "/etc/dnf/dnf5-plugins/automatic.conf")
DAILY = "/etc/cron.daily/"
NEEDS = (*WANTS, *DNF, DAILY, *apt_settings.NEEDS, *os_release.NEEDS, *packages.NEEDS, *units.NEEDS, *update_files.NEEDS)
STAMPS = ("/var/lib/apt/periodic/unattended-upgrades-stamp", "/var/lib/apt/periodic/upgrade-stamp")
FRESH = timedelta(days=3)
"""A host that is younger may not have had its first run yet."""


@record
class AutomaticUpdates:
    """AutomaticUpdates(tool='unattended-upgrades', installed=True, switched_on=True, timers_on=True, security=True, last_run=…, days=0.4, central=False, image=False)"""

    tool: str
    """unattended-upgrades | dnf-automatic"""
    installed: bool | Unobserved
    switched_on: bool | Unobserved
    """Refreshes its lists and installs, by its settings."""
    timers_on: bool | Unobserved
    """Enabled, so that they are there after a restart, and active now."""
    security: bool | Unobserved
    """Security fixes are among what it installs."""
    last_run: datetime | Unobserved | None
    """The last one that succeeded; of dnf-automatic the last one that was started."""
    days: float | Unobserved | None
    """Days since then; None: never, on a host that is not fresh."""
    central: bool | Unobserved
    """A central tool does it: declared by the site, its runs are not to be seen here."""
    image: bool
    """The system is replaced as a whole image."""


def parse(look: Look) -> AutomaticUpdates | Unobserved:
    """The fact; field by field."""
    system = look.fact(os_release.parse)
    known = look.fact(packages.parse)
    files = look.fact(update_files.parse)
    if isinstance(system, Unobserved):
        return system
    if isinstance(known, Unobserved):
        return known
    image = isinstance(files, UpdateFiles) and "/run/ostree-booted" in files.by_path
    central = _central(look)
    if known.manager == "dpkg":
        return _apt(look, known, files, central, image=image)
    return _dnf(look, system, known, files, central, image=image)


def _central(look: Look) -> bool | Unobserved:
    tool = look.site.patch_tool
    if tool is None or tool.lower() in ("none", "unattended-upgrades", "dnf-automatic"):
        return False  # the distribution's own is looked at here
    return Unobserved(
        Reason.NO_ANSWER,
        tool,
        Text("登记了集中补丁工具，其最近一次运行须由该工具提供", "a central patch tool is declared; its last run has to come from that tool"),
    )


def _both(*values: bool | Unobserved) -> bool | Unobserved:
    if False in values:
        return False
    return next((one for one in values if isinstance(one, Unobserved)), True)


def _either(*values: bool | Unobserved) -> bool | Unobserved:
    if True in values:
        return True
    return next((one for one in values if isinstance(one, Unobserved)), False)


def _timer(look: Look, name: str) -> bool | Unobserved:
    """Enabled by a link and active now."""
    known = look.fact(units.still)
    if isinstance(known, Unobserved):
        return known
    unit = known.by_id.get(name)
    enabled: list[bool | Unobserved] = []
    for directory in WANTS:
        text = look.text_or_none(directory)
        enabled.append(text if isinstance(text, Unobserved) else text is not None and name in text.split("\n"))
    return _both(unit is not None and unit.running, _either(*enabled))


def _days(look: Look, last: datetime | None, files: UpdateFiles) -> float | Unobserved | None:
    if last is not None:
        return round(max(0.0, (look.now - last) / timedelta(days=1)), 2)
    made = files.newest("/etc/machine-id")
    if made is not None and look.now - made < FRESH:
        return Unobserved(Reason.NO_DATA, STAMPS[0], Text("主机新装不足 3 天，还没有运行记录", "the host is younger than 3 days and has no run yet"))
    return None


# --- unattended-upgrades ---------------------------------------------------------------------------------------------


def _apt(look: Look, known: Packages, files: UpdateFiles | Unobserved, central: bool | Unobserved, *, image: bool) -> AutomaticUpdates:
    on, allowed = look.fact(_allows)
    last: datetime | Unobserved | None
    days: float | Unobserved | None
    if isinstance(files, Unobserved):
        last = days = files
    else:
        last = files.newest(*STAMPS)
        days = _days(look, last, files)
    return AutomaticUpdates(
        tool="unattended-upgrades",
        installed=bool(known.named("unattended-upgrades")),
        switched_on=on,
        timers_on=look.fact(_apt_timers),
        security=allowed,
        last_run=last,
        days=days,
        central=central,
        image=image,
    )


def _allows(look: Look) -> tuple[bool | Unobserved, bool | Unobserved]:
    """Whether the settings switch it on, and whether they let security fixes in."""
    settings, system = look.fact(apt_settings.parse), look.fact(os_release.parse)
    if isinstance(settings, Unobserved):
        return settings, settings
    if isinstance(system, Unobserved):
        return system, system
    on = _both(
        settings.on("apt::periodic::enable", default=True),
        settings.on("apt::periodic::update-package-lists"),
        settings.on("apt::periodic::unattended-upgrade"),
    )
    return on, _security(settings, system)


def _apt_timers(look: Look) -> bool | Unobserved:
    known = look.fact(units.still)
    if isinstance(known, Units) and not known.systemd:
        # Without systemd the same script is run by cron.
        names = look.text_or_none(DAILY)
        return names if isinstance(names, Unobserved) else names is not None and "apt-compat" in names.split("\n")
    return _both(_timer(look, "apt-daily.timer"), _timer(look, "apt-daily-upgrade.timer"))


def _security(settings: AptSettings, system: OsRelease) -> bool | Unobserved:
    """Whether a pattern of unattended-upgrades lets an archive of security fixes in."""
    if isinstance(settings.values, Unobserved):
        return settings.values
    patterns = [_pattern(words, system) for words in settings.values.get("unattended-upgrade::origins-pattern", ())[:200]]
    patterns += [_allowed(words, system) for words in settings.values.get("unattended-upgrade::allowed-origins", ())[:200]]
    archives = [one for one in settings.releases if one.security] if not isinstance(settings.releases, Unobserved) else []
    known = bool(archives)
    archives = archives or list(_usual(system))
    fitting = [pattern for pattern in patterns if pattern and any(all(_fits(one, key, value) for key, value in pattern) for one in archives)]
    if not known and fitting and all(any(key == "site" for key, _ in pattern) for pattern in fitting):
        return Unobserved(Reason.NO_DATA, apt_settings.RELEASES, Text("不知道安全更新来自哪个站点", "from which site security fixes come is not known"))
    return bool(fitting)


def _usual(system: OsRelease) -> tuple[Release, ...]:
    """What the archives of Debian and Ubuntu call themselves, for a host that has fetched none yet."""
    name = system.codename
    return (
        Release("", "Debian", "Debian-Security", "stable-security", system.version, f"{name}-security", None, None),
        Release("", "Ubuntu", "Ubuntu", f"{name}-security", system.version, name, None, None),
    )


def _expanded(words: str, system: OsRelease) -> str:
    distributor = {"debian": "Debian", "ubuntu": "Ubuntu"}.get(system.id, system.id)
    return words.replace("${distro_id}", distributor).replace("${distro_codename}", system.codename)


def _pattern(words: str, system: OsRelease) -> tuple[tuple[str, str], ...]:
    pairs = [part.partition("=") for part in _expanded(words, system).split(",")]
    return tuple((key.strip(), value.strip()) for key, _, value in pairs)


def _allowed(words: str, system: OsRelease) -> tuple[tuple[str, str], ...]:
    """`${distro_id}:${distro_codename}-security` is an origin and a suite."""
    origin, separator, suite = _expanded(words, system).partition(":")
    if not separator:
        origin, _, suite = origin.partition(" ")
    return (("origin", origin.strip()), ("archive", suite.strip()))


def _fits(one: Release, key: str, value: str) -> bool:
    fields = {"o": one.origin, "origin": one.origin, "l": one.label, "label": one.label, "a": one.suite, "suite": one.suite, "archive": one.suite}
    fields |= {"n": one.codename, "codename": one.codename}
    if key in ("c", "component"):
        return fnmatchcase("main", value)  # the part in which an archive has most of its fixes
    if key == "site":
        # Which host the usual archives come from is not known.
        return not one.archive or fnmatchcase(one.archive.partition("_")[0], value)
    return key in fields and fnmatchcase(fields[key], value)


# --- dnf-automatic ---------------------------------------------------------------------------------------------------


def _dnf(look: Look, system: OsRelease, known: Packages, files: UpdateFiles | Unobserved, central: bool | Unobserved, *, image: bool) -> AutomaticUpdates:
    installed = bool(known.named("dnf-automatic", "dnf5-plugin-automatic", "libdnf5-plugin-automatic"))
    if not installed and (system.id == "openeuler" or "suse" in system.like):
        why = Text("未安装；openEuler 的热补丁机制看不到", "not installed; the hot patches of openEuler are not seen here")
        if system.id != "openeuler":
            why = Text("未安装；zypper 的自动更新看不到", "not installed; automatic updates with zypper are not seen here")
        hidden = Unobserved(Reason.NO_VANTAGE, "dnf-automatic", why)
        return AutomaticUpdates("dnf-automatic", hidden, hidden, hidden, hidden, hidden, hidden, central, image)
    commands = _commands(look)
    forced = _timer(look, "dnf-automatic-install.timer")
    plain = _either(_timer(look, "dnf-automatic.timer"), _timer(look, "dnf5-automatic.timer"))
    if isinstance(commands, Unobserved):
        switched: bool | Unobserved = commands
        security: bool | Unobserved = commands
    else:
        switched = _either(forced, commands.get("apply_updates", "no").lower() in ("yes", "true", "1", "on"))
        security = commands.get("upgrade_type", "default").lower() in ("default", "security")
    last = _triggered(look)
    days: float | Unobserved | None
    if isinstance(last, Unobserved):
        days = last
    elif isinstance(files, Unobserved):
        days = files
    else:
        days = _days(look, last, files)
    return AutomaticUpdates("dnf-automatic", installed, switched, _either(forced, plain), security, last, days, central, image)


def _commands(look: Look) -> dict[str, str] | Unobserved:
    for path in DNF:
        if look.source(path).status is Status.ABSENT:
            continue
        lines = look.lines(path)
        if isinstance(lines, Unobserved):
            return lines
        section, found = "", {}
        for line in lines:
            if one := re.fullmatch(r"\[([a-z_]{1,50})\]\s*", line):
                section = one[1]
            elif section == "commands" and (one := re.fullmatch(r"([a-z_]{1,50})\s*=\s*([^#]{0,200}?)\s*", line)):
                found[one[1]] = one[2]
        return found
    return {}


def _triggered(look: Look) -> datetime | Unobserved | None:
    known = look.fact(units.parse)
    if isinstance(known, Unobserved):
        return known
    names = ("dnf-automatic.timer", "dnf-automatic-install.timer", "dnf5-automatic.timer")
    return max((at for name in names if name in known.by_id and (at := known.by_id[name].triggered) is not None), default=None)
