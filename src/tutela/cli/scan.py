"""`tutela scan`: which ports of a server can be reached from here, and what answers on them."""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from tutela.cli import EXIT_INTERRUPTED, EXIT_KEPT
from tutela.cli.options import positive
from tutela.language import Lang, Text

if TYPE_CHECKING:
    from tutela.exposure.model import Progress, Request

FORMATS = ("text", "jsonl", "csv")
METHODS = ("auto", "raw", "frames", "connect")
SINGLE = 16
"""Up to so many addresses all ports are asked when none are named; beyond, the popular ones."""


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
    group = parser.add_argument_group(Text("探测", "asking").in_(lang))
    group.add_argument(
        "--ports",
        "-p",
        metavar=Text("端口", "PORTS").in_(lang),
        help=Text(
            "all、popular 或 22,80,8000-8099（默认：少数主机 all，网段 popular）",
            "all, popular, or 22,80,8000-8099 (default: all for few hosts, popular for prefixes)",
        ).in_(lang),
    )
    group.add_argument(
        "--method",
        choices=METHODS,
        default="auto",
        help=Text("raw 需要 CAP_NET_RAW；没有时 auto 用普通连接", "raw needs CAP_NET_RAW; without it, auto makes ordinary connections").in_(lang),
    )
    group.add_argument(
        "--rate", type=positive, default=100_000, metavar="N", help=Text("每秒探测包总数（默认 100000）", "packets a second in all (default 100000)").in_(lang)
    )
    group.add_argument("--host-rate", type=positive, metavar="N", help=Text("每个地址每秒最多", "packets a second to one address").in_(lang))
    group.add_argument("--network-rate", type=positive, metavar="N", help=Text("每个 /24 每秒最多", "packets a second to one /24").in_(lang))
    group.add_argument(
        "--rounds",
        type=positive,
        metavar="N",
        help=Text("无应答端口询问次数（默认按实测丢包率）", "times a silent port is asked (default: by measured loss)").in_(lang),
    )
    group.add_argument(
        "--allow",
        action="append",
        type=Path,
        default=[],
        metavar=Text("文件", "FILE").in_(lang),
        help=Text("只允许扫描此文件中的网段", "scan nothing outside the prefixes in this file").in_(lang),
    )
    group.add_argument(
        "--opt-out",
        action="append",
        type=Path,
        default=[],
        metavar=Text("文件", "FILE").in_(lang),
        help=Text("不扫描此文件中的地址", "never scan the addresses in this file").in_(lang),
    )
    group.add_argument(
        "--identify",
        action=argparse.BooleanOptionalAction,
        help=Text(
            "识别开放端口上的服务，及其是否无需认证即可访问（默认：少数主机识别）",
            "tell what answers on open ports and whether it does so without authentication (default: for few hosts)",
        ).in_(lang),
    )
    group = parser.add_argument_group(Text("报告", "reporting").in_(lang))
    group.add_argument("--format", "-f", choices=FORMATS, default="text", metavar=Text("格式", "FORMAT").in_(lang), help=", ".join(FORMATS))
    group.add_argument(
        "--output",
        "-o",
        type=Path,
        metavar=Text("文件", "FILE").in_(lang),
        help=Text("写入文件而不是标准输出", "write to a file instead of standard output").in_(lang),
    )


def run(arguments: argparse.Namespace, lang: Lang) -> int:
    """Scan; 0 when it went to its end, whatever is open."""
    from tutela.cli.interrupt import stop_on_interrupt
    from tutela.exposure.identify.after import identified
    from tutela.exposure.model import Progress
    from tutela.exposure.scan import scan
    from tutela.report.open_ports import WRITERS

    request = read_request(arguments)
    writer = WRITERS[arguments.format](lang, many=len(request.addresses) > 1)
    bar = Bar(lang)
    with stop_on_interrupt() as running, arguments.output.open("w", encoding="utf-8") if arguments.output else nullcontext(sys.stdout) as out:
        events = scan(request, arguments.method, stop=lambda: running.stopped)
        if arguments.identify if arguments.identify is not None else len(request.addresses) <= SINGLE:
            events = identified(events, stop=lambda: running.stopped)
        for event in events:
            if isinstance(event, Progress):
                bar.show(event)
                continue
            text = writer.take(event)
            if text:
                bar.clear()
                out.write(text)
                out.flush()
        bar.clear()
    return EXIT_INTERRUPTED if running.stopped else EXIT_KEPT


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
            done=100 * progress.sent // max(progress.expected, 1), rate=round(progress.per_second), lost=lost, open=progress.open, left=round(progress.left_s)
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
    opted_out = [network for path in arguments.opt_out for network in read_networks(path)]
    addresses = read_targets(arguments.targets, allowed=allowed, opted_out=opted_out)
    words = arguments.ports or ("all" if len(addresses) <= SINGLE else "popular")
    return Request(addresses, ports.parse(words), float(arguments.rate), arguments.host_rate, arguments.network_rate, arguments.rounds)
