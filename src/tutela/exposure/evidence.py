"""The events of a scan as evidence: one source for each address, in canonical text (docs/spec/scan.md).

What services said is foreign: it stands in JSON that is plain ASCII, so it can neither begin a line nor steer a terminal.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime

from tutela.evidence import Evidence, Status
from tutela.evidence.scan import MAGIC, NONE, scan_name, spans
from tutela.exposure.model import Address, Event, Open, Service, Summary, Tally, Tls
from tutela.language import Text

MAX_WORDS = 200
"""Characters kept of a name or a banner."""
MAX_NAMES = 50
"""Names kept of a certificate."""
_Port = tuple[str, int]
"""Protocol, port."""


class Recorder:
    """Takes the events of one scan, then says what was seen of each address."""

    def __init__(self, tcp: Iterable[int], udp: Iterable[int] = ()) -> None:
        asked = frozenset(tcp)
        self.tcp, self.udp, self._count = spans(asked), spans(udp), len(asked)
        self._udp_done: set[str] = set()
        """Addresses whose UDP ports were asked to the end."""
        self._open: dict[str, set[_Port]] = {}
        self._services: dict[tuple[str, _Port], Service] = {}
        self._tallies: dict[str, Tally] = {}
        self._summary: Summary | None = None

    def take(self, event: Event) -> None:
        """Note one event."""
        if isinstance(event, Open):
            self._open.setdefault(event.address, set()).add((event.protocol, event.port))
        elif isinstance(event, Service):
            place = (event.address, (event.protocol, event.port))
            # A UDP port may speak several protocols: what matters most stands in the evidence.
            self._services[place] = max(event, self._services.get(place, event), key=_weight)
        elif isinstance(event, Tally) and event.protocol == "udp":
            self._udp_done.add(event.address)
        elif isinstance(event, Tally):
            self._tallies[event.address] = event
            # The last word on TCP: ports that a helper answered in the host's place are not in it.
            kept = {one for one in self._open.get(event.address, set()) if one[0] != "tcp"}
            self._open[event.address] = kept | {("tcp", port) for port in event.open}
        elif isinstance(event, Summary) and self._summary is None:
            self._summary = event

    def evidence(self, address: str, vantage: str, at: datetime, *, whole: bool, echo: bool = False, identified: bool = True) -> Evidence:
        """What was seen of one address from `vantage`, the address packets came from.

        `whole`: the scan went to its end; `echo`: it answered an ICMP echo request, so there is a way to it; `identified`: open ports were asked what answers.
        """
        lines = [MAGIC, f"of {address}", f"from {vantage}", f"at {at.astimezone(UTC).strftime('%Y-%m-%dT%H:%M:%SZ')}"]
        summary, tally = self._summary, self._tallies.get(address)
        lines += [
            f"method {summary.method if summary else '-'}",
            *(["by the resident scanner"] if summary is not None and summary.resident else []),
            f"tcp {self.tcp}",
            f"udp {self.udp if address in self._udp_done else NONE}",
            f"rounds {summary.rounds if summary else 0}",
            f"lost {_number(summary.lost if summary else None, 4)}",
            f"missed {_number(summary.expected_missed if summary else None, 2)}",
        ]
        if tally is None:
            lines.append("answers - closed - filtered - silent")
        else:
            lines.append(f"answers {tally.closed} closed {tally.filtered} filtered {tally.silent} silent")
            if tally.note is not None:
                lines.append("everything answers")
        if echo:
            lines.append("echo answers")
        if not identified:
            lines.append("services not asked")
        lines += [self._line(address, port) for port in sorted(self._open.get(address, set()))]
        # Not to its end: stopped, ended by the resident scanner's time limit, or with questions that this machine or its guard did not let out.
        done = tally is not None and tally.asked >= self._count and (summary is None or not summary.cut)
        lines.append("end" if whole and done else "cut")
        return Evidence(scan_name(address, vantage), Status.OK, "\n".join(lines).encode("ascii"))

    def answered(self, address: str) -> bool:
        """Whether any port of it said anything itself, open or refused."""
        tally = self._tallies.get(address)
        return tally is not None and bool(tally.open or tally.closed)

    def _line(self, address: str, port: _Port) -> str:
        line = f"open {port[0]} {port[1]}"
        service = self._services.get((address, port))
        if service is None:
            return line
        said: dict[str, object] = {
            "name": _words(service.name),
            "said": _words(service.said),
            "without_authentication": service.without_authentication,
            "tls": _tls(service.tls),
        }
        if service.asked_bytes is not None:
            said |= {"asked_bytes": service.asked_bytes, "answered_bytes": service.answered_bytes}
        return f"{line} {json.dumps(said, ensure_ascii=True, sort_keys=True, separators=(',', ':'))}"


def not_looked(address: str, vantage: str, why: Text) -> Evidence:
    """What stands in the bundle where nobody could look: the reason, for the verdict to repeat."""
    said = json.dumps({"zh": why.zh[: 2 * MAX_WORDS], "en": why.en[: 2 * MAX_WORDS]}, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return Evidence(scan_name(address, vantage), Status.FAILED, said.encode(), 1)


def own_address(towards: Address) -> str | None:
    """The address that packets to `towards` leave with; None without a route. Nothing is sent."""
    with closing(socket.socket(socket.AF_INET if towards.version == 4 else socket.AF_INET6, socket.SOCK_DGRAM)) as one:
        try:
            one.connect((str(towards), 9))
        except OSError:
            return None
        return str(one.getsockname()[0]).partition("%")[0]


def _weight(service: Service) -> tuple[bool, float, bool]:
    return service.without_authentication is True, service.amplification or 0.0, service.name is not None


def _number(value: float | None, places: int) -> str:
    return "-" if value is None else f"{value:.{places}f}"


def _words(words: str | None) -> str | None:
    return None if words is None else words[:MAX_WORDS]


def _tls(tls: Tls | None) -> dict[str, object] | None:
    if tls is None:
        return None
    return {
        "versions": [_words(one) for one in tls.versions[:MAX_NAMES]],
        "untested": [_words(one) for one in tls.untested[:MAX_NAMES]],
        "subject": _words(tls.subject),
        "issuer": _words(tls.issuer),
        "names": [_words(one) for one in tls.names[:MAX_NAMES]],
        "ends": _words(tls.ends),
        "key": _words(tls.key),
        "trusted": tls.trusted,
        "hsts": _words(tls.hsts),
    }
