"""Ports of this host that could speak TLS. How they speak it shows only to somebody who connects.

Source: what listens and who reaches it. A configuration alone proves neither protocol nor certificate: the library's own policy may forbid what a file allows.
"""

from __future__ import annotations

from dataclasses import dataclass

from tutela.evidence import Reason, Unobserved
from tutela.facts import exposure
from tutela.facts.look import Look
from tutela.language import Text

NEEDS = (*exposure.NEEDS,)
NEVER = frozenset({"sshd", "dropbear", "knockd", "rpcbind", "rpc.statd", "rpc.mountd", "chronyd", "ntpd", "systemd-resolve", "avahi-daemon", "snmpd", "telnetd", "inetutils-inetd"})  # fmt: skip
"""Programs that speak no TLS on the ports they hold."""
NEVER_PORTS = frozenset({22, 23, 111, 2049})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Endpoint(port=443, process='nginx')"""

    port: int
    process: str | Unobserved | None


@dataclass(frozen=True, slots=True)
class Tls:
    """Tls(endpoints=(Endpoint(port=443, process='nginx'),), accepted=Unobserved(…))"""

    endpoints: tuple[Endpoint, ...]
    """TCP ports beyond loopback on which a client may offer TLS."""
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
    return Tls(tuple(dict.fromkeys(found)), scan if found else ())
