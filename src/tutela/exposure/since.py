"""What has changed since the previous scan: only ports that both asked are compared, and who falls silent has closed nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from tutela.errors import ScanError, said_by_system
from tutela.exposure.addresses import Ranges
from tutela.exposure.model import Address, Asked, Change, Event, Request, Service, Summary, Tally
from tutela.language import Text

MOST_LINE = 16 << 20
"""Characters of one line."""
Look = Callable[[Request, Callable[[], bool]], Iterator[Event]]
_Port = tuple[str, int]


class Scanned:
    """What one scan asked, and found: fed with its events, or read from the JSON lines it wrote."""

    def __init__(self) -> None:
        self.open: set[_Port] = set()
        self.services: dict[_Port, str] = {}
        self._addresses = Ranges()
        self._ports: frozenset[int] = frozenset()
        self.whole = False
        """It said what it asked: it went to its end."""

    def take(self, event: Event) -> None:
        """Take an event in."""
        if isinstance(event, Tally) and event.protocol == "tcp":
            self.open.update((event.address, port) for port in event.open)
        elif isinstance(event, Service) and event.protocol == "tcp":
            self.services[event.address, event.port] = described(event)
        elif isinstance(event, Asked) and event.protocol == "tcp":
            self.whole = True
            for span in event.addresses:
                first, _, last = span.partition("-")
                begin, end = ip_address(first), ip_address(last or first)
                self._addresses.add(begin.version, int(begin), int(end))
            self._ports |= {port for span in event.ports.split(",") if span for port in _run(span)}

    def asked(self, address: str, port: int) -> bool:
        """This port of this address was asked."""
        return port in self._ports and ip_address(address) in self._addresses


def read_previous(path: Path) -> Scanned:
    """The scan that a file of JSON lines tells. Raises ScanError."""
    scanned = Scanned()
    try:
        with path.open(encoding="utf-8") as file:
            number = 0
            while line := file.readline(MOST_LINE):
                number += 1
                try:
                    event = _event(json.loads(line))
                    if event is not None:
                        scanned.take(event)
                except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                    raise ScanError(
                        Text(f"{path}:{number} 不是 tutela scan --format jsonl 的输出", f"{path}:{number} is not what tutela scan --format jsonl writes")
                    ) from None
    except OSError as problem:
        why = said_by_system(problem)
        raise ScanError(Text(f"无法读取 {path}：{why.zh}", f"cannot read {path}: {why.en}")) from None
    except UnicodeDecodeError:
        raise ScanError(Text(f"{path} 不是 UTF-8 文本", f"{path} is no UTF-8 text")) from None
    if not scanned.whole:
        raise ScanError(Text(f"{path} 中的扫描没有完成，不能用来比较", f"the scan in {path} did not come to its end; it cannot be compared with"))
    return scanned


def compared(events: Iterable[Event], before: Scanned, look: Look, request: Request, *, stop: Callable[[], bool] = lambda: False) -> Iterator[Event]:
    """The events of a scan, and before its summary what has changed. What was open and did not answer is asked once more, on its own."""
    now = Scanned()
    summaries: list[Event] = []
    for event in events:
        now.take(event)
        if isinstance(event, Summary):
            summaries.append(event)
        else:
            yield event
    if now.whole and not stop():
        yield from _changes(before, now, look, request, stop)
    yield from summaries


def _changes(before: Scanned, now: Scanned, look: Look, request: Request, stop: Callable[[], bool]) -> Iterator[Change]:
    for address, port in sorted(now.open - before.open, key=_place):
        if before.asked(address, port):
            yield Change(address, "tcp", port, "opened", "", now.services.get((address, port), ""))
    for pair in sorted(now.open & before.open, key=_place):
        old, new = before.services.get(pair), now.services.get(pair)
        if old is not None and new is not None and old != new:
            yield Change(pair[0], "tcp", pair[1], "service", old, new)
    gone: dict[int, list[Address]] = {}
    for address, port in sorted(before.open - now.open, key=_place):
        if now.asked(address, port):
            gone.setdefault(port, []).append(ip_address(address))
    for port, addresses in gone.items():
        if stop():
            return
        yield from _ask_again(port, addresses, before, look, request, stop)


def _ask_again(port: int, addresses: list[Address], before: Scanned, look: Look, request: Request, stop: Callable[[], bool]) -> Iterator[Change]:
    again = Request(tuple(addresses), (port,), request.rate, request.host_rate, request.network_rate, request.rounds)
    for event in look(again, stop):
        # One that answers after all was lost on the way before, and has not changed.
        if isinstance(event, Tally) and event.asked and not event.open:
            what = "closed" if event.closed else "filtered" if event.filtered else "silent"
            yield Change(event.address, "tcp", port, what, before.services.get((event.address, port), ""), "")


def described(service: Service) -> str:
    """A service in words that stay the same as long as it does."""
    words = [service.name or "?", service.said]
    if service.without_authentication:
        words.append("without authentication")
    return " ".join(word for word in words if word)


def _event(line: dict[str, Any]) -> Event | None:
    """The events that matter here."""
    kind = line["event"]
    if kind == "tally":
        opened = tuple(int(port) for port in line["open"])
        return Tally(str(ip_address(line["address"])), 0, opened, 0, 0, 0, protocol=str(line.get("protocol", "tcp")))
    if kind == "service":
        name, said = line["name"], str(line.get("said", ""))
        return Service(str(ip_address(line["address"])), str(line["protocol"]), int(line["port"]), None if name is None else str(name), said, line.get("without_authentication"))  # fmt: skip
    if kind == "asked":
        return Asked(tuple(map(str, line["addresses"])), str(line["ports"]), str(line.get("protocol", "tcp")))
    return None


def _run(span: str) -> range:
    first, _, last = span.partition("-")
    begin, end = int(first), int(last or first)
    if not 1 <= begin <= end <= 65535:
        raise ValueError
    return range(begin, end + 1)


def _place(pair: _Port) -> tuple[int, int, int]:
    address = ip_address(pair[0])
    return address.version, int(address), pair[1]
