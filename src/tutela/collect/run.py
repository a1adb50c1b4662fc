"""Run the probe where a target is.

Nothing is imported here that the probe can do without: it is what takes longest, and everything else is read while it runs.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from functools import cache
from pkgutil import get_data
from typing import TYPE_CHECKING

from tutela.errors import BundleError, CollectError, last_line, said_by_system
from tutela.language import Text
from tutela.record import field, record

if TYPE_CHECKING:
    from datetime import datetime

    from tutela.evidence import Bundle
    from tutela.site import Site

    Clock = Callable[[], datetime]

LONGEST_S = 1.0
"""From one look at a process to the next no more than this counts: what goes beyond, this program was held up for (^Z, a busy machine)."""
MAX_ANSWER_BYTES = 64 << 20
"""As much as a bundle may hold."""
MAX_COMPLAINT_BYTES = 16384
"""Kept of what a command says on standard error."""


@record
class Look:
    """How to look: the same for every target of a run."""

    quick: bool = False
    """Leave out what takes seconds."""
    addresses: tuple[str, ...] = ()
    """One address for each class of sources, for the grid of the SSH server's settings (catalogue H.0.3)."""
    become: bool = False
    """Use sudo on the target."""
    passwords: Site | None = None
    """Try weak passwords (catalogue H-015), made from what this site declares; None: not asked for."""
    timeout_s: int = 180
    connect_timeout_s: int = 10


@cache
def probe_text() -> bytes:
    """The probe, as it is sent."""
    found = get_data("tutela.collect", "probe.sh")
    assert found is not None
    return found


def probe_arguments(look: Look) -> list[str]:
    """Arguments of the probe; addresses hold nothing a shell would mind."""
    words = ["--quick"] if look.quick else []
    if look.addresses:
        words += ["--addresses", ",".join(look.addresses)]
    return words


class Running:
    """Processes under way, so that an interrupt can end them all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._processes: set[subprocess.Popen[bytes]] = set()
        self.stopped = False

    def start(self, argv: list[str]) -> subprocess.Popen[bytes]:
        """Start a process in a session of its own; one that starts after `stop` is ended at once.

        Raises OSError.
        """
        # One at a time: each start needs several descriptors for a moment, and only three of them afterwards.
        with self._lock:
            # The words are ours or were checked by `ssh_target`; no shell is involved here.
            process = subprocess.Popen(  # noqa: S603
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, start_new_session=True
            )
            self._processes.add(process)
        if self.stopped:
            _kill(process)
        return process

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """End a process, with all that it started, and forget it."""
        _kill(process)
        process.wait()
        with self._lock:
            self._processes.discard(process)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()

    def stop(self) -> None:
        """End all of them."""
        # Called from a signal handler, which may have interrupted the holder of the lock: so no lock here.
        self.stopped = True
        for process in tuple(self._processes):
            _kill(process)


@record
class Talk:
    """What goes in, and how."""

    sent: bytes
    stay: bool = False
    """Keep standard input open until the answer is complete: the other side gives up when it closes."""
    hear: Callable[[bytes], None] = lambda _said: None
    """Gets what comes on standard error, as it comes."""
    answer: list[bytes] = field(default_factory=list)
    """What comes on standard output, as it comes."""


def run_probe(argv: list[str], timeout_s: int, running: Running | None = None, talk: Talk | None = None) -> tuple[bytes, int, bytes]:
    """Send the probe (or what `talk` says) to `argv` and read its output, exit code and complaints.

    Raises CollectError on time-out, a missing command, or more output than a bundle may hold.
    """
    running = running or Running()
    deadline = time.monotonic() + timeout_s
    try:
        process = running.start(argv)
    except OSError as problem:
        why = said_by_system(problem)
        raise CollectError(Text(f"无法运行 {argv[0]}：{why.zh}", f"cannot run {argv[0]}: {why.en}")) from None
    try:
        return _Exchange(process, talk or Talk(probe_text())).until(deadline)
    except TimeoutError:
        raise CollectError(Text(f"{timeout_s} 秒内没有完成", f"not done within {timeout_s} seconds")) from None
    finally:
        running.end(process)


class _Exchange:
    """What goes to a process and comes from it, all three pipes watched together: neither side can block the other."""

    def __init__(self, process: subprocess.Popen[bytes], talk: Talk) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._process, self._talk = process, talk
        self._stdin = process.stdin
        self._unsent = memoryview(talk.sent)
        self._size = 0
        self._complaints = b""
        self._in, self._out, self._err = process.stdin.fileno(), process.stdout.fileno(), process.stderr.fileno()
        self._open = {self._out, self._err}
        self._poll = select.poll()
        for pipe in self._open:
            self._poll.register(pipe, select.POLLIN)
        os.set_blocking(self._in, False)
        self._poll.register(self._in, select.POLLOUT)

    def until(self, deadline: float) -> tuple[bytes, int, bytes]:
        """Output, exit code and complaints of the process, once it has ended.

        Raises TimeoutError after the deadline, and CollectError when more came than a bundle may hold.
        """
        looked = time.monotonic()
        while self._open:
            # Something that the process left behind may keep standard error open for ever (ssh's ControlPersist): its end counts, too.
            brief = self._out not in self._open
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            ready = self._poll.poll(1000 * min(left, 0.05 if brief else LONGEST_S))
            before, looked = looked, time.monotonic()
            deadline += max(looked - before - LONGEST_S, 0)
            for pipe, _event in ready:
                self._step(pipe)
            if brief and not ready and self._process.poll() is not None:
                break
        try:
            rc = self._process.wait(max(deadline - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            raise TimeoutError from None
        return b"".join(self._talk.answer), rc, self._complaints

    def _step(self, pipe: int) -> None:
        """One read or write that cannot block."""
        if pipe == self._in:
            self._send()
            return
        chunk = os.read(pipe, 65536)
        if not chunk:
            self._poll.unregister(pipe)
            self._open.discard(pipe)
        elif pipe == self._out:
            self._size += len(chunk)
            if self._size > MAX_ANSWER_BYTES:
                raise CollectError(Text("返回的内容过大，已停止读取", "it sends more than a bundle may hold; reading was stopped"))
            self._talk.answer.append(chunk)
        else:
            self._talk.hear(chunk)
            # Read to the end, so that a chatty host cannot block itself; the last words say why it ended.
            self._complaints = (self._complaints + chunk)[-MAX_COMPLAINT_BYTES:]

    def _send(self) -> None:
        try:
            self._unsent = self._unsent[os.write(self._in, self._unsent) :]
        except BlockingIOError:
            return
        except OSError:
            self._unsent = self._unsent[:0]  # it ended before it read everything; its exit code says more
        if not self._unsent:
            self._poll.unregister(self._in)
            if not self._talk.stay:
                self._stdin.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return


def collect_local(look: Look, clock: Clock, running: Running | None = None, answer: list[bytes] | None = None) -> Bundle:
    """Look at this host; `answer` gets what comes, as it comes.

    Raises CollectError when the probe cannot run.
    """
    argv = ["sh", "-s", "--", *probe_arguments(look)]
    if look.become and os.geteuid() != 0:
        argv = ["sudo", "-n", *argv]
    frames, rc, complaints = run_probe(argv, look.timeout_s, running, Talk(probe_text(), answer=[] if answer is None else answer))
    if rc != 0:
        words = last_line(complaints)
        if argv[0] == "sudo" and b"sudo" in complaints:
            raise CollectError(
                Text(
                    f"本机 sudo 需要密码或未授权：{words}；请用 sudo 运行整条命令",
                    f"sudo wants a password or refuses: {words}; run the whole command with sudo",
                )
            )
        raise CollectError(Text(f"探针以 {rc} 退出：{words}", f"the probe ended with {rc}: {words}"))
    try:
        return local_bundle(frames, clock())
    except BundleError as problem:
        raise CollectError(problem.message) from None


def local_bundle(frames: bytes, at: datetime) -> Bundle:
    """What the probe said of this host.

    Raises BundleError.
    """
    from tutela.collect.answer import make_bundle, named_by_host  # noqa: PLC0415 - the probe comes first

    return named_by_host(make_bundle("localhost", frames, at, {"transport": "local"}))
