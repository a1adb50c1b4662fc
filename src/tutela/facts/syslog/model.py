"""What every log shipper's configuration comes down to: routes off the host."""

from __future__ import annotations

from tutela.evidence import Unobserved
from tutela.facts.syslog.coverage import Mask
from tutela.record import record

STATES = (
    "systemctl show -p Id,LoadState,ActiveState,ExecMainStartTimestampMonotonic rsyslog.service syslog-ng.service "
    "systemd-journal-upload.service fluent-bit.service vector.service filebeat.service"
)


@record
class Route:
    """One way off the host, as configured: Route(host='192.0.2.45', port=514, protocol='udp', tls=False, queue=False, mask=..., where='/etc/rsyslog.conf')"""

    host: str
    port: int | None
    protocol: str
    """udp | tcp | relp | http | kafka | other"""
    tls: bool | Unobserved
    queue: bool | Unobserved
    """A queue on disk keeps messages while the target is away."""
    mask: Mask | Unobserved
    """What is sent."""
    where: str
    """File that says so."""


@record
class Routing:
    """All routes of one shipper, and what of its configuration was not understood."""

    routes: tuple[Route, ...]
    files: tuple[str, ...]
    """Configuration files that were read, in order."""
    unread: tuple[Unobserved, ...] = ()
    """Included files or statements that could hold more."""
