"""Whether something that was installed takes effect only after a restart, and since when it waits.

Source: /run/reboot-required (written by packages on Debian and Ubuntu), /boot against uname(1), and on RPM systems the packages that dnf's needs-restarting lists.
How long it waits is a lower bound where the file system does not tell when the marker was made (Linux before 5.19):
it is written again by every package that asks for a restart.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from tutela.evidence import Reason, Status, Unobserved
from tutela.evidence.observed import any_of
from tutela.facts import packages, since_boot, update_files
from tutela.facts.look import Look
from tutela.facts.package_versions import newer_deb, newer_rpm
from tutela.facts.packages import Packages
from tutela.facts.unseen import unseen
from tutela.facts.update_files import UpdateFiles
from tutela.language import Text
from tutela.record import record

MARKER = "/run/reboot-required"
MARKED = "/run/reboot-required.pkgs"
MADE = "stat -L -c %W /run/reboot-required"
UNAME = "uname -srm"
VERSION = "/proc/version"
RPM = r"rpm -q --qf %{NAME}\t%{INSTALLTIME}\n glibc systemd dbus dbus-broker dbus-daemon linux-firmware microcode_ctl"
NEEDS = (MARKER, MARKED, MADE, UNAME, VERSION, RPM, *since_boot.NEEDS, *update_files.NEEDS, *packages.NEEDS)


@record
class Reboot:
    """Reboot(marked=True, marked_by=('libc6',), running='6.1.0-18-amd64', newest='6.1.0-21-amd64', behind=True, waiting=True, hours=120)"""

    marked: bool | Unobserved
    marked_by: tuple[str, ...]
    running: str
    newest: str | Unobserved
    """The newest installed kernel of the same kind."""
    behind: bool | Unobserved
    """The running kernel is not the newest installed one."""
    waiting: bool | Unobserved
    """One of the two, or a package that came since the start."""
    hours: int | Unobserved
    """How long it waits at least; 0 when nothing waits."""
    from_the_first: bool | Unobserved
    """Whether it was looked when the marker was first made; where no file system tells, the last time it was written has to do."""


def parse(look: Look) -> Reboot | Unobserved:
    """The fact; field by field."""
    words = look.text(UNAME)
    if isinstance(words, Unobserved):
        return words
    found = re.fullmatch(r"Linux ([A-Za-z0-9._+~-]{1,100}) \S+\s*", words)
    if found is None:
        return Unobserved(Reason.FORMAT, UNAME, Text("没有给出内核版本", "it gives no kernel release"))
    running = found[1]
    files = look.fact(update_files.parse)
    marked = _marked(look)
    newest, behind, newer = _kernels(look, running, files)
    came = _since_start(look)
    states = (marked, behind, came if isinstance(came, Unobserved) else bool(came))
    waiting = any_of(states)
    names = _packages(look) if isinstance(came, Unobserved) else tuple(sorted({*_packages(look), *came}))
    since = () if isinstance(came, Unobserved) else tuple(came.values())
    made = _made(look) if marked is True else None
    hours = _hours(look, files, marked, behind, newer, waiting, since, None if isinstance(made, Unobserved) else made)
    return Reboot(marked, names, running, newest, behind, waiting, hours, made if isinstance(made, Unobserved) else True)


def _marked(look: Look) -> bool | Unobserved:
    status = look.source(MARKER).status
    if status is Status.ABSENT:
        return False
    text = look.text(MARKER)
    return text if isinstance(text, Unobserved) else True


def _packages(look: Look) -> tuple[str, ...]:
    text = look.text(MARKED)
    names = text.split() if isinstance(text, str) else []
    return tuple(sorted({name for name in names if re.fullmatch(r"[a-z0-9.+:-]{1,100}", name)}))[:50]


def _since_start(look: Look) -> dict[str, datetime] | Unobserved:
    """RPM packages of the base system that were installed after the host started."""
    if look.source(RPM).status is Status.ABSENT or look.part(packages.parse, "manager") == "dpkg":
        return {}  # dpkg: the marker says it
    lines = look.lines(RPM)
    booted = since_boot.moment(look, 0)
    if isinstance(lines, Unobserved):
        return lines
    if isinstance(booted, Unobserved):
        return booted
    found = (re.fullmatch(r"([A-Za-z0-9._+-]{1,100})\t([0-9]{1,11})", line) for line in lines)
    return {one[1]: datetime.fromtimestamp(int(one[2]), UTC) for one in found if one is not None and int(one[2]) > booted.timestamp()}


_KERNEL = re.compile(r"/boot/vmlinuz-([A-Za-z0-9._+~-]{1,100})|/lib/modules/([A-Za-z0-9._+~-]{1,100})/vmlinuz")


def _kernels(look: Look, running: str, files: UpdateFiles | Unobserved) -> tuple[str | Unobserved, bool | Unobserved, tuple[str, ...]]:
    """The newest kernel, whether it is another than the one that runs, and which wait: all that are newer, or the same name built anew."""
    if isinstance(files, Unobserved):
        return files, files, ()
    releases = {name for path in files.by_path if (one := _KERNEL.fullmatch(path)) and "rescue" not in (name := one[1] or one[2])}
    alike = {name for name in releases if _kind(name) == _kind(running)}
    if running not in alike:
        # A kernel that the host does not hold was started from elsewhere: a container, a cloud, a rescue system.
        why = Text("看不到正在运行的内核的文件", "the file of the running kernel is not to be seen")
        missing = Unobserved(Reason.NO_VANTAGE, "/boot", why)
        return missing, missing, ()
    newer = newer_rpm if re.search(r"\.(el|fc|oe|an|al)[0-9]", running) else newer_deb
    newest = running
    for name in alike:
        if newer(name, newest) > 0:
            newest = name
    if newest != running:
        return newest, True, tuple(name for name in alike if newer(name, running) > 0)
    return newest, _rebuilt(look, running), (running,)


def _kind(release: str) -> str:
    """`amd64`, `cloud-amd64`, `generic`; of RPM kernels what follows the architecture: `` or `debug`."""
    found = re.search(r"[.](?:x86_64|aarch64|ppc64le|s390x|riscv64|loongarch64)(?:[+](.*))?$", release)
    if found is not None:
        return found[1] or ""
    return "-".join(part for part in release.split("-")[1:] if not re.match(r"[0-9]|rc[0-9]", part))


def _rebuilt(look: Look, running: str) -> bool | Unobserved:
    """Debian keeps the name of a release for several builds; the build that runs is in /proc/version."""
    text = look.text(VERSION)
    if isinstance(text, Unobserved):
        return unseen(look, VERSION) or False
    build = re.search(r" Debian ([0-9][A-Za-z0-9.+~-]{1,60}) \(", text)
    known = look.fact(packages.parse)
    if build is None or (isinstance(known, Packages) and known.manager != "dpkg"):
        return False
    if isinstance(known, Unobserved):
        return known
    installed = known.named(f"linux-image-{running}", f"linux-image-{running}-unsigned")
    return any(newer_deb(one.version, build[1]) > 0 for one in installed)


def _hours(
    look: Look,
    files: UpdateFiles | Unobserved,
    marked: bool | Unobserved,
    behind: bool | Unobserved,
    newer: tuple[str, ...],
    waiting: bool | Unobserved,
    came: tuple[datetime, ...],
    made: datetime | None,
) -> int | Unobserved:
    if waiting is False:
        return 0
    if isinstance(waiting, Unobserved):
        return waiting
    if isinstance(files, Unobserved):
        return files
    since = list(came)
    if marked is True and MARKER in files.by_path:
        since.append(made or files.by_path[MARKER].modified)
    if behind is True:
        # The first of them began the wait; those that came later do not begin it anew.
        paths = [path for name in newer for path in (f"/boot/vmlinuz-{name}", f"/lib/modules/{name}/vmlinuz")]
        since += [files.by_path[path].changed for path in paths if path in files.by_path]
    if not since:
        return Unobserved(Reason.NO_DATA, MARKER, Text("看不到从何时开始等待", "since when it waits is not to be seen"))
    return max(0, int((look.now - min(since)).total_seconds() // 3600))


def _made(look: Look) -> datetime | Unobserved | None:
    """When the marker was made; None where the file system does not say."""
    text = look.text(MADE)
    if isinstance(text, Unobserved):
        return text
    found = re.fullmatch(r"([1-9][0-9]{5,10})\s*", text)
    return datetime.fromtimestamp(int(found[1]), UTC) if found else None
