"""Options of `tutela scan` for sweeps: when, in which file it is remembered, what it is compared with."""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tutela.cli.options import FILE, Group
from tutela.errors import UsageError
from tutela.language import Lang, Text

if TYPE_CHECKING:
    from tutela.exposure.gate import Gate
    from tutela.exposure.journal import Journal
    from tutela.exposure.model import Event, Request
    from tutela.exposure.since import Scanned
    from tutela.exposure.sweep import Look, Sweep

SINGLE = 16
"""More addresses make a sweep."""
RATE, SWEEP_RATE = 150_000.0, 10_000.0
"""Packets a second where none are named: to few hosts, and in a sweep, which crosses networks of others."""


def configure(parser: argparse.ArgumentParser, lang: Lang) -> None:
    """Their arguments."""
    group = Group(parser, lang, "大范围扫描", "sweeps")
    group.add(
        "--window",
        zh='只在维护窗口内发送，到点即停，可多次给出："mon-fri 07:00-09:00"（本机时区）',
        en='send only inside this maintenance window and stop at its end; may be given again: "mon-fri 07:00-09:00" (this machine\'s time zone)',
        action="append",
        default=[],
        metavar=Text("窗口", "WINDOW"),
    )
    group.add("--wait", zh="等待下一个窗口，直到全部完成", en="wait for the next window until everything is done", action="store_true")
    group.add(
        "--journal",
        zh="把进度记入此文件；中断或崩溃后用同一文件续扫，已完成的部分不再询问",
        en="remember progress in this file; after an interrupt or a crash the same file goes on, and what is done is not asked again",
        type=Path,
        metavar=FILE,
    )
    group.add(
        "--since",
        zh="与上次的结果（--format jsonl）比较，报告变化",
        en="report what has changed since an earlier result (--format jsonl)",
        type=Path,
        metavar=FILE,
    )
    group.add(
        "--gentle",
        zh="不再询问变慢、沉默或经 ICMP 声明禁止的主机（默认：地址多时）",
        en="leave hosts in peace that slow down, fall silent or are declared prohibited by ICMP (default: of many addresses)",
        action=argparse.BooleanOptionalAction,
    )


class Course:
    """How this scan goes, by its options: the gate for its packets, and the sweep it is where it is one. Use as a context manager. Raises TutelaError."""

    def __init__(self, arguments: argparse.Namespace, request: Request, *, stop: Callable[[], bool]) -> None:
        from tutela.exposure.gate import Gate
        from tutela.exposure.since import read_previous
        from tutela.exposure.targets import read_networks
        from tutela.exposure.window import Windows

        if arguments.wait and not arguments.window:
            raise UsageError(Text("--wait 需要 --window", "--wait needs --window"))
        self._arguments, self._request, self._stop = arguments, request, stop
        allowed = [network for path in arguments.allow for network in read_networks(path)] if arguments.allow else None
        windows = Windows(arguments.window) if arguments.window else None
        self.gate: Gate = Gate(allowed, arguments.opt_out, windows)
        self._before: Scanned | None = read_previous(arguments.since) if arguments.since else None
        self._stack = ExitStack()
        self._journal: Journal | None = None
        self._sweep: Sweep | None = None
        self._look: Look | None = None

    def __enter__(self) -> Self:
        from tutela.exposure.journal import Journal
        from tutela.exposure.sweep import plan_of

        if self._arguments.journal:
            self._journal = Journal(self._arguments.journal, plan_of(self._request, self._arguments.method), seed=secrets.randbits(48))
            self._stack.callback(self._journal.close)
        return self

    def __exit__(self, *problem: object) -> None:
        self._stack.close()

    @property
    def sweep(self) -> Callable[[Look], Sweep] | None:
        """What makes the sweep, given a way to look; None where one plain scan does."""
        large = len(self._request.addresses) * len(self._request.ports) > MOST_PROBES
        if len(self._request.addresses) <= SINGLE and not large and self._journal is None and self.gate.windows is None and self._before is None:
            return None
        return self._make

    def _make(self, look: Look) -> Sweep:
        from tutela.exposure.sweep import Sweep

        gentle = self._arguments.gentle if self._arguments.gentle is not None else len(self._request.addresses) > SINGLE
        self._look = look
        self._sweep = Sweep(
            self._request, look, gate=self.gate, journal=self._journal, wait=self._arguments.wait, gentle=gentle, seed=secrets.randbits(48), stop=self._stop
        )
        return self._sweep

    def compared(self, events: Iterator[Event]) -> Iterator[Event]:
        """The events, with what has changed where that was asked for."""
        from tutela.exposure.since import compared

        if self._before is None:
            return events

        def look(request: Request, stop: Callable[[], bool]) -> Iterator[Event]:
            # There is one as soon as there are events.
            return self._look(request, stop) if self._look else iter(())

        return compared(events, self._before, look, self._request, stop=self.over)

    def over(self) -> bool:
        """Interrupted, or the window ends: nothing more may be sent."""
        return self._stop() or self.gate.closes()

    def permits(self, address: str) -> bool:
        """It may be asked now."""
        return self.gate.permits_one(ip_address(address))

    @property
    def complete(self) -> bool:
        """All that was planned was asked."""
        return self._sweep is None or self._sweep.complete


MOST_PROBES = 1 << 20
"""Of one plain scan, for the sake of memory."""
