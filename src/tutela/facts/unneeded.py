"""Services that a server rarely needs, and whether somebody beyond this host can reach for them.

Sources: the listening sockets, the units that run.
"""

from __future__ import annotations

from tutela.evidence import Unobserved
from tutela.facts import mounts, sockets, units
from tutela.facts.look import Look
from tutela.record import record

NEEDS = (*sockets.NEEDS, *units.NEEDS, *mounts.NEEDS)
BY_PROCESS = {
    "avahi-daemon": "avahi",
    "cupsd": "cups",
    "cups-browsed": "cups",
    "rpcbind": "rpcbind",
    "xinetd": "xinetd",
    "inetd": "xinetd",
    "inetutils-inetd": "xinetd",
    "exim4": "mail",
    "exim": "mail",
    "sendmail": "mail",
    "sendmail-mta": "mail",
    "master": "mail",
    "smtpd": "mail",
    "postscreen": "mail",
}
"""Program -> service; `master` is Postfix, and the last two are its children, which hold its socket while they serve somebody."""
BY_PORT = {111: "rpcbind", 631: "cups", 5353: "avahi"}
"""Sockets that systemd holds for a service that does not run yet."""
DOUBTFUL = (25, 111, 631, 5353)
"""Ports that cannot be judged without the name of the program."""
SILENT = {
    "bluetooth": ("bluetooth",),
    "display manager": ("gdm", "gdm3", "lightdm", "sddm", "xdm", "lxdm", "display-manager"),
}
"""Services that listen on no port, by their units."""


@record
class Listener:
    """Listener(service='rpcbind', port=111, protocol='tcp', address='0.0.0.0', excused=None)"""

    service: str
    port: int
    protocol: str
    address: str
    excused: str | Unobserved | None
    """site: declared; nfs: rpcbind serves NFS here."""


@record
class Unneeded:
    """Unneeded(listening=(Listener(…), …), running=('bluetooth',))"""

    listening: tuple[Listener | Unobserved, ...]
    """Beyond loopback."""
    running: tuple[str, ...] | Unobserved
    """Of the silent ones those that run."""


def parse(look: Look) -> Unneeded | Unobserved:
    """The fact."""
    seen = look.fact(sockets.parse)
    if isinstance(seen, Unobserved):
        return seen
    listening: list[Listener | Unobserved] = []
    for one in seen.listening:
        if one.local:
            continue
        if isinstance(one.process, Unobserved):
            if one.port in DOUBTFUL:
                listening.append(one.process)
            continue
        service = BY_PORT.get(one.port) if one.process == "systemd" else BY_PROCESS.get(one.process or "")
        if service == "mail" and one.port not in (25, 465, 587):
            service = None
        if service is not None:
            listening.append(Listener(service, one.port, one.protocol, one.address, _excuse(look, service, one.port, one.protocol)))
    up = look.fact(units.up)
    if isinstance(up, Unobserved):
        return Unneeded(tuple(dict.fromkeys(listening)), up)
    silent = tuple(name for name, stems in SILENT.items() if name not in look.site.allowed_services and up.running(*stems))
    return Unneeded(tuple(dict.fromkeys(listening)), silent)


def _excuse(look: Look, service: str, port: int, protocol: str) -> str | Unobserved | None:
    if service in look.site.allowed_services:
        return "site"
    if any(one.port == port and one.protocol == protocol for one in look.site.approved_ports or ()):
        return "site"
    return _uses_nfs(look) if service == "rpcbind" else None


def _uses_nfs(look: Look) -> str | Unobserved | None:
    up = look.fact(units.up)
    mounted = look.fact(mounts.parse)
    if not isinstance(up, Unobserved) and up.running("nfs-server", "nfs-kernel-server", "nfs-mountd"):
        return "nfs"
    if isinstance(mounted, Unobserved):
        return mounted
    if any(mount.type in ("nfs", "nfs4", "nfsd") for mount in mounted.all):
        return "nfs"
    return up if isinstance(up, Unobserved) else None
