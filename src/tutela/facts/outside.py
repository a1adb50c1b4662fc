"""Which ports of the host answer from outside: the centre's own look, never the host's word.

Source: the centre's scan of each address, one line an open port: `external 192.0.2.10 tcp 3306`. Classes: external (any network outside), campus (a neutral place inside that is no declared client).
A bundle from the host alone does not have it.
"""

from __future__ import annotations

import re
from ipaddress import ip_address

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts.cluster_services import PORTS as CLUSTER_PORTS
from tutela.facts.elasticsearch import SERVICE as ELASTICSEARCH
from tutela.facts.look import Look
from tutela.facts.memcached import SERVICE as MEMCACHED
from tutela.facts.mongodb import SERVICE as MONGODB
from tutela.facts.mysql import SERVICE as MYSQL
from tutela.facts.other_services import TABLE
from tutela.facts.postgresql import SERVICE as POSTGRESQL
from tutela.facts.redis import SERVICE as REDIS
from tutela.language import Text
from tutela.record import record

SCAN = "scan from outside (open ports)"
NEEDS = (SCAN,)
DATA_PORTS = frozenset(
    [
        111,
        2049,
        *CLUSTER_PORTS,
        *(port for one in (ELASTICSEARCH, MEMCACHED, MONGODB, MYSQL, POSTGRESQL, REDIS) for port in one.ports),
        *(port for engine in TABLE for port in engine.ports),
    ]
)
"""Ports of H-060 to H-067, NFS and rpcbind."""


@record
class OpenPort:
    """OpenPort(vantage='external', address='192.0.2.10', protocol='tcp', port=3306, data_service=True)"""

    vantage: str
    """external | campus"""
    address: str
    protocol: str
    port: int
    data_service: bool
    """One of the ports on which data services and NFS usually listen."""


@record
class Outside:
    """Outside(open=(OpenPort(…),))"""

    open: tuple[OpenPort, ...] | Unobserved


_LINE = re.compile(r"(external|campus) (\S{2,45}) (tcp|udp) ([0-9]{1,5})")


def parse(look: Look) -> Outside:
    """The fact."""
    if look.source(SCAN).status is Status.MISSING:
        return Outside(
            Unobserved(Reason.NO_VANTAGE, SCAN, Text("没有从外部探测过：只有主机自己的说法", "nobody looked from outside; there is only the host's own word"))
        )
    lines = look.lines(SCAN)
    if isinstance(lines, Unobserved):
        return Outside(lines)
    found = []
    for line in lines:
        if not line.strip():
            continue
        match = _LINE.fullmatch(line)
        if match is None or not _is_ip(match[2]):
            quoted = line.strip()[:120]
            return Outside(Unobserved(Reason.FORMAT, SCAN, Text(f"无法理解的一行：{quoted!r}", f"a line that is not understood: {quoted!r}")))
        found.append(OpenPort(match[1], match[2], match[3], int(match[4]), int(match[4]) in DATA_PORTS))
    return Outside(tuple(found))


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
