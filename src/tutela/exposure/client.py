"""Ask the resident scanner: an ordinary user gets SYN scans without any right of their own. Needs no numpy."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from tutela.errors import ScanError, said_by_system
from tutela.exposure.model import Event, Request, Summary
from tutela.exposure.wire import read_event, request_line
from tutela.language import Text

DEFAULT = Path("/run/tutela/scanner.sock")
VARIABLE = "TUTELA_SCANNER"
CONNECTING_S, PATIENCE_S, STOPPING_S = 2.0, 15.0, 3.0
MOST_LINE = 4 << 20
_STOP = b'{"stop": true}\n'


class NotThereError(ScanError):
    """Nobody serves that socket, or not this user; `absent` when there is no socket at all."""

    def __init__(self, message: Text, *, absent: bool) -> None:
        super().__init__(message)
        self.absent = absent


def resident_of(named: Path | None) -> tuple[Path, bool]:
    """Where the scanner's socket is, and whether somebody said so: the option, else TUTELA_SCANNER, else /run/tutela/scanner.sock."""
    if named is not None:
        return named, True
    variable = os.environ.get(VARIABLE)
    return (Path(variable), True) if variable else (DEFAULT, False)


def scan_by_resident(path: Path, request: Request, *, stop: Callable[[], bool] = lambda: False) -> Iterator[Event]:
    """One scan from start to end. Raises NotThereError at once when nobody answers there, ScanError when the scan is refused."""
    connection = _connected(path)
    return _told(connection, path, request, stop)


def _connected(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(PATIENCE_S)
    deadline = time.monotonic() + CONNECTING_S
    try:
        while True:
            try:
                connection.connect(str(path))
                break
            except BlockingIOError:
                # So many connect at this moment that it cannot keep up (unix(7): EAGAIN).
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
    except OSError as problem:
        connection.close()
        why = said_by_system(problem)
        message = Text(f"无法使用常驻扫描进程 {path}：{why.zh}", f"the resident scanner at {path} cannot be used: {why.en}")
        raise NotThereError(message, absent=problem.errno == errno.ENOENT) from None
    return connection


def _told(connection: socket.socket, path: Path, request: Request, stop: Callable[[], bool]) -> Iterator[Event]:
    with connection:
        # It may have refused us before it heard us; why, stands in what it said.
        with contextlib.suppress(OSError):
            connection.sendall(request_line(request).encode())
        for said in _lines(connection, path, stop):
            if said.get("event") == "refused":
                raise _refusal(said)
            event = read_event(said)
            if isinstance(event, Summary):
                note = Text(f"由常驻扫描进程 {path} 发送", f"sent by the resident scanner at {path}")
                yield replace(event, notes=(note, *event.notes), resident=True)
                return
            yield event
    raise ScanError(Text(f"常驻扫描进程 {path} 中途断开；结果不完整", f"the resident scanner at {path} hung up; the results are incomplete"))


def _lines(connection: socket.socket, path: Path, stop: Callable[[], bool]) -> Iterator[dict[str, Any]]:
    """Objects, one a line, until the end. After `stop` it is asked to end, and has a moment to."""
    heard = bytearray()
    last, stopped = time.monotonic(), False
    connection.settimeout(0.1)
    while True:
        if stop() and not stopped:
            stopped, last = True, time.monotonic()
            with contextlib.suppress(OSError):
                connection.sendall(_STOP)
        try:
            part = connection.recv(1 << 18)
        except TimeoutError:
            if time.monotonic() - last > (STOPPING_S if stopped else PATIENCE_S):
                raise ScanError(Text(f"常驻扫描进程 {path} 没有回应", f"the resident scanner at {path} does not answer")) from None
            continue
        except OSError:
            return
        if not part:
            return
        last = time.monotonic()
        heard += part
        if len(heard) > MOST_LINE:
            raise ScanError(Text(f"常驻扫描进程 {path} 的回答太长", f"the resident scanner at {path} says too much"))
        *whole, rest = heard.split(b"\n")
        heard = bytearray(rest)
        for line in whole:
            try:
                said = json.loads(line)
            except (ValueError, RecursionError):
                said = None
            if not isinstance(said, dict):
                raise ScanError(Text(f"常驻扫描进程 {path} 的回答无法理解", f"what the resident scanner at {path} says is not understood"))
            yield said


def _refusal(said: dict[str, Any]) -> ScanError:
    message = said.get("message")
    if not isinstance(message, dict):
        message = {}
    return ScanError(Text(f"常驻扫描进程拒绝：{message.get('zh', '?')}", f"the resident scanner refused: {message.get('en', '?')}"))
