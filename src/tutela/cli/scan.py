"""`tutela scan`: which ports of a server can be reached from here, and what answers on them."""

from __future__ import annotations

import argparse
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self, TextIO

from tutela.cli import EXIT_INTERRUPTED, EXIT_KEPT, EXIT_UNPROVEN, sweeping
from tutela.cli.options import FILE, Group, add_scanner, add_udp, positive
from tutela.cli.sweeping import SINGLE
from tutela.errors import ScanError, UsageError, said_by_system
from tutela.language import Lang, Text

if TYPE_CHECKING:
    from tutela.exposure.model import Event, Progress, Request

FORMATS = ("text", "jsonl", "csv")
METHODS = ("auto", "raw", "frames", "connect")


def configure(parser: argparse.ArgumentParser, lang: Lang) -> None:
    """Arguments of the command."""
    parser.add_argument(
        "targets",
        nargs="+",
        metavar=Text("目标", "TARGET").in_(lang),
        help=Text("地址、网段（192.0.2.0/24）、主机名，或 @文件（每行一个）", "an address, a prefix (192.0.2.0/24), a name, or @FILE with one a line").in_(
            lang
        ),
    )
    group = Group(parser, lang, "探测", "asking")
    group.add(
        "--ports",
        "-p",
        zh="all、popular 或 22,80,8000-8099（默认：少数主机 all，网段 popular）",
        en="all, popular, or 22,80,8000-8099 (default: all for few hosts, popular for prefixes)",
        metavar=Text("端口", "PORTS"),
    )
    group.add(
        "--method",
        zh="raw 需要 CAP_NET_RAW；没有时 auto 用普通连接",
        en="raw needs CAP_NET_RAW; without it, auto makes ordinary connections",
        choices=METHODS,
        default="auto",
    )
    add_scanner(group)
    group.add(
        "--rate",
        zh="每秒探测包总数（默认 150000，地址多于 16 个时 10000）",
        en="packets a second in all (default 150000; 10000 to more than 16 addresses)",
        type=positive,
        metavar="N",
    )
    group.add("--host-rate", zh="每个地址每秒最多", en="packets a second to one address", type=positive, metavar="N")
    group.add("--network-rate", zh="每个 /24 每秒最多", en="packets a second to one /24", type=positive, metavar="N")
    group.add(
        "--rounds", zh="无应答端口询问次数（默认按实测丢包率）", en="times a silent port is asked (default: by measured loss)", type=positive, metavar="N"
    )
    group.add(
        "--allow", zh="只允许扫描此文件中的网段", en="scan nothing outside the prefixes in this file", type=Path, action="append", default=[], metavar=FILE
    )
    group.add("--opt-out", zh="不扫描此文件中的地址", en="never scan the addresses in this file", type=Path, action="append", default=[], metavar=FILE)
    group.add(
        "--identify",
        zh="识别开放端口上的服务，及其是否无需认证即可访问；它不守 --host-rate 和 --network-rate（默认：少数主机且没有这两项限制时识别）",
        en="tell what answers on open ports and whether it does so without authentication; it does not keep to --host-rate and --network-rate (default: for few hosts without these limits)",
        action=argparse.BooleanOptionalAction,
    )
    add_udp(group)
    sweeping.configure(parser, lang)
    group = Group(parser, lang, "报告", "reporting")
    group.add("--format", "-f", zh=", ".join(FORMATS), en=", ".join(FORMATS), choices=FORMATS, default="text", metavar=Text("格式", "FORMAT"))
    group.add("--output", "-o", zh="写入文件而不是标准输出", en="write to a file instead of standard output", type=Path, metavar=FILE)


def run(arguments: argparse.Namespace, lang: Lang) -> int:
    """Scan; 0 when it went to its end, whatever is open; 3 when a maintenance window or the resident scanner's time limit ended it."""
    from tutela.cli.interrupt import stop_on_interrupt
    from tutela.exposure.model import Progress, Summary
    from tutela.report.open_ports import WRITERS

    request = read_request(arguments)
    identifying = _identifies(arguments, request)
    writer = WRITERS[arguments.format](lang, many=len(request.addresses) > 1, services=identifying or arguments.udp)
    bar, cut = Bar(lang), False
    with stop_on_interrupt() as running, sweeping.Course(arguments, request, stop=lambda: running.stopped) as course, Output(arguments.output) as out:
        events = _look(arguments, request, lambda: running.stopped, course)
        if identifying:
            # Not for a sweep: the certificates' library takes room and time.
            from tutela.exposure.identify.after import identified

            events = identified(events, stop=course.over, permits=course.permits)
        for event in _told(course.compared(events), arguments.targets):
            if isinstance(event, Progress):
                bar.show(event)
                continue
            cut = cut or (isinstance(event, Summary) and event.cut)
            text = writer.take(event)
            if text:
                bar.clear()
                out.write(text)
        ended = course.over()
        bar.clear()
        out.write(writer.end())
    # A window may also end while it is asked what answers, or over UDP.
    return EXIT_INTERRUPTED if running.stopped else EXIT_KEPT if course.complete and not ended and not cut else EXIT_UNPROVEN


def _look(arguments: argparse.Namespace, request: Request, stop: Callable[[], bool], course: sweeping.Course) -> Iterator[Event]:
    """TCP, then UDP where it is asked for: the loss that the one measured says how often the other has to ask."""
    from tutela.exposure import ports
    from tutela.exposure.addresses import Addresses
    from tutela.exposure.client import resident_of
    from tutela.exposure.connections import seeded
    from tutela.exposure.model import Summary
    from tutela.exposure.scan import scan
    from tutela.exposure.udp import scan_udp, udp_ports

    lost = None
    if arguments.scanner and arguments.method != "auto":
        raise UsageError(
            Text(
                f"--scanner 由常驻扫描进程发送，不能与 --method {arguments.method} 同用",
                f"--scanner lets the resident scanner send, which does not go with --method {arguments.method}",
            )
        )
    request = seeded(request)
    for event in scan(request, arguments.method, stop=stop, gate=course.gate, sweep=course.sweep, resident=resident_of(arguments.scanner)):
        if isinstance(event, Summary):
            lost = event.lost
        yield event
    if arguments.udp and not course.over():
        named = None if arguments.ports in (None, "all", "popular") else ports.parse(arguments.ports)
        addresses = Addresses.of(address for address in request.addresses if course.gate.permits_one(address))
        asked = replace(request, addresses=addresses, ports=udp_ports(named))
        yield from scan_udp(asked, lost=lost, stop=course.over, permits=course.gate.permits_one)


def _told(events: Iterator[Event], targets: list[str]) -> Iterator[Event]:
    """The events; what the system refuses on the way to them names the scan, and not the place where they are written."""
    try:
        yield from events
    except OSError as problem:
        why, first = said_by_system(problem), targets[0] if len(targets) == 1 else f"{targets[0]} …"
        raise ScanError(Text(f"扫描 {first} 时中断：{why.zh}", f"the scan of {first} broke off: {why.en}")) from None


def _identifies(arguments: argparse.Namespace, request: Request) -> bool:
    """Whether services are looked at: as somebody said, else where it is soon done and nobody asked for slowness."""
    if arguments.identify is not None:
        return bool(arguments.identify)
    return len(request.addresses) <= SINGLE and request.host_rate is None and request.network_rate is None


class Output:
    """Standard output, or a file that is written as results come; an error names the file."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._file: TextIO = sys.stdout
        self._begun = False

    def __enter__(self) -> Self:
        if self.path is not None:
            with self._named():
                # What it holds stays until there is something to write: a scan that is refused, or comes outside its window, takes nothing away.
                self._file = self.path.open("a", encoding="utf-8", errors="backslashreplace", newline="")
        return self

    def write(self, text: str) -> None:
        """All of it, at once."""
        with self._named():
            if self.path is not None and not self._begun and stat.S_ISREG(os.fstat(self._file.fileno()).st_mode):
                self._file.truncate(0)
            self._begun = True
            self._file.write(text)
            self._file.flush()

    def __exit__(self, *problem: object) -> None:
        if self.path is not None:
            # What was not written was an error at its time.
            with suppress(OSError):
                self._file.close()

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as problem:
            if self.path is None:
                raise
            why = said_by_system(problem)
            raise UsageError(Text(f"无法写入 {self.path}：{why.zh}", f"cannot write {self.path}: {why.en}")) from None


class Bar:
    """One line on stderr that says how far the scan is; silent where nobody watches."""

    def __init__(self, lang: Lang) -> None:
        self.lang = lang
        self.watched = sys.stderr.isatty()

    def show(self, progress: Progress) -> None:
        """Draw it anew."""
        if not self.watched:
            return
        lost = "-" if progress.lost is None else f"{progress.lost:.1%}"
        words = Text(
            "{done:>3} %，{rate} 包/秒，丢包 {lost}，开放 {open}，剩余约 {left} 秒",
            "{done:>3} %, {rate} packets/s, lost {lost}, open {open}, about {left} s left",
        ).with_values(
            done=min(100, 100 * progress.sent // max(progress.expected, 1)),
            rate=round(progress.per_second),
            lost=lost,
            open=progress.open,
            left=round(progress.left_s),
        )
        print(f"\r\x1b[K{words.in_(self.lang)}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Take it away."""
        if self.watched:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def read_request(arguments: argparse.Namespace) -> Request:
    """What the command line asks for. Raises ScanError."""
    from tutela.exposure import ports
    from tutela.exposure.model import Request
    from tutela.exposure.targets import read_networks, read_targets

    allowed = [network for path in arguments.allow for network in read_networks(path)]
    # A plan with a journal stays the same, whoever opts out before it is resumed: then the gate alone leaves them out.
    opted_out = [] if arguments.journal else [network for path in arguments.opt_out for network in read_networks(path)]
    addresses = read_targets(arguments.targets, allowed=allowed, opted_out=opted_out)
    words = arguments.ports if arguments.ports is not None else "all" if len(addresses) <= SINGLE else "popular"
    rate = float(arguments.rate) if arguments.rate else sweeping.RATE if len(addresses) <= SINGLE else sweeping.SWEEP_RATE
    return Request(addresses, ports.parse(words), rate, arguments.host_rate, arguments.network_rate, arguments.rounds)
