"""Events and requests as JSON objects, one a line: what `tutela scan -f jsonl` prints, and what the resident scanner and its clients say to each other."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from ipaddress import ip_address
from typing import Any

from tutela.errors import ScanError
from tutela.exposure.addresses import Addresses
from tutela.exposure.model import Asked, Change, Event, Open, Progress, Request, Service, Summary, Tally, Tls
from tutela.language import Text

SCHEMA = "tutela/scan/1"
REQUEST = "tutela/scanner/1"
MOST_LINE = 1 << 20
"""Bytes of a request's line."""
_KINDS: dict[str, Any] = {kind.__name__.lower(): kind for kind in (Open, Service, Progress, Tally, Summary, Asked, Change)}
_NUMBERS = ("rate", "host_rate", "network_rate", "rtt_s")
_FLAGS = ("sparse", "fresh")
_FIELDS = {"schema", "addresses", "ports", "rounds", "known", "seconds", *_FLAGS, *_NUMBERS}


def event_line(event: Event, **more: Any) -> str:
    """One event as one line, in which nothing steers a terminal."""
    words = json.dumps({"schema": SCHEMA, "event": type(event).__name__.lower(), **plain(event), **more}, ensure_ascii=False)
    return (words if words.isprintable() else "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in words)) + "\n"


def plain(value: Any) -> Any:
    """Records, sentences and tuples as objects and lists."""
    if isinstance(value, Text):
        return {"zh": value.zh, "en": value.en}
    if isinstance(value, tuple):
        return [plain(one) for one in value]
    if hasattr(value, "__dataclass_fields__"):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    return value


def read_event(said: Mapping[str, Any]) -> Event:
    """The event that an object tells. Raises ScanError."""
    kind = _KINDS.get(str(said.get("event")))
    if kind is None:
        raise _strange(f"event {said.get('event')!r}")
    known = {field.name for field in fields(kind)}
    try:
        event: Event = kind(**{name: _read(name, value) for name, value in said.items() if name in known})
    except (TypeError, ValueError):
        raise _strange(f"event {said.get('event')!r}") from None
    return event


def _read(name: str, value: Any) -> Any:
    if name == "tls" and isinstance(value, dict):
        return Tls(**{key: _read(key, one) for key, one in value.items()})
    if isinstance(value, dict):
        return Text(str(value["zh"]), str(value["en"])) if set(value) == {"zh", "en"} else value
    return tuple(_read("", one) for one in value) if isinstance(value, list) else value


def request_line(request: Request, *, seconds: float | None = None) -> str:
    """A request as one line; `seconds` ends it early."""
    said: dict[str, Any] = {"schema": REQUEST, "addresses": written_addresses(request.addresses), "ports": written_ports(request.ports)}
    said |= {name: getattr(request, name) for name in _NUMBERS if getattr(request, name) not in (None, float("inf"))}
    said |= {"rounds": request.rounds, "known": list(request.known), "seconds": seconds}
    said |= {name: True for name in _FLAGS if getattr(request, name)}
    return json.dumps({name: value for name, value in said.items() if value is not None}) + "\n"


class Asking:
    """A request as it was read: ranges not yet unfolded, so that its size can be judged first."""

    def __init__(self, line: bytes) -> None:
        """Raises ScanError for what is no request."""
        try:
            said = json.loads(line.decode("utf-8"), parse_constant=_no_constant)
        except (ValueError, RecursionError):
            raise _strange("JSON") from None
        if not isinstance(said, dict) or said.get("schema") != REQUEST:
            raise _strange("schema")
        unknown = set(said) - _FIELDS
        if unknown:
            raise _strange(min(unknown)[:40])
        self.ranges = tuple(_range(one) for one in _list(said, "addresses"))
        self.ports = _ports(said.get("ports"))
        self.written_ports: str = said["ports"]
        self.count = sum(last - first + 1 for _, first, last in self.ranges)
        self.numbers = {name: _number(said, name) for name in _NUMBERS}
        rounds = _number(said, "rounds")
        if rounds is not None and not 1 <= rounds <= 16:
            raise _strange("rounds")
        self.rounds = None if rounds is None else int(rounds)
        known = _list(said, "known") if "known" in said else [0, 0]
        if len(known) != 2 or not all(type(one) is int and 0 <= one < 1 << 40 for one in known):
            raise _strange("known")
        self.known = (known[0], known[1])
        self.sparse, self.fresh = (said.get(name) is True for name in _FLAGS)
        self.seconds = _number(said, "seconds")

    @property
    def same(self) -> tuple[Any, ...]:
        """Two requests with this in common ask the same: with what one claims to have measured before, it may end sooner than another."""
        return self.ranges, self.ports, self.rounds, self.sparse, self.known

    def request(self, ranges: Iterable[tuple[int, int, int]], rate: float) -> Request:
        """The request for these of its addresses, at most at this rate."""
        addresses = Addresses.of_ranges(ranges)
        wanted = self.numbers["rate"]
        return Request(
            addresses,
            self.ports,
            min(rate, wanted) if wanted else rate,
            self.numbers["host_rate"],
            self.numbers["network_rate"],
            self.rounds,
            self.numbers["rtt_s"],
            self.known,
            self.sparse,
        )


def written_addresses(addresses: Iterable[Any]) -> list[str]:
    """Addresses in their order, neighbours as one range: ['192.0.2.1-192.0.2.254', '2001:db8::1']."""
    runs: list[tuple[int, int, int]] = []
    for address in addresses:
        number = int(address)
        if runs and runs[-1][0] == address.version and runs[-1][2] + 1 == number:
            runs[-1] = (address.version, runs[-1][1], number)
        else:
            runs.append((address.version, number, number))
    return [address_name(version, first) if first == last else f"{address_name(version, first)}-{address_name(version, last)}" for version, first, last in runs]


def written_ports(ports: Iterable[int]) -> str:
    """Ports as numbers and ranges, sorted: 22,80,8000-8099."""
    ordered = sorted(set(ports))
    if len(ordered) > 1 and ordered[-1] - ordered[0] + 1 == len(ordered):
        return f"{ordered[0]}-{ordered[-1]}"
    runs: list[list[int]] = []
    for port in ordered:
        if runs and runs[-1][1] + 1 == port:
            runs[-1][1] = port
        else:
            runs.append([port, port])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def address_name(version: int, number: int) -> str:
    """An address by its number."""
    return str(ip_address(number.to_bytes(4 if version == 4 else 16, "big")))


def _range(word: Any) -> tuple[int, int, int]:
    if not isinstance(word, str) or len(word) > 100 or "%" in word:
        raise _strange("addresses")
    first, _, last = word.partition("-")
    try:
        one, other = ip_address(first), ip_address(last or first)
    except ValueError:
        raise _strange(f"addresses: {word[:80]!r}") from None
    if one.version != other.version or int(one) > int(other):
        raise _strange(f"addresses: {word[:80]!r}")
    return one.version, int(one), int(other)


def _ports(words: Any) -> tuple[int, ...]:
    if not isinstance(words, str) or len(words) > 400_000:
        raise _strange("ports")
    found: list[int] = []
    for word in words.split(","):
        first, _, last = word.partition("-")
        if not (first.isascii() and first.isdigit() and len(first) <= 5 and (not last or (last.isascii() and last.isdigit() and len(last) <= 5))):
            raise _strange("ports")
        one, other = int(first), int(last or first)
        # Ascending, so that a line can name each only once.
        if not (found[-1] if found else 0) < one <= other <= 65535:
            raise _strange("ports")
        found.extend(range(one, other + 1))
    return tuple(found)


def _list(said: Mapping[str, Any], name: str) -> list[Any]:
    value = said.get(name)
    if not isinstance(value, list) or not value:
        raise _strange(name)
    return value


def _number(said: Mapping[str, Any], name: str) -> float | None:
    value = said.get(name)
    if value is None:
        return None
    if type(value) not in (int, float) or not 0 < value < 1e12:
        raise _strange(name)
    return float(value)


def _no_constant(word: str) -> Any:
    raise ValueError(word)


def _strange(what: str) -> ScanError:
    shown = ascii(what)[1:-1]
    return ScanError(Text(f"扫描进程之间的消息不合格式：{shown}", f"a message between scanner and client is malformed: {shown}"))
