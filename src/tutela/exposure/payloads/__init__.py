"""Questions to UDP services: a port that gets none of these says nothing.

Each is written from its protocol's specification and is harmless: it reads what the service tells everybody, tries no password but the community `public`,
and leaves at most an entry that the service forgets by itself. Ports of fragile devices (`ports.FRAGILE`: IPMI, BACnet, …) are never asked.

Some services stay silent before strangers by design, and no question can find them: WireGuard, OpenVPN with tls-auth or tls-crypt,
RADIUS without its secret, syslog, DHCP to other networks.
"""

from __future__ import annotations

from tutela.exposure.payloads.managing import MANAGING
from tutela.exposure.payloads.naming import NAMING
from tutela.exposure.payloads.question import Answer, Question, recognise
from tutela.exposure.payloads.small import SMALL
from tutela.exposure.payloads.tunnels import TUNNELS

QUESTIONS: tuple[Question, ...] = (*NAMING, *MANAGING, *TUNNELS, *SMALL)
PORTS: tuple[int, ...] = tuple(sorted({port for question in QUESTIONS for port in question.ports}))

__all__ = ["PORTS", "QUESTIONS", "Answer", "Question", "recognise"]
