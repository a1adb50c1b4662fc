"""Connections that another host makes for us, over SSH: nothing is installed there, and what comes back is foreign.

A small program goes in by standard input (guest/relay.py) and carries bytes both ways; what is said over the connections is decided here.
Used to ask from there what answers on open ports, with the same questions as from here.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import threading
from contextlib import suppress
from importlib import resources
from itertools import count
from types import TracebackType
from typing import Self

from tutela.collect.run import Look, Running
from tutela.collect.ssh import ssh_argv
from tutela.collect.target import SshTarget
from tutela.errors import CollectError, said_by_system
from tutela.language import Text

HEAD = struct.Struct(">IcH")
STANDS = b"+"
"""What a socket of `connect` says first, once the connection stands."""
MOST_BYTES = 512 * 1024
"""Of one connection that wait to be read here; more than the guest lets through."""
_LOADER = "import os; exec(compile(b''.join(os.read(0, 1) for _ in range(%d)), 'relay', 'exec'))"


def relay_argv(place: SshTarget, look: Look, options: tuple[str, ...] = ()) -> list[str]:
    """The command that runs the guest at a place."""
    plain = Look(timeout_s=look.timeout_s, connect_timeout_s=look.connect_timeout_s)
    return ssh_argv(place, plain, options, guest_argv())


def guest_argv(python: str = "python3") -> list[str]:
    """The command that takes the guest from standard input and runs it."""
    return [python, "-I", "-S", "-B", "-c", _LOADER % len(_guest())]


def _guest() -> bytes:
    return (resources.files("tutela.collect") / "guest" / "relay.py").read_bytes()


class Relay:
    """Use as a context manager. Raises CollectError on entering when the command cannot be run."""

    def __init__(self, argv: list[str], running: Running) -> None:
        self.ended = False
        """It is over, though nobody here ended it: what was asked through it says nothing."""
        self._argv, self._running = argv, running
        self._known = threading.Event()
        """Whether the program over there runs, or never will, is known."""
        self._numbers = count(1)
        self._new: list[tuple[socket.socket, str]] = []
        self._lines: dict[int, _Line] = {}
        self._lock = threading.Lock()
        self._leaving = False
        self._heard = b""
        self._unsaid = bytearray(_guest())
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        try:
            self._process = self._running.start(self._argv)
        except OSError as problem:
            why = said_by_system(problem)
            raise CollectError(Text(f"无法运行 {self._argv[0]}：{why.zh}", f"cannot run {self._argv[0]}: {why.en}")) from None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._in, self._out, self._err = self._process.stdin.fileno(), self._process.stdout.fileno(), self._process.stderr.fileno()
        os.set_blocking(self._in, False)
        self._woken, self._waker = socket.socketpair()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self._leaving = True
        self._wake()
        self._thread.join()
        self._running.end(self._process)
        for one in (self._woken, self._waker):
            one.close()

    def runs(self, seconds: float) -> bool:
        """Waits until the program over there runs, so that a slow login costs no connection its time; false if it does not, or not in time."""
        return self._known.wait(seconds) and not self.ended

    def connect(self, address: str, port: int) -> socket.socket:
        """A socket that leads to the port from over there. It says STANDS once the connection stands; where there is none, it just ends."""
        mine, theirs = socket.socketpair()
        theirs.setblocking(False)
        with self._lock:
            if self.ended:
                theirs.close()
            else:
                self._new.append((theirs, f"{address} {port}"))
        self._wake()
        return mine

    def _wake(self) -> None:
        with suppress(OSError):
            self._waker.send(b"!")

    # In the thread

    def _run(self) -> None:
        # Whatever the other side does ends this, and nothing else.
        with suppress(OSError, ValueError):
            while not self._leaving:
                self._turn()
        with self._lock:
            self.ended = not self._leaving
            self._known.set()
            for one, _ in self._new:
                one.close()
            self._new.clear()
        for line in self._lines.values():
            line.socket.close()

    def _turn(self) -> None:
        with self._lock:
            new, self._new = self._new, []
        for one, words in new:
            number = next(self._numbers)
            self._lines[number] = _Line(one)
            self._say(number, b"o", words.encode())
        poll = select.poll()
        for descriptor in (self._woken.fileno(), self._out, self._err):
            poll.register(descriptor, select.POLLIN)
        if self._unsaid:
            poll.register(self._in, select.POLLOUT)
        by_descriptor = {line.socket.fileno(): number for number, line in self._lines.items()}
        for descriptor, number in by_descriptor.items():
            poll.register(descriptor, select.POLLIN | (select.POLLOUT if self._lines[number].unsent else 0))
        for descriptor, event in poll.poll():
            if descriptor == self._woken.fileno():
                self._woken.recv(4096)
            elif descriptor == self._in:
                del self._unsaid[: os.write(self._in, self._unsaid[:65536])]
            elif descriptor == self._out:
                self._hear()
            elif descriptor == self._err:
                # Read so that it cannot block; that it ended is seen on standard output.
                if not os.read(self._err, 65536):
                    self._err = self._out
            elif by_descriptor[descriptor] in self._lines:
                self._from_here(by_descriptor[descriptor], event)

    def _say(self, number: int, kind: bytes, words: bytes = b"") -> None:
        self._unsaid += HEAD.pack(number, kind, len(words)) + words

    def _hear(self) -> None:
        said = os.read(self._out, 65536)
        if not said:
            raise ConnectionError
        self._heard += said
        while len(self._heard) >= HEAD.size:
            number, kind, length = HEAD.unpack_from(self._heard)
            end = HEAD.size + length
            if kind not in b"odc":
                raise ValueError
            if len(self._heard) < end:
                return
            words, self._heard = self._heard[HEAD.size : end], self._heard[end:]
            if number == 0:
                self._known.set()
            line = self._lines.get(number)
            if line is None or line.over:
                continue
            line.unsent += STANDS if kind == b"o" else words
            line.over = line.over or kind == b"c" or len(line.unsent) > MOST_BYTES
            self._to_here(line)

    def _from_here(self, number: int, event: int) -> None:
        line = self._lines[number]
        if event & select.POLLOUT:
            self._to_here(line)
        if event & (select.POLLIN | select.POLLHUP | select.POLLERR):
            try:
                said = line.socket.recv(32768)
            except OSError:
                said = b""
            if not said:
                self._say(number, b"c")
                self._lines.pop(number).socket.close()
            elif not line.over:
                self._say(number, b"d", said)

    def _to_here(self, line: _Line) -> None:
        try:
            del line.unsent[: line.socket.send(line.unsent)]
        except BlockingIOError:
            pass
        except OSError:
            line.unsent.clear()
            line.over = True
        if line.over and not line.unsent:
            # What is still said to it goes nowhere, as over TCP, and does not break what was answered: closed when they close.
            with suppress(OSError):
                line.socket.shutdown(socket.SHUT_WR)


class _Line:
    """One connection: our end of the way to whoever asked for it."""

    def __init__(self, one: socket.socket) -> None:
        self.socket = one
        self.unsent = bytearray()
        self.over = False
