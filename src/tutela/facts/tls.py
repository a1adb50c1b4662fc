"""Ports of this host that could speak TLS, and the certificates that its web servers present. How they speak it shows only to somebody who connects.

Sources: what listens and who reaches it; x509(1ssl) -enddate of the certificates that nginx and Apache are configured with.
A configuration alone proves no protocol, since the library's own policy may forbid what a file allows; but a certificate that ends in the file ends for clients too.
Protocols, chain, names and key are what a scan saw that identified the service (docs/spec/scan.md), wherever it looked from: TLS speaks alike to all.
Bounds: RFC 6176, 7568 and 8996 (SSL 2 and 3, TLS 1.0 and 1.1 must not be used), NIST SP 800-57 part 1 (RSA 2048, P-256), RFC 9525 (names stand in the subject alternative name), RFC 6797 (HSTS).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from tutela.evidence import Reason, Unobserved
from tutela.facts import exposure, hostname, outside
from tutela.facts.look import Look
from tutela.facts.outside import Place
from tutela.facts.scans import Found, TlsSeen
from tutela.facts.web import PROGRAMS
from tutela.language import Text
from tutela.record import record

CERTIFICATES = "openssl x509 -noout -enddate (certificates of web servers)"
NEEDS = (*exposure.NEEDS, *outside.NEEDS, *hostname.NEEDS, CERTIFICATES)
OLD = ("SSLv2", "SSLv3", "TLSv1", "TLSv1.0", "TLSv1.1")
HSTS_S = 15_552_000
"""hsts.min_age, seconds: 180 days."""
WEB = ("http", "https")
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
class Weak:
    """Weak(address='192.0.2.10', port=443, problem='old protocol', seen='TLSv1')"""

    address: str
    port: int
    problem: str
    """old protocol | weak key | no names | unknown issuer | no HSTS | short HSTS | ended"""
    seen: str


@record
class Presented:
    """Presented(address='192.0.2.10', port=443, days_left=41): a certificate as a client gets it."""

    address: str
    port: int
    days_left: int | Unobserved


@record
class Tls:
    """Tls(endpoints=(Endpoint(port=443, process='nginx'),), certificates=(Certificate(…),), weak=Unobserved(…), presented=())"""

    endpoints: tuple[Endpoint, ...]
    """TCP ports beyond loopback on which a client may offer TLS."""
    certificates: tuple[Certificate, ...] | Unobserved
    """Those of nginx and Apache where these listen beyond loopback; other programs' are seen only by connecting."""
    weak: tuple[Weak | Unobserved, ...] | Unobserved
    """What is wrong with how endpoints speak, with a hole for each one that was not seen speaking."""
    presented: tuple[Presented, ...]
    """Certificates that scans saw; empty also when nobody looked."""


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
    servers = {PROGRAMS[one.process] for one in found if isinstance(one.process, str) and one.process in PROGRAMS}
    endpoints = tuple(dict.fromkeys(found))
    seen_from = look.fact(outside.parse)
    spoke = [(place, one) for place in seen_from.places for one in place.open if one.protocol == "tcp"]
    presented = tuple(dict.fromkeys(Presented(place.address, one.port, _left(look, one.tls.ends)) for place, one in spoke if one.tls is not None))
    certificates = _certificates(look, servers)
    if not any(one.service is not None for _, one in spoke):
        scan = Unobserved(
            Reason.NO_VANTAGE, "scan", Text("需要从外部连接才能看到协议和证书", "protocol and certificate show only to a connection from outside")
        )
        return Tls(endpoints, certificates, scan if endpoints else (), presented)
    told = {one.port for _, one in spoke if one.service is not None}
    asked = {endpoint.port for endpoint in endpoints} | {one.port for _, one in spoke if one.port not in NEVER_PORTS}
    weak: list[Weak | Unobserved] = [_unspoken(port) for port in sorted(asked - told)]
    for place, one in spoke:
        if one.tls is not None:
            weak += _problems(look, place, one, one.tls)
    return Tls(endpoints, certificates, tuple(dict.fromkeys(weak)), presented)


def _unspoken(port: int) -> Unobserved:
    return Unobserved(
        Reason.NO_VANTAGE, "scan", Text(f"端口 {port} 没有被识别：不知道它是否使用 TLS", f"port {port} was not identified: whether it speaks TLS is not known")
    )


def _problems(look: Look, place: Place, one: Found, tls: TlsSeen) -> Iterator[Weak | Unobserved]:
    def weak(problem: str, seen: str) -> Weak:
        return Weak(place.address, one.port, problem, seen[:120])

    def doubt(zh: str, en: str) -> Unobserved:
        return Unobserved(Reason.NO_ANSWER, f"scan of {place.address}", Text(f"{one.port} 端口：{zh}", f"port {one.port}: {en}"))

    old = [version for version in tls.versions if version in OLD]
    if old:
        yield weak("old protocol", ", ".join(old))
    elif any(version in OLD for version in tls.untested):
        listed = ", ".join(version for version in tls.untested if version in OLD)
        yield doubt(
            f"不知道是否接受 {listed}：探测方没能提出，或者没有及时得到回答",
            f"whether {listed} is taken is not known: the looking side could not offer it, or got no answer in time",
        )
    if not tls.versions:
        yield doubt("没有谈成任何协议", "no protocol was agreed on")
    if tls.ends is None:
        yield doubt("证书日期无法理解", "the certificate's date is not understood")
    elif tls.ends <= look.now:
        yield weak("ended", tls.ends.strftime("%Y-%m-%d"))
    strength = _strong_key(tls.key)
    if strength is None:
        yield doubt(f"不认识的密钥 {tls.key[:40]!r}", f"a key that is not known: {tls.key[:40]!r}")
    elif not strength:
        yield weak("weak key", tls.key)
    if tls.trusted is None:
        yield doubt("证书链没有验证", "the chain was not verified")
    elif not tls.trusted:
        yield weak("unknown issuer", tls.subject)
    if not tls.names:
        # Without a date the certificate could not be read at all.
        yield weak("no names", tls.subject) if tls.ends is not None else doubt("证书无法读取", "the certificate could not be read")
    elif not _named(look, place, tls):
        yield doubt(
            "不知道客户端使用哪个名称，证书上没有主机名或地址",
            "which name clients use is not declared, and the certificate has neither the host's name nor its address",
        )
    if one.service in WEB:
        yield from (weak(problem, seen) for problem, seen in _hsts(tls.hsts))


_KEY = re.compile(r"(RSA|DSA|EC|Ed|SM2)\D{0,20}([0-9]{0,5})")


def _strong_key(words: str) -> bool | None:
    """RSA 2048, P-256, SM2 or better; None: not known."""
    if words.startswith(("Ed25519", "Ed448", "SM2")):
        return True
    match = _KEY.match(words)
    if match is None or not match[2]:
        return None
    if match[1] == "RSA":
        return int(match[2]) >= 2048
    return int(match[2]) >= 256 if match[1] == "EC" else False if match[1] == "DSA" else None


def _named(look: Look, place: Place, tls: TlsSeen) -> bool:
    """Whether the certificate has a name by which this host is known here."""
    known = look.fact(hostname.parse)
    names = {place.address, look.site.inventory_name or ""}
    if not isinstance(known, Unobserved):
        names |= {name for name in (known.static, known.running) if isinstance(name, str)}
    wanted = {name.lower().rstrip(".") for name in names if name}
    return any(_matches(one.lower(), name) for one in tls.names for name in wanted)


def _matches(pattern: str, name: str) -> bool:
    """RFC 9525: a star stands for the whole of the first label."""
    if not pattern.startswith("*."):
        return pattern == name
    return name.partition(".")[2] == pattern[2:] and not name.startswith(".")


def _hsts(value: str | None) -> Iterator[tuple[str, str]]:
    if value is None:
        yield "no HSTS", "-"
        return
    age = re.search(r"max-age\s*=\s*\"?([0-9]{1,12})", value, re.IGNORECASE)
    if age is None or int(age[1]) < HSTS_S:
        yield "short HSTS", value


def _left(look: Look, ends: datetime | None) -> int | Unobserved:
    if ends is None:
        return Unobserved(Reason.FORMAT, "scan", Text("无法理解的日期", "a date that is not understood"))
    return (ends - look.now).days


_ROW = re.compile(r"(nginx|apache) (/\S{1,4000}) (?:notAfter=([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d{2}):(\d{2}):(\d{2}) (\d{4}) GMT|unreadable|(unread))")


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
    if row[9] is not None:
        return Unobserved(Reason.NO_DATA, row[2], Text("证书过多，这一张没有读取", "there are many certificates, and this one was not read"))
    if row[3] is None:
        return Unobserved(Reason.PRIVILEGE, row[2], Text("证书读不出来", "the certificate could not be read"))
    try:
        ends = datetime(int(row[8]), MONTHS.index(row[3]) + 1, int(row[4]), int(row[5]), int(row[6]), int(row[7]), tzinfo=UTC)
    except ValueError:
        return Unobserved(Reason.FORMAT, row[2], Text("无法理解的日期", "a date that is not understood"))
    return (ends - look.now).days
