"""The events of a scan as text, JSON lines and CSV, each as it comes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from tutela.exposure.model import CONNECT, FRAMES, RAW, UDP, Event, Open, Progress, Service, Summary, Tally
from tutela.language import Lang, Text
from tutela.report import services
from tutela.report.csv import row
from tutela.report.inert import inert

SCHEMA = "tutela/scan/1"
_METHODS = {
    RAW: Text("SYN 探测包", "SYN packets"),
    FRAMES: Text("SYN 探测帧", "SYN frames"),
    CONNECT: Text("普通连接（没有 CAP_NET_RAW）", "ordinary connections (no CAP_NET_RAW)"),
    UDP: Text("UDP 载荷", "UDP payloads"),
}
_UDP_UNTESTED = Text("UDP：未测试（--udp 可测试）", "UDP: not tested (--udp tests it)")


class TextWriter:
    """Lines for people: ports as they are found, then what they are, then the numbers."""

    def __init__(self, lang: Lang, *, many: bool) -> None:
        self.lang, self.many = lang, many
        self.udp = False
        self.told: set[tuple[str, str, int]] = set()
        self.open_to_all: list[Service] = []

    def take(self, event: Event) -> str:
        """The text of one event; empty for those that say nothing here."""
        if isinstance(event, Open):
            return f"{self._where(event)}  {Text('开放', 'open').in_(self.lang)}\n"
        if isinstance(event, Service):
            if event.without_authentication:
                self.open_to_all.append(event)
            return "".join(f"{line}\n" for line in services.lines(event, self._where(event), self.lang))
        if isinstance(event, Tally):
            return self._tally(event)
        if isinstance(event, Summary):
            return self._summary(event)
        return ""

    def _where(self, event: Open | Service) -> str:
        port = f"{event.port}/{event.protocol}"
        return f"{event.address:<15} {port:>9}" if self.many else f"{port:>9}"

    def _tally(self, tally: Tally) -> str:
        if self.many and not tally.open and tally.note is None:
            return ""
        words = Text(
            "{address}：{open} 个开放，{closed} 个关闭，{filtered} 个被路径拒绝，{silent} 个无应答（共 {asked} 个）",
            "{address}: {open} open, {closed} closed, {filtered} refused on the way, {silent} silent (of {asked})",
        ).with_values(address=tally.address, open=len(tally.open), closed=tally.closed, filtered=tally.filtered, silent=tally.silent, asked=tally.asked)
        text = words.in_(self.lang) + "\n"
        return text if tally.note is None else f"{text}  {tally.note.in_(self.lang)}\n"

    def _summary(self, summary: Summary) -> str:
        lang = self.lang
        self.udp = self.udp or summary.method == UDP
        lost = Text("未知", "unknown").in_(lang) if summary.lost is None else f"{summary.lost:.1%}"
        lines = [
            Text(
                "方式：{method}；{seconds} 秒，{packets} 个包，{rounds} 轮，往返丢包 {lost}",
                "by {method}; {seconds} s, {packets} packets, {rounds} rounds, round trips lost: {lost}",
            )
            .with_values(method=_METHODS[summary.method].in_(lang), seconds=f"{summary.seconds:.1f}", packets=summary.packets, rounds=summary.rounds, lost=lost)
            .in_(lang)
        ]
        if summary.expected_missed is not None and summary.expected_missed >= 0.01:
            lines.append(
                Text("因丢包可能漏掉约 {missed} 个开放端口", "loss may have hidden about {missed} open ports")
                .with_values(missed=f"{summary.expected_missed:.2f}")
                .in_(lang)
            )
        lines += [note.in_(lang) for note in summary.notes]
        if not self.udp:
            lines.append(_UDP_UNTESTED.in_(lang))
        lines += services.warning(self.open_to_all, lang, many=self.many)
        self.open_to_all = []
        return "\n".join(lines) + "\n"


class JsonlWriter:
    """One object a line; `event` says which kind. Schema: scan-1.schema.json."""

    def __init__(self, lang: Lang, *, many: bool) -> None:
        _ = (lang, many)

    def take(self, event: Event) -> str:
        """The line of one event."""
        if isinstance(event, Progress):
            return ""
        return json.dumps({"schema": SCHEMA, "event": type(event).__name__.lower(), **_plain(event)}, ensure_ascii=False) + "\n"


class CsvWriter:
    """One row an open port; a second row where the service was recognised."""

    COLUMNS = ("address", "protocol", "port", "state", "service", "said", "without_authentication", "tls", "certificate_ends")

    def __init__(self, lang: Lang, *, many: bool) -> None:
        _ = (lang, many)
        self._begun = False

    def take(self, event: Event) -> str:
        """The rows of one event."""
        rows: list[list[Any]] = [] if self._begun else [list(self.COLUMNS)]
        self._begun = True
        if isinstance(event, Open):
            rows.append([event.address, event.protocol, event.port, "open", "", "", "", "", ""])
        elif isinstance(event, Service):
            tls = event.tls
            rows.append(
                [
                    event.address, event.protocol, event.port, "open", event.name or "", event.said,
                    "" if event.without_authentication is None else str(event.without_authentication).lower(),
                    " ".join(tls.versions) if tls else "", tls.ends if tls else "",
                ]
            )  # fmt: skip
        return "".join(row([inert(str(cell)) for cell in cells]) for cells in rows)


Writer = TextWriter | JsonlWriter | CsvWriter
WRITERS: dict[str, Callable[..., Writer]] = {"text": TextWriter, "jsonl": JsonlWriter, "csv": CsvWriter}


def _plain(value: Any) -> Any:
    if isinstance(value, Text):
        return {"zh": value.zh, "en": value.en}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if hasattr(value, "__dataclass_fields__"):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return value
