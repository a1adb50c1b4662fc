"""Scans of this host, each as one place saw one address. Only read here; what they prove is for `outside`.

Source: what the exposure room writes (docs/spec/scan.md). Banners and certificates in it are foreign words, and a bundle may come from anybody: whatever is not in the format is unknown.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from tutela.evidence import Reason, Status, Unobserved
from tutela.evidence.scan import MAGIC, NONE, PREFIX
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record

NEEDS = (PREFIX,)
MAX_SCANS = 256
MAX_LINE = 500_000
"""More than the longest line that is written: a certificate full of odd names must not make a scan unreadable."""


@record
class TlsSeen:
    """What an endpoint answered to a TLS client: TlsSeen(versions=('TLSv1.2', 'TLSv1.3'), names=('www.example.net',), …)"""

    versions: tuple[str, ...]
    """That the server agreed to."""
    untested: tuple[str, ...]
    """That the looking side could not offer."""
    subject: str
    names: tuple[str, ...]
    ends: datetime | None
    """None: a date that is not understood."""
    key: str
    """RSA 2048, EC P-256, …"""
    trusted: bool | None
    hsts: str | None


@record
class Found:
    """Found(protocol='tcp', port=443, service='https', said='nginx', without_authentication=None, tls=TlsSeen(…))"""

    protocol: str
    port: int
    service: str | None
    """None: nobody asked, or nothing told what it is."""
    said: str
    without_authentication: bool | None
    tls: TlsSeen | None
    asked_bytes: int | None = None
    """UDP: bytes of payload that it was asked, over all rounds."""
    answered_bytes: int | None = None

    @property
    def amplification(self) -> float:
        """Bytes of answer for each byte asked; 0 where it was not measured."""
        return (self.answered_bytes or 0) / self.asked_bytes if self.asked_bytes else 0.0


@record
class Scan:
    """Scan(vantage='203.0.113.7', address='192.0.2.10', at=…, method='raw', tcp=((1, 65535),), udp=(), whole=True, …)"""

    vantage: str
    """The address it came from."""
    address: str
    at: datetime
    """When it began, UTC, by the clock of the side that looked."""
    method: str
    tcp: tuple[tuple[int, int], ...]
    """Ports that were asked, as ranges with both ends."""
    udp: tuple[tuple[int, int], ...]
    whole: bool
    """It went to its end."""
    everything: bool
    """Something answers on every port: an open port alone says nothing of this host."""
    answered: bool
    """At least one answer came, a port's or to an ICMP echo request: there is a way from there to here."""
    missed: float | None
    """Open ports that loss may have hidden, at the upper bound."""
    identified: bool
    """Open ports were asked what answers there."""
    open: tuple[Found, ...]

    def asked(self, ports: frozenset[int]) -> bool:
        """Whether all of these TCP ports were asked."""
        return all(any(low <= port <= high for low, high in self.tcp) for port in ports)


@record
class Scans:
    """Scans(seen=(Scan(…),), unseen=())"""

    seen: tuple[Scan, ...]
    unseen: tuple[Unobserved, ...]
    """Scans that could not be made or are not understood."""


def parse(look: Look) -> Scans:
    """The fact."""
    seen: list[Scan] = []
    unseen: list[Unobserved] = []
    for name in list(look.names(PREFIX))[:MAX_SCANS]:
        found = _scan(look, name)
        if isinstance(found, Scan):
            seen.append(found)
        else:
            unseen.append(found)
    return Scans(tuple(sorted(seen, key=lambda one: (one.address, one.vantage, one.at))), tuple(unseen))


_HEAD = re.compile(
    rf"{MAGIC}\nof (?P<of>\S{{2,45}})\nfrom (?P<from>\S{{2,45}})\nat (?P<at>[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T[0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}Z)\n"
    r"method (?P<method>[a-z-]{1,20})\n(?:by the resident scanner\n)?tcp (?P<tcp>\S+)\nudp (?P<udp>\S+)\nrounds [0-9]{1,4}\nlost (?:-|[01]\.[0-9]{4})\nmissed (?P<missed>-|[0-9]{1,9}\.[0-9]{2})\n"
    r"answers (?P<closed>-|[0-9]{1,6}) closed (?:-|[0-9]{1,6}) filtered (?:-|[0-9]{1,6}) silent\n(?P<everything>everything answers\n)?(?P<echo>echo answers\n)?(?P<unasked>services not asked\n)?",
    re.ASCII,
)
_OPEN = re.compile(r"open (tcp|udp) ([1-9][0-9]{0,4})(?: (\{.*\}))?", re.ASCII)


_SAID = {"name", "said", "tls", "without_authentication"}
_SAID_OVER_UDP = _SAID | {"asked_bytes", "answered_bytes"}


def _scan(look: Look, name: str) -> Scan | Unobserved:
    source = look.source(name)
    if source.status is Status.FAILED:
        return Unobserved(Reason.NO_VANTAGE, name, _reason(source.content))
    text = look.text(name)
    if isinstance(text, Unobserved):
        return text
    head = _HEAD.match(text)
    if head is None:
        return _strange(name, text.partition("\n")[0])
    *lines, last = text[head.end() :].rstrip("\n").split("\n")
    if last not in ("end", "cut") or len(lines) > 2 * 65536:
        return _strange(name, last)
    tcp, udp, at = _spans(head["tcp"]), _spans(head["udp"]), _moment(head["at"])
    vantage, address = _address(head["from"]), _address(head["of"])
    # The name of the source is how a reader finds it: it must not say something else than the text.
    if tcp is None or udp is None or at is None or vantage is None or address is None or not name.startswith(f"{PREFIX}{address} from {vantage}"):
        return _strange(name, head[0].replace("\n", " "))
    found = []
    for line in lines:
        one = _found(line)
        if one is None:
            return _strange(name, line)
        found.append(one)
    # What was refused on the way may have been refused by the looking machine itself.
    refused = head["closed"] not in ("-", "0")
    return Scan(
        vantage=vantage,
        address=address,
        at=at,
        method=head["method"],
        tcp=tcp,
        udp=udp,
        whole=last == "end",
        everything=head["everything"] is not None,
        answered=bool(found) or refused or head["echo"] is not None,
        missed=None if head["missed"] == "-" else float(head["missed"]),
        identified=head["unasked"] is None,
        open=tuple(found),
    )


def _strange(name: str, words: str) -> Unobserved:
    quoted = words.strip()[:120]
    return Unobserved(Reason.FORMAT, name, Text(f"无法理解的一行：{quoted!r}", f"a line that is not understood: {quoted!r}"))


def _reason(content: bytes) -> Text:
    try:
        said = json.loads(content)
        return Text(str(said["zh"])[:400], str(said["en"])[:400])
    except (ValueError, KeyError, TypeError, RecursionError):
        return Text("扫描没有成功", "the scan did not succeed")


def _address(words: str) -> str | None:
    try:
        found: IPv4Address | IPv6Address = ip_address(words)
    except ValueError:
        return None
    return str(found) if str(found) == words else None


def _moment(words: str) -> datetime | None:
    try:
        return datetime.strptime(words, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def _spans(words: str) -> tuple[tuple[int, int], ...] | None:
    if words == NONE:
        return ()
    found = []
    for word in words.split(","):
        match = re.fullmatch(r"([1-9][0-9]{0,4})(?:-([1-9][0-9]{0,4}))?", word, re.ASCII)
        if match is None:
            return None
        low, high = int(match[1]), int(match[2] or match[1])
        if not low <= high <= 65535:
            return None
        found.append((low, high))
    return tuple(found)


def _found(line: str) -> Found | None:
    match = _OPEN.fullmatch(line) if len(line) <= MAX_LINE else None
    if match is None or int(match[2]) > 65535:
        return None
    if match[3] is None:
        return Found(match[1], int(match[2]), None, "", None, None)
    try:
        said = json.loads(match[3])
        if set(said) not in (_SAID, _SAID_OVER_UDP):
            return None
        return Found(
            match[1],
            int(match[2]),
            _one_of(said["name"], str, type(None)),
            _one_of(said["said"], str),
            _one_of(said["without_authentication"], bool, type(None)),
            None if said["tls"] is None else _tls(said["tls"]),
            _bytes(said.get("asked_bytes")),
            _bytes(said.get("answered_bytes")),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _bytes(said: Any) -> int | None:
    if said is None:
        return None
    if type(said) is not int or not 0 <= said < 1 << 40:
        raise TypeError
    return said


def _tls(said: Any) -> TlsSeen:
    return TlsSeen(
        versions=_texts(said["versions"]),
        untested=_texts(said["untested"]),
        subject=_one_of(said["subject"], str),
        names=_texts(said["names"]),
        ends=_moment(_one_of(said["ends"], str)),
        key=_one_of(said["key"], str),
        trusted=_one_of(said["trusted"], bool, type(None)),
        hsts=_one_of(said["hsts"], str, type(None)),
    )


def _texts(said: Any) -> tuple[str, ...]:
    return tuple(_one_of(one, str) for one in _one_of(said, list))


def _one_of(value: Any, *kinds: type) -> Any:
    if not isinstance(value, kinds):
        raise TypeError
    return value
