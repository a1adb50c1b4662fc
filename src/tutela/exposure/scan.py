"""A scan, whichever way this process may look: SYN packets with CAP_NET_RAW, connections without."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from tutela.errors import ScanError, said_by_system
from tutela.exposure.client import NotThereError, scan_by_resident
from tutela.exposure.connect import scan_by_connecting
from tutela.exposure.gate import Gate
from tutela.exposure.handshake import really_answer
from tutela.exposure.model import CONNECT, FRAMES, RAW, Address, Event, Open, Request, Summary, Tally
from tutela.exposure.notes import EVERY_PORT
from tutela.exposure.ports import POPULAR, TOO_MANY
from tutela.exposure.routes import own_addresses
from tutela.exposure.sweep import Look, Sweep, asked_of
from tutela.language import Text, same

if TYPE_CHECKING:
    from tutela.exposure.engine import Engine

AUTO = "auto"
METHODS = (AUTO, RAW, FRAMES, CONNECT)
SAMPLED = 50


def scan(
    request: Request,
    method: str = AUTO,
    *,
    stop: Callable[[], bool] = lambda: False,
    gate: Gate | None = None,
    sweep: Callable[[Look], Sweep] | None = None,
    resident: tuple[Path, bool] | None = None,
) -> Iterator[Event]:
    """Open ports as they are found, then a tally of each address, what was asked, a summary. Raises ScanError.

    The gate is asked before every packet; with `sweep` the scan goes in slices.
    `resident`, as of client.resident_of: with the method auto its scanner is asked first, in sweeps only where somebody named it, since it does not know their gate.
    """
    if sweep is not None and resident is not None and not resident[1]:
        resident = None

    def look(part: Request, halt: Callable[[], bool]) -> Iterator[Event]:
        return _look(part, method, halt, gate, resident)

    def over() -> bool:
        return stop() or (gate is not None and gate.closes())

    def permits(address: str) -> bool:
        return gate is None or gate.permits_one(ip_address(address))

    for event in sweep(look).run() if sweep else look(request, over):
        if isinstance(event, Tally) and event.note == EVERY_PORT and not over() and permits(event.address):
            yield from _behind_the_answers(event, over, few=len(request.ports) <= TOO_MANY)
        elif isinstance(event, Tally) and event.silent and not over() and permits(event.address) and ip_address(event.address) in _own():
            yield from _beyond_translation(event, request, over, permits)
        elif isinstance(event, Summary) and sweep is None and not over() and not event.cut:
            yield asked_of(request.addresses, request.ports)
            yield event
        else:
            yield event


def _look(request: Request, method: str, stop: Callable[[], bool], gate: Gate | None = None, resident: tuple[Path, bool] | None = None) -> Iterator[Event]:
    if method == AUTO and resident is not None:
        path, named = resident
        try:
            return scan_by_resident(path, request, stop=stop)
        except NotThereError as problem:
            if named:
                raise
            if not problem.absent:
                return _noting(problem.message, _look(request, method, stop, gate))

    def connecting() -> Iterator[Event]:
        return scan_by_connecting(request, stop=stop, permits=gate.permits_one if gate else lambda _: True)

    if method == CONNECT:
        return connecting()
    try:
        # numpy is not part of every installation.
        from tutela.exposure.engine import Engine  # noqa: PLC0415

        engine = Engine(rate=request.rate, method=RAW if method == AUTO else method, guard=gate)
    except (ImportError, OSError) as problem:
        why = _missing(problem)
        advice = (
            Text("请安装它（pip install numpy）", "install it (pip install numpy)")
            if isinstance(problem, ImportError)
            else Text("请以 root 运行", "run as root")
        )
        if method == AUTO:
            return _noting(Text(f"没有 {why.zh}，改用普通连接", f"without {why.en}, by ordinary connections"), connecting())
        raise ScanError(
            Text(
                f"--method {method} 需要 {why.zh}，当前没有；{advice.zh}，或改用 --method connect",
                f"--method {method} needs {why.en}, which is missing; {advice.en}, or use --method connect",
            )
        ) from None
    return _with_engine(engine, request, stop)


def _missing(problem: ImportError | OSError) -> Text:
    """What SYN packets need and there is none of."""
    if isinstance(problem, ImportError):
        return same("numpy")
    if isinstance(problem, PermissionError):
        return same("CAP_NET_RAW")
    # A kernel without packet sockets, no memory, no descriptor.
    why = said_by_system(problem)
    return Text(f"原始套接字（{why.zh}）", f"raw sockets ({why.en})")


def _noting(note: Text, events: Iterator[Event]) -> Iterator[Event]:
    for event in events:
        yield replace(event, notes=(*event.notes, note)) if isinstance(event, Summary) else event


def _with_engine(engine: Engine, request: Request, stop: Callable[[], bool]) -> Iterator[Event]:
    with engine:
        yield from engine.run(request, stop=stop)


@cache
def _own() -> frozenset[Address]:
    try:
        return frozenset(own_addresses())
    except OSError:
        return frozenset()


def _beyond_translation(tally: Tally, request: Request, stop: Callable[[], bool], permits: Callable[[str], bool]) -> Iterator[Event]:
    """Ports of this machine that its own rules lead elsewhere, as those that Docker publishes: the answer to a SYN packet comes from behind them, and only a connection is led there and back."""
    rest = tuple(port for port in request.ports if port not in tally.open)
    asked = replace(request, addresses=(ip_address(tally.address),), ports=rest, known=(0, 0), sparse=False)
    for event in scan_by_connecting(asked, stop=stop, permits=lambda address: permits(str(address))):
        if isinstance(event, Open):
            yield event
        elif isinstance(event, Tally) and event.asked == len(rest):
            opened = tuple(sorted((*tally.open, *event.open)))
            tally = replace(tally, open=opened, closed=event.closed, filtered=event.filtered, silent=event.silent, note=event.note)
    yield tally


def _behind_the_answers(tally: Tally, stop: Callable[[], bool], *, few: bool) -> Iterator[Event]:
    """Something answers on every port: tell only what finishes a handshake and takes data, among the ports that matter and a sample."""
    popular = [port for port in tally.open if port in POPULAR]
    others = [port for port in tally.open if port not in POPULAR]
    # Where few are asked, all: ports that are real are not to be missing.
    sample = others if few or len(others) <= SAMPLED else random.sample(others, SAMPLED)
    real = really_answer(tally.address, [*popular, *sample], stop=stop)
    if stop():
        # Half a sample says nothing of what is behind.
        yield tally
        return
    sample = sample or popular
    behind = len(real.intersection(sample))
    for port in sorted(real):
        yield Open(tally.address, "tcp", port, 0.0)
    count = len(tally.open)
    if behind * 2 > len(sample):
        note = Text(
            f"{count} 个端口有应答，抽查的 {len(sample)} 个中 {behind} 个能建立连接并接收数据：整段端口被转发到某个服务；只列出查证过的端口",
            f"{count} ports answered, and {behind} of {len(sample)} sampled take a connection and data: all ports lead to some service; only ports looked into are listed",
        )
    else:
        note = Text(
            f"{count} 个端口有应答，抽查的 {len(sample)} 个中只有 {behind} 个能接收数据：有设备替主机应答；只列出查证过的端口",
            f"{count} ports answered, but only {behind} of {len(sample)} sampled take data: something answers in the host's place; only ports looked into are listed",
        )
    yield replace(tally, open=tuple(sorted(real)), note=note)
