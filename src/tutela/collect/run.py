"""Run the probe where a target is, and make a bundle of what came back."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from importlib import resources

from tutela.errors import BundleError, CollectError
from tutela.evidence import Bundle, Vantage
from tutela.evidence.bundle import MAX_BUNDLE_BYTES, read_frames, write_frames
from tutela.language import Text
from tutela.record import record
from tutela.site import Site

Clock = Callable[[], datetime]


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
    return (resources.files("tutela.collect") / "probe.sh").read_bytes()


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

    def add(self, process: subprocess.Popen[bytes]) -> None:
        """Remember a process; one that starts after `stop` is ended at once."""
        with self._lock:
            self._processes.add(process)
            stopped = self.stopped
        if stopped:
            _kill(process)

    def remove(self, process: subprocess.Popen[bytes]) -> None:
        """Forget a finished process."""
        with self._lock:
            self._processes.discard(process)

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


def run_probe(argv: list[str], timeout_s: int, running: Running | None = None, talk: Talk | None = None) -> tuple[bytes, int, bytes]:
    """Send the probe (or what `talk` says) to `argv` and read its output, exit code and complaints.

    Raises CollectError on time-out, a missing command, or more output than a bundle may hold.
    """
    try:
        # The words are ours or were checked by `ssh_target`; no shell is involved here.
        process = subprocess.Popen(  # noqa: S603
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
    except OSError as problem:
        raise CollectError(Text(f"无法运行 {argv[0]}：{problem.strerror}", f"cannot run {argv[0]}: {problem.strerror}")) from None
    if running is not None:
        running.add(process)
    late = threading.Timer(timeout_s, _kill, (process,))
    late.start()
    try:
        return _exchange(process, argv[0], talk or Talk(probe_text()))
    finally:
        timed_out = not late.is_alive() and process.poll() is not None and process.returncode == -signal.SIGKILL
        late.cancel()
        _kill(process)
        process.wait()
        if running is not None:
            running.remove(process)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()
        if timed_out and not (running is not None and running.stopped):
            raise CollectError(Text(f"{timeout_s} 秒内没有完成", f"not done within {timeout_s} seconds"))


def _exchange(process: subprocess.Popen[bytes], command: str, talk: Talk) -> tuple[bytes, int, bytes]:
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    complaints: list[bytes] = []
    stderr = process.stderr

    def listen() -> None:
        # Bounded, but read to the end, so that a chatty host cannot block itself.
        kept = 0
        while chunk := os.read(stderr.fileno(), 65536):
            talk.hear(chunk)
            if kept < 16384:
                complaints.append(chunk)
                kept += len(chunk)

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()

    def send() -> None:
        assert process.stdin is not None
        try:
            process.stdin.write(talk.sent)
            process.stdin.flush()
            if not talk.stay:
                process.stdin.close()
        except OSError:
            return  # it ended before it read everything; its exit code says more

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    parts: list[bytes] = []
    size = 0
    while chunk := os.read(process.stdout.fileno(), 1 << 20):
        size += len(chunk)
        if size > MAX_BUNDLE_BYTES:
            raise CollectError(Text(f"{command} 返回的内容过大，已停止读取", f"{command} sends more than a bundle may hold; reading was stopped"))
        parts.append(chunk)
    rc = process.wait()
    sender.join()
    listener.join()
    return b"".join(parts), rc, b"".join(complaints)


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return


def make_bundle(subject: str, frames: bytes, at: datetime, meta: dict[str, str]) -> Bundle:
    """A bundle of the probe's output.

    Raises BundleError when the output is cut, forged or not the probe's.
    """
    sources = read_frames(frames)
    said = sources.get("meta")
    version = "?"
    if said is not None:
        version = next((line[8:] for line in said.content.decode("utf-8", "backslashreplace").split("\n") if line.startswith("version=")), "?")
    return Bundle(subject, at.astimezone(UTC).replace(microsecond=0), version, Vantage.HOST, frames, sources, meta)


def unseen(subject: str, at: datetime, why: Text, meta: dict[str, str]) -> Bundle:
    """The bundle of a subject that could not be looked at: no source at all, and the reason."""
    frames = write_frames([])
    reason = {"unreachable": why.en, "unreachable_zh": why.zh}
    return Bundle(subject, at.astimezone(UTC).replace(microsecond=0), "-", Vantage.HOST, frames, {}, meta | reason)


def collect_local(look: Look, clock: Clock, running: Running | None = None) -> Bundle:
    """Look at this host.

    Raises CollectError when the probe cannot run.
    """
    argv = ["sh", "-s", "--", *probe_arguments(look)]
    if look.become and os.geteuid() != 0:
        argv = ["sudo", "-n", *argv]
    frames, rc, complaints = run_probe(argv, look.timeout_s, running)
    if rc != 0:
        words = shown(complaints)
        raise CollectError(Text(f"探针以 {rc} 退出：{words}", f"the probe ended with {rc}: {words}"))
    try:
        bundle = make_bundle("localhost", frames, clock(), {"transport": "local"})
    except BundleError as problem:
        raise CollectError(problem.message) from None
    return named_by_host(bundle)


def named_by_host(bundle: Bundle) -> Bundle:
    """The bundle under the name that the host gives itself, where nobody else named it."""
    name = bundle["hostname"].content.decode("utf-8", "backslashreplace").strip()
    return replace(bundle, subject=name) if name else bundle


def shown(complaints: bytes) -> str:
    """The last line of a command's complaints, safe to print."""
    lines = [line.strip() for line in complaints.decode("utf-8", "backslashreplace").splitlines() if line.strip()]
    last = lines[-1] if lines else "-"
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in last)[:300]
