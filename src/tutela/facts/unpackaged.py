"""Programs that listen and that no package brought, so that the system's updates never reach them.

Source: /proc/PID/exe of listening processes; the files of packages (dpkg: /var/lib/dpkg/info/*.list, rpm -qf); mounts, where snaps lie.
Programs inside containers are judged by their image.
"""

from __future__ import annotations

import re

from tutela.evidence import Reason, Unobserved
from tutela.facts import mounts, sockets
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record

PROGRAMS = "stat -c '%N' /proc/*/exe (of listening processes)"
OWNED = "programs that a package owns"
NEEDS = (PROGRAMS, OWNED, *sockets.NEEDS, *mounts.NEEDS)
_SNAP = re.compile(r"/(?:var/lib/snapd/)?snap/[^/]+/[^/]+")
_CONTAINER = re.compile(r"(docker-|libpod-|crio-|cri-containerd-|nerdctl-|lxc|machine-)")


@record
class Program:
    """Program(path='/opt/app/bin/server', ports=(8080,), registered=True, version_days=40)"""

    path: str
    ports: tuple[int, ...]
    registered: bool
    """In the site's register of software outside packages (SBOM)."""
    version_days: int | Unobserved | None
    """Age of the registered version; None: not registered."""


@record
class Unpackaged:
    """Unpackaged(programs=(Program(…),))"""

    programs: tuple[Program | Unobserved, ...]


def parse(look: Look) -> Unpackaged | Unobserved:
    """The fact; needs root."""
    lines, owned, seen = look.lines(PROGRAMS), look.lines(OWNED), look.fact(sockets.parse)
    if isinstance(lines, Unobserved):
        return lines
    if not any(lines):
        return Unpackaged(())
    if isinstance(owned, Unobserved):
        return owned
    if isinstance(seen, Unobserved):
        return seen
    inside = {one.pid for one in seen.listening if isinstance(one.pid, int) and one.unit is not None and _CONTAINER.match(one.unit)}
    ports: dict[str, set[int]] = {}
    odd: list[Unobserved] = []
    for line in filter(None, lines):
        found = re.fullmatch(r"'/proc/([0-9]{1,9})/exe' -> '(/[^']{1,4000}?)(?: \(deleted\))?'", line)
        if found is None:
            odd.append(Unobserved(Reason.FORMAT, PROGRAMS, Text(f"无法理解：{line[:100]!r}", f"not understood: {line[:100]!r}")))
        elif int(found[1]) not in inside:
            ports.setdefault(found[2], set()).update(one.port for one in seen.listening if one.pid == int(found[1]))
    programs: list[Program | Unobserved] = []
    for path in sorted(path for path in ports if not _owned(path, owned)):
        snap = _of_snap(look, path)
        if snap is not True:
            programs.append(snap if isinstance(snap, Unobserved) else _program(look, path, ports[path]))
    return Unpackaged((*programs, *odd))


def _owned(path: str, owned: list[str]) -> bool:
    """Packages may still call a program by the place it had before /bin became a link to /usr/bin."""
    return path in owned or (path.startswith("/usr/") and path.removeprefix("/usr") in owned)


def _of_snap(look: Look, path: str) -> bool | Unobserved:
    """Whether a snap brought it: an image of its own, which only snapd mounts there and keeps up to date."""
    found = _SNAP.match(path)
    if found is None:
        return False
    known = look.fact(mounts.parse)
    return known if isinstance(known, Unobserved) else any(mount.path == found[0] and mount.type == "squashfs" for mount in known.all)


def _program(look: Look, path: str, ports: set[int]) -> Program:
    registered = path in look.site.allowed_unpackaged
    days: int | Unobserved | None = None
    if registered:
        released = look.site.unpackaged_versions.get(path)
        if released is not None:
            days = (look.today - released).days
        else:
            days = Unobserved(
                Reason.NOT_LODGED, path, Text("已登记，但没有登记所用版本的发布日期", "registered, but without the day on which its version was released")
            )
    return Program(path, tuple(sorted(ports)), registered, days)
