"""Ports of this host that could speak TLS, and the certificates that its web servers present. How they speak it shows only to somebody who connects.

Sources: what listens and who reaches it; x509(1ssl) -enddate of the certificates that nginx and Apache are configured with.
A configuration alone proves no protocol, since the library's own policy may forbid what a file allows; but a certificate that ends in the file ends for clients too.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from tutela.evidence import Reason, Unobserved
from tutela.facts import exposure
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record

CERTIFICATES = "openssl x509 -noout -enddate (certificates of web servers)"
NEEDS = (*exposure.NEEDS, CERTIFICATES)
PROGRAMS = {"nginx": "nginx", "openresty": "nginx", "angie": "nginx", "apache2": "apache", "httpd": "apache"}
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
NEVER = frozenset({"sshd", "dropbear", "knockd", "rpcbind", "rpc.statd", "rpc.mountd", "chronyd", "ntpd", "systemd-resolve", "avahi-daemon", "snmpd", "telnetd", "inetutils-inetd"})  # fmt: skip
"""Programs that speak no TLS on the ports they hold."""
NEVER_PORTS = frozenset({22, 23, 111, 2049})


@record
class Endpoint:
    """Endpoint(port=443, process='nginx')"""

    port: int
    process: str | Unobserved | None


@record
class Certificate:
    """Certificate(server='nginx', path='/etc/ssl/certs/www.pem', days_left=41)"""

    server: str
    """nginx | apache"""
    path: str
    days_left: int | Unobserved
    """Whole days until it ends; negative when it has ended."""


@record
class Tls:
    """Tls(endpoints=(Endpoint(port=443, process='nginx'),), certificates=(Certificate(…),), weak=Unobserved(…))"""

    endpoints: tuple[Endpoint, ...]
    """TCP ports beyond loopback on which a client may offer TLS."""
    certificates: tuple[Certificate, ...] | Unobserved
    """Those of nginx and Apache where these listen beyond loopback; other programs' are seen only by connecting."""
    weak: tuple[str, ...] | Unobserved
    """Endpoints with an old protocol, a bad certificate or a login in the clear."""


def parse(look: Look) -> Tls | Unobserved:
    """The fact."""
    seen = look.fact(exposure.parse)
    if isinstance(seen, Unobserved):
        return seen
    found = [
        Endpoint(port.port, port.process)
        for port in seen.ports
        if port.protocol == "tcp" and not port.local and port.process not in NEVER and port.port not in NEVER_PORTS
    ]
    scan = Unobserved(Reason.NO_VANTAGE, "scan", Text("需要从外部连接才能看到协议和证书", "protocol and certificate show only to a connection from outside"))
    servers = {PROGRAMS[one.process] for one in found if isinstance(one.process, str) and one.process in PROGRAMS}
    return Tls(tuple(dict.fromkeys(found)), _certificates(look, servers), scan if found else ())


_ROW = re.compile(r"(nginx|apache) (/\S{1,4000}) (?:notAfter=([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d{2}):(\d{2}):(\d{2}) (\d{4}) GMT|unreadable)")


def _certificates(look: Look, servers: set[str]) -> tuple[Certificate, ...] | Unobserved:
    if not servers:
        return ()
    lines = look.lines(CERTIFICATES)
    if isinstance(lines, Unobserved):
        return lines
    found = []
    for line in lines:
        row = _ROW.fullmatch(line)
        if row is None:
            return Unobserved(Reason.FORMAT, CERTIFICATES, Text("无法理解的一行", "a line that is not understood"))
        if row[1] in servers:
            found.append(Certificate(row[1], row[2], _days_left(look, row)))
    return tuple(found)


def _days_left(look: Look, row: re.Match[str]) -> int | Unobserved:
    if row[3] is None:
        return Unobserved(Reason.PRIVILEGE, row[2], Text("证书读不出来", "the certificate could not be read"))
    try:
        ends = datetime(int(row[8]), MONTHS.index(row[3]) + 1, int(row[4]), int(row[5]), int(row[6]), int(row[7]), tzinfo=UTC)
    except ValueError:
        return Unobserved(Reason.FORMAT, row[2], Text("无法理解的日期", "a date that is not understood"))
    return (ends - look.now).days
