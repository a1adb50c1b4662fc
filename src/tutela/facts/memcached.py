"""Memcached: where it listens over TCP and UDP, whether it asks who is there.

Sources: the running command line, else /etc/memcached.conf (Debian) or OPTIONS of /etc/sysconfig/memcached (RHEL family); memcached(1).
"""

from __future__ import annotations

from tutela.evidence import Reason, Unobserved
from tutela.facts import bound
from tutela.facts.bound import Endpoint, Process, Service
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record

SERVICE = Service(processes=("memcached",), ports=(11211,), packages=("memcached",))
FILES = ("/etc/memcached.conf", "/etc/sysconfig/memcached")
NEEDS = (*bound.NEEDS, *FILES)


@record
class Memcached:
    """Memcached(present=True, endpoints=(Endpoint(…),), udp=False, sasl=False, beyond_loopback=False)"""

    present: bool | Unobserved
    endpoints: tuple[Endpoint, ...] | Unobserved
    udp: bool | Unobserved
    """It answers over UDP beyond loopback, which makes it an amplifier."""
    sasl: bool | Unobserved
    """-S, --enable-sasl or -Y: a client must say who it is."""
    beyond_loopback: bool | Unobserved


def parse(look: Look) -> Memcached | Unobserved:
    """The fact; Unobserved when neither processes nor sockets were seen."""
    up = bound.running(look, SERVICE)
    found = bound.endpoints(look, SERVICE)
    if isinstance(up, Unobserved) and isinstance(found, Unobserved):
        return up
    texts = [look.text_or_none(name) for name in FILES]
    doubt = next((text for text in texts if isinstance(text, Unobserved)), None)
    configured = doubt if doubt is not None else any(isinstance(text, str) and bool(text.strip()) for text in texts)
    return Memcached(
        present=bound.present(look, SERVICE, configured),
        endpoints=found,
        udp=found if isinstance(found, Unobserved) else any(one.protocol == "udp" and one.state != "loopback" for one in found),
        sasl=up if isinstance(up, Unobserved) else _sasl(up, found),
        beyond_loopback=bound.beyond_loopback(found),
    )


def _sasl(up: tuple[Process, ...], found: tuple[Endpoint, ...] | Unobserved) -> bool | Unobserved:
    """Whether every running server asks; its command line is what it was started with."""
    if not up:
        if isinstance(found, Unobserved) or found:
            return Unobserved(Reason.NO_VANTAGE, bound.PROCESSES, Text("看不到它的命令行", "its command line is not seen"))
        return False
    return all(any(one.option(name) is not None for name in ("S", "enable-sasl", "Y", "auth-file")) for one in up)
