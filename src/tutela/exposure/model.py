"""What a scan is asked and what it tells, whichever way it looks."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address

from tutela.language import Text
from tutela.record import record

Address = IPv4Address | IPv6Address
RAW, FRAMES, CONNECT, UDP = "raw", "frames", "connect", "udp"
"""Methods: SYN packets through the kernel's routing, SYN frames to one gateway, connections, payloads over UDP."""


@record
class Request:
    """Request(addresses=(IPv4Address('192.0.2.10'),), ports=(22, 80))"""

    addresses: Sequence[Address]
    """A tuple, or Addresses where there are many."""
    ports: tuple[int, ...]
    rate: float = 150_000.0
    """Packets a second, all in all."""
    host_rate: float | None = None
    """Packets a second to one address; None: no limit of its own."""
    network_rate: float | None = None
    """Packets a second to one /24 (IPv6: /64)."""
    rounds: int | None = None
    """How often a silent port is asked; None: as the measured loss demands."""
    rtt_s: float | None = None
    """Round-trip time as a connection to the address tells it: waits grow with it as long as nothing answers, and never shrink.
    With `known`: as measured when the same addresses were asked before."""
    known: tuple[int, int] = (0, 0)
    """Round trips lost, and counted, in what was asked before on the same paths."""
    sparse: bool = False
    """Only addresses that answered get a tally: of a /16 most say nothing."""
    fresh: bool = False
    """What the resident scanner remembers of a moment ago will not do: the answer is held against what the host says of itself now."""


@record
class Open:
    """Open(address='192.0.2.10', protocol='tcp', port=22, after_s=0.03)"""

    address: str
    protocol: str
    port: int
    after_s: float
    """Seconds since the scan began."""


@record
class Tls:
    """Tls(versions=('TLSv1.2', 'TLSv1.3'), subject='www.example.net', names=('www.example.net',), ends='2027-01-31T00:00:00Z', …)"""

    versions: tuple[str, ...]
    """That the server agreed to, oldest first, of those that could be offered: SSLv2, SSLv3, TLSv1, TLSv1.1, …"""
    untested: tuple[str, ...]
    """Versions that the library of this machine cannot offer, and those whose answer did not come in time, or was not understood."""
    subject: str
    issuer: str
    names: tuple[str, ...]
    """Subject alternative names."""
    ends: str
    """UTC, ISO 8601."""
    key: str
    """RSA 2048, EC P-256, …"""
    trusted: bool | None
    """The chain leads to a root of this machine's store; None where that could not be tried."""
    hsts: str | None
    """The header's value; None without one, or where no HTTP is spoken."""
    stapled: bool | None = None
    """An answer of the OCSP responder comes with the certificate; None where the certificate names no responder, or in the case of TLS 1.3 alone, which hides it."""


@record
class Service:
    """Service(address='192.0.2.10', protocol='tcp', port=6379, name='redis', said='7.0.15', without_authentication=True)"""

    address: str
    protocol: str
    port: int
    name: str | None
    """ssh, http, https, mysql, redis, …; None: open, and nothing told what it is."""
    said: str = ""
    """Product and version as the service names itself, shortened, without control characters."""
    without_authentication: bool | None = None
    """It answers questions about its data to anybody; None: not established."""
    tls: Tls | None = None
    amplification: float | None = None
    """UDP: bytes of answer for each byte asked. Whoever forges the sender's address makes the service flood somebody else."""
    asked_bytes: int | None = None
    answered_bytes: int | None = None
    """UDP: of payload, over all rounds."""


@record
class Progress:
    """Progress(sent=1200, expected=131070, open=3, per_second=99000.0, left_s=1.3, lost=0.02)"""

    sent: int
    expected: int
    """Packets, at least; loss makes it more."""
    open: int
    per_second: float
    left_s: float
    lost: float | None
    """Share of round trips lost, None while unknown."""


@record
class Tally:
    """What became of one address: Tally(address='192.0.2.10', asked=65535, open=(22,), closed=65534, filtered=0, silent=0, …)"""

    address: str
    asked: int
    open: tuple[int, ...]
    closed: int
    """Refused by the host: RST."""
    filtered: int
    """Refused on the way: ICMP."""
    silent: int
    """No answer to any round."""
    note: Text | None = None
    """What one must know to read the numbers right, as that something answers for the host on every port."""
    protocol: str = "tcp"
    """With udp: open is what answered, closed what the host refused by ICMP, filtered what something on the way did, silent what may be either."""
    rtt_s: float | None = None
    """The quickest round trip to it, which no delay of our own lengthens; None when none was measured."""


@record
class Summary:
    """The whole scan: Summary(method='raw', seconds=1.1, packets=131070, rounds=2, lost=0.0, expected_missed=0.0, notes=())"""

    method: str
    seconds: float
    packets: int
    rounds: int
    lost: float | None
    """Share of round trips lost, as measured; None when nothing answered."""
    expected_missed: float | None
    """Open ports that loss may have hidden, at its upper bound; None when nothing answered."""
    notes: tuple[Text, ...] = ()
    counted: int = 0
    """Round trips that `lost` was measured on."""
    resident: bool = False
    """The resident scanner sent the packets, not this process."""
    cut: bool = False
    """It was ended before its end, by whoever asked or by the resident scanner's time limit: what it did not find may be open."""


@record
class Asked:
    """What was asked to the end, as the next scan is compared with it: Asked(addresses=('192.0.2.1-192.0.2.254',), ports='22,80,443')"""

    addresses: tuple[str, ...]
    """Addresses and ranges of them."""
    ports: str
    protocol: str = "tcp"


@record
class Change:
    """Change(address='192.0.2.10', protocol='tcp', port=22, what='closed', before='ssh', now='')"""

    address: str
    protocol: str
    port: int
    what: str
    """opened; closed (the host refused); filtered (something on the way did); silent (it was open and does not answer now, which is not the same as closed); service."""
    before: str = ""
    now: str = ""
    """What answers there, where that was looked into."""


Event = Open | Service | Progress | Tally | Summary | Asked | Change
