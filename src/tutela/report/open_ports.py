"""The events of a scan as text, JSON lines and CSV, each as it comes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tutela.exposure.model import CONNECT, FRAMES, RAW, UDP, Change, Event, Open, Progress, Service, Summary, Tally
from tutela.exposure.wire import event_line
from tutela.language import Lang, Text
from tutela.report import changes, services
from tutela.report.columns import wrapped
from tutela.report.inert import inert
from tutela.report.row import row

_METHODS = {
    RAW: Text("SYN 探测包", "SYN packets"),
    FRAMES: Text("SYN 探测帧", "SYN frames"),
    CONNECT: Text("普通连接", "ordinary connections"),
    UDP: Text("UDP 载荷", "UDP payloads"),
}
_TALLY = Text(
    "{address}：{open} 个开放，{closed} 个关闭，{filtered} 个被路径拒绝，{silent} 个无应答（共 {asked} 个）",
    "{address}: {open} open, {closed} closed, {filtered} refused on the way, {silent} silent (of {asked})",
)
_UDP_TALLY = Text(
    "{address} UDP：{open} 个有应答，{closed} 个关闭，{filtered} 个被路径拒绝，{silent} 个无应答（开放或被过滤），共 {asked} 个",
    "{address} UDP: {open} answered, {closed} closed, {filtered} refused on the way, {silent} without an answer (open or filtered), of {asked}",
)
COLUMNS = 80
_UDP_UNTESTED = Text("UDP：未测试（--udp 可测试）", "UDP: not tested (--udp tests it)")


class TextWriter:
    """Lines for people: ports as they are found, then what they are, then the numbers."""

    def __init__(self, lang: Lang, *, many: bool = False, services: bool = False) -> None:
        _ = services
        self.lang, self.many = lang, many
        self.udp = False
        self.open_to_all: list[Service] = []
        self._unnamed: dict[tuple[str, int], Open] = {}
        """UDP ports that answered, until it is known what did."""

    def take(self, event: Event) -> str:
        """The text of one event; empty for those that say nothing here."""
        if isinstance(event, Open):
            if event.protocol != "udp":
                return self._open(event)
            # What answered is known in a moment, and its line says more.
            self._unnamed[event.address, event.port] = event
        if isinstance(event, Service):
            if event.protocol == "udp":
                self._unnamed.pop((event.address, event.port), None)
            if event.without_authentication:
                self.open_to_all.append(event)
            return "".join(f"{line}\n" for line in services.lines(event, self._where(event), self.lang))
        if isinstance(event, Tally):
            return self._tally(event)
        if isinstance(event, Change):
            return changes.line(event, self.lang) + "\n"
        if isinstance(event, Summary):
            return self._summary(event)
        return ""

    def _open(self, event: Open) -> str:
        return f"{self._where(event)}  {Text('开放', 'open').in_(self.lang)}\n"

    def _where(self, event: Open | Service) -> str:
        port = f"{event.port}/{event.protocol}"
        return f"{event.address:<15} {port:>9}" if self.many else f"{port:>9}"

    def _tally(self, tally: Tally) -> str:
        unnamed = ""
        if tally.protocol == "udp":
            places = [place for place in self._unnamed if place[0] == tally.address]
            unnamed = "".join(self._open(self._unnamed.pop(place)) for place in places)
        if self.many and not tally.open and tally.note is None:
            return unnamed
        words = _UDP_TALLY if tally.protocol == "udp" else _TALLY
        counted = words.with_values(
            address=tally.address, open=len(tally.open), closed=tally.closed, filtered=tally.filtered, silent=tally.silent, asked=tally.asked
        )  # fmt: skip
        lines = list(wrapped(counted.in_(self.lang), COLUMNS, rest="  "))
        if tally.note is not None:
            lines += wrapped(tally.note.in_(self.lang), COLUMNS, first="  ", rest="  ")
        return unnamed + _text(lines)

    def _summary(self, summary: Summary) -> str:
        lang = self.lang
        self.udp = self.udp or summary.method == UDP
        lost = Text("未知", "unknown").in_(lang) if summary.lost is None else f"{summary.lost:.1%}"
        words = Text(
            "方式：{method}；{seconds} 秒，{packets} 个包，{rounds} 轮，往返丢包 {lost}",
            "by {method}; {seconds} s, {packets} {packet}, {rounds} {round}, round trips lost: {lost}",
        ).with_values(
            method=_METHODS[summary.method].in_(lang), seconds=f"{summary.seconds:.1f}", packets=summary.packets, rounds=summary.rounds, lost=lost,
            packet="packet" if summary.packets == 1 else "packets", round="round" if summary.rounds == 1 else "rounds",
        )  # fmt: skip
        said = [words]
        if summary.expected_missed is not None and summary.expected_missed >= 0.01:
            said.append(
                Text("因丢包可能漏掉约 {missed} 个开放端口", "loss may have hidden about {missed} open ports").with_values(
                    missed=f"{summary.expected_missed:.2f}"
                )
            )
        return _text(line for one in (*said, *summary.notes) for line in wrapped(one.in_(lang), COLUMNS, rest="  "))

    def end(self) -> str:
        """What comes last: what was not tested, and the doors that stand open."""
        lines = [] if self.udp else [_UDP_UNTESTED.in_(self.lang)]
        return _text([*lines, *services.warning(self.open_to_all, self.lang, many=self.many)])


class JsonlWriter:
    """One object a line; `event` says which kind. Schema: scan-1.schema.json."""

    def __init__(self, lang: Lang, *, many: bool = False, services: bool = False) -> None:
        _ = (lang, many, services)

    def take(self, event: Event) -> str:
        """The line of one event."""
        return "" if isinstance(event, Progress) else event_line(event)

    def end(self) -> str:
        """Nothing: the summaries were the end."""
        return ""


class CsvWriter:
    """One row an open port, or one for each service on it; with `services` a port waits for its service until its address is through."""

    COLUMNS = ("address", "protocol", "port", "state", "service", "said", "without_authentication", "amplification", "tls", "certificate_ends")

    def __init__(self, lang: Lang, *, many: bool = False, services: bool = False) -> None:
        _ = many
        self._services = services
        self._head = ("\ufeff" if lang is Lang.ZH else "") + row(self.COLUMNS)
        self._waiting: dict[tuple[str, str, int], None] = {}
        self._told: set[tuple[str, str, int]] = set()

    def take(self, event: Event) -> str:
        """The rows of one event."""
        head, self._head = self._head, ""
        if isinstance(event, Open):
            place = (event.address, event.protocol, event.port)
            if not self._services:
                return head + self._port(place)
            self._waiting[place] = None
        elif isinstance(event, Service):
            place = (event.address, event.protocol, event.port)
            self._waiting.pop(place, None)
            self._told.add(place)
            return head + self._service(event)
        elif isinstance(event, Change):
            service = inert(event.now or event.before)
            return head + row([event.address, event.protocol, str(event.port), f"since: {event.what}", service, *[""] * (len(self.COLUMNS) - 5)])
        elif isinstance(event, Tally):
            # A port that was told early may have been something that answers in the host's place.
            for place in [place for place in self._waiting if place[:2] == (event.address, event.protocol) and place[2] not in event.open]:
                del self._waiting[place]
        return head

    def end(self) -> str:
        """The ports of which nothing more became known."""
        rest = [place for place in self._waiting if place not in self._told]
        self._waiting.clear()
        return "".join(map(self._port, rest))

    def _port(self, place: tuple[str, str, int]) -> str:
        return row([*map(str, place), "open", *[""] * (len(self.COLUMNS) - 4)])

    def _service(self, service: Service) -> str:
        tls = service.tls
        cells: list[object] = [
            service.address, service.protocol, service.port, "open", service.name or "", service.said,
            "" if service.without_authentication is None else str(service.without_authentication).lower(),
            "" if service.amplification is None else service.amplification,
            " ".join(tls.versions) if tls else "", tls.ends if tls else "",
        ]  # fmt: skip
        return row([inert(str(cell)) for cell in cells])


Writer = TextWriter | JsonlWriter | CsvWriter
WRITERS: dict[str, Callable[..., Writer]] = {"text": TextWriter, "jsonl": JsonlWriter, "csv": CsvWriter}


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
