"""Services that speak in clear, or that are older than encryption, and who reaches them (catalogue H-049).

Recognised by port and by program; encryption counts only where a configuration that enforces it was seen.
Sources: services(5); vsftpd.conf(5); snmpd.conf(5), communities masked but for the published ones.
"""

from __future__ import annotations

import re

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts import exposure
from tutela.facts.bound import ACTIVATORS
from tutela.facts.exposure import Port
from tutela.facts.listing import entries
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record

VSFTPD = ("/etc/vsftpd.conf", "/etc/vsftpd/vsftpd.conf")
PURE_FTPD = ("/etc/pure-ftpd.conf", "/etc/pure-ftpd/pure-ftpd.conf", "/www/server/pure-ftpd/etc/pure-ftpd.conf")
PURE_FTPD_DIRECTORY = "/etc/pure-ftpd/conf"
SNMPD = "/etc/snmp/snmpd.conf"
SNMPD_LOCAL = "/etc/snmp/snmpd.local.conf"
"""snmpd reads it behind the other one without being told."""
NEEDS = (*VSFTPD, *PURE_FTPD, f"{PURE_FTPD_DIRECTORY}/", SNMPD, SNMPD_LOCAL, *exposure.NEEDS)

PORTS: dict[tuple[str, int], str] = {
    ("tcp", 21): "ftp",
    ("tcp", 23): "telnet",
    ("udp", 69): "tftp",
    ("tcp", 79): "finger",
    ("tcp", 111): "rpcbind",
    ("udp", 111): "rpcbind",
    ("udp", 161): "snmp",
    ("tcp", 389): "ldap",
    ("tcp", 512): "rexec",
    ("tcp", 513): "rlogin",
    ("tcp", 514): "rsh",
}
PROGRAMS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(in\.)?telnetd$"), "telnet"),
    (re.compile(r"(in\.)?(rshd|rlogind|rexecd)$"), "rsh"),
    (re.compile(r"(in\.tftpd|tftpd|atftpd|tftpd-hpa)$"), "tftp"),
    (re.compile(r"(vsftpd|proftpd|pure-ftpd.*|ftpd|in\.ftpd)$"), "ftp"),
    (re.compile(r"(in\.)?fingerd$"), "finger"),
    (re.compile(r"(X|Xorg|Xwayland|Xvfb)$"), "x11"),
    (re.compile(r"(Xvnc|Xtightvnc|Xtigervnc|x11vnc|vino-server|x0vncserver|vncserver.*)$"), "vnc"),
    (re.compile(r"snmpd$"), "snmp"),
    (re.compile(r"rpcbind$"), "rpcbind"),
)
SHARED = frozenset(["rsh", "x11", "vnc"])
"""Whose ports others use as well: Java takes logs on 514, other programs stand on the many ports of displays."""


@record
class PlainService:
    """PlainService(service='telnet', port=23, protocol='tcp', family='ipv4', process='inetd', outside=True, protected=False, sources=('0.0.0.0/0',))"""

    service: str
    """telnet | rsh | rlogin | rexec | tftp | ftp | finger | x11 | vnc | snmp | rpcbind | ldap"""
    port: int
    protocol: str
    family: str
    process: str | Unobserved | None
    outside: bool | Unobserved
    """Reached from campus or beyond; rpcbind and LDAP from others than the declared clients."""
    protected: bool | Unobserved
    """Its settings enforce encryption (FTP over TLS, SNMP version 3)."""
    sources: tuple[str, ...] | Unobserved


@record
class PlainServices:
    """PlainServices(services=(PlainService(…),))"""

    services: tuple[PlainService, ...]
    """By port, family."""


def parse(look: Look) -> PlainServices | Unobserved:
    """The fact."""
    reachable = look.fact(exposure.parse)
    if isinstance(reachable, Unobserved):
        return reachable
    found = []
    for port in reachable.ports:
        service = _service(port)
        if service is None or port.local:
            continue
        found.append(
            PlainService(service, port.port, port.protocol, port.family, port.process, _outside(service, port), _protected(look, service, port), port.sources)
        )
    return PlainServices(tuple(found))


def _service(port: Port) -> str | None:
    name = port.process if isinstance(port.process, str) else ""
    for pattern, service in PROGRAMS:
        # The high ports of rpcbind and the data ports of FTP are those services too.
        if pattern.match(name):
            return service
    if port.protocol == "tcp" and 6000 <= port.port <= 6063 and not name:
        return "x11"
    if port.protocol == "tcp" and 5900 <= port.port <= 5963:
        return "vnc"
    by_port = PORTS.get((port.protocol, port.port))
    if by_port == "rsh" and name not in ("", *ACTIVATORS):
        return None  # syslog over TCP has long used the port of rsh
    return by_port


def _outside(service: str, port: Port) -> bool | Unobserved:
    if service in ("rpcbind", "ldap"):
        return port.undeclared  # a file server's or directory's own clients need them
    if port.external is True or port.campus is True:
        return True
    return next((one for one in (port.external, port.campus) if isinstance(one, Unobserved)), False)


def _protected(look: Look, service: str, port: Port) -> bool | Unobserved:
    if isinstance(port.process, Unobserved) and (service == "ftp" or service in SHARED):
        return port.process
    if service == "ftp":
        return _ftp(look, port)
    if service == "snmp":
        return _snmp(look)
    return False


def _ftp(look: Look, port: Port) -> bool | Unobserved:
    """vsftpd or Pure-FTPd that takes passwords and data only over TLS; other servers' settings are not known here."""
    if isinstance(port.process, str) and port.process.startswith("pure-ftpd"):
        return _pure_ftpd(look)
    name = next((name for name in VSFTPD if look.source(name).status is Status.OK), None)
    if port.process != "vsftpd":
        return Unobserved(Reason.FORMAT, str(port.process), Text("不会读这个 FTP 服务的 TLS 设置", "the TLS settings of this FTP server cannot be read"))
    if name is None:
        text = look.text(VSFTPD[0])
        return text if isinstance(text, Unobserved) else False
    text = look.text(name)
    if isinstance(text, Unobserved):
        return text
    settings = dict(re.findall(r"(?m)^([a-z_]+)=(\S+)", text.lower()))
    return all(
        settings.get(key, default) in ("yes", "true", "1")
        for key, default in (("ssl_enable", "no"), ("force_local_logins_ssl", "yes"), ("force_local_data_ssl", "yes"))
    )


def _pure_ftpd(look: Look) -> bool | Unobserved:
    """TLS 3 refuses passwords and data in clear, 2 passwords only, 1 nothing. Debian has a file for each setting and leaves the other one alone."""
    names = entries(look, PURE_FTPD_DIRECTORY)
    if isinstance(names, Unobserved):
        return names
    if names:
        text = look.text(f"{PURE_FTPD_DIRECTORY}/TLS") if "TLS" in names else "0"
        return text if isinstance(text, Unobserved) else text.strip() == "3"
    name = next((name for name in PURE_FTPD if look.source(name).status is not Status.ABSENT), PURE_FTPD[0])
    text = look.text(name)
    return text if isinstance(text, Unobserved) else re.findall(r"(?m)^tls\s+([0-3])", text.lower())[-1:] == ["3"]


def _snmp(look: Look) -> bool | Unobserved:
    """Version 3 only: no community at all. A community of one's own is still sent in clear, but is no published password."""
    texts = [look.text(SNMPD), *(look.text(name) for name in look.names(f"{SNMPD}.d/") if name.endswith(".conf"))]
    if look.source(SNMPD_LOCAL).status is not Status.ABSENT:
        texts.append(look.text(SNMPD_LOCAL))
    doubt = next((text for text in texts if isinstance(text, Unobserved)), None)
    lines = [line for text in texts if isinstance(text, str) for line in text.split("\n")]
    for line in lines:
        words = [word.strip('"') for word in line.split()]
        if words and words[0].lower() in ("includefile", "includedir") and words[1:2] not in ([f"{SNMPD}.d"], [f"{SNMPD}.d/"], ["***"]):
            doubt = doubt or Unobserved(Reason.FORMAT, SNMPD, Text("包含了没有读取的文件", "it includes files that are not read"))
        if not words or not re.fullmatch(r"(r[ow]community6?|com2sec6?)", words[0].lower()) or not {"public", "private"} & set(words[1:]):
            continue
        # Who may use it: rocommunity COMMUNITY [SOURCE], com2sec [-Cn CONTEXT] NAME SOURCE COMMUNITY.
        source = words[2:3] if "community" in words[0].lower() else words[-2:-1]
        if source and source[0].startswith(("127.", "::1", "localhost")):
            continue  # as openSUSE ships it
        return False
    return doubt if doubt is not None else True
