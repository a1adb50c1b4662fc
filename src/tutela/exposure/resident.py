"""The resident scanner: one process with CAP_NET_RAW takes scans over a Unix socket, so that nobody else needs that right.

A client writes one line, the request (wire.py), and reads events, one a line; the last is a summary, or `refused` with its reason.
`{"stop": true}` ends a scan early and still tells what was found; a client that goes away ends its scan.
All scans share one rate, one table of sockets and one guard.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import struct
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy.random  # noqa: F401 - numpy reads it from disk only at first use, when our user may no longer

from tutela.errors import ScanError, said_by_system
from tutela.exposure.addresses import Ranges
from tutela.exposure.admission import FEW, Allowed, Limits, Lists, Peer, RefusedError, admitted
from tutela.exposure.engine import LAST_S, PROGRESS_S, Engine, summary
from tutela.exposure.entries import Entries
from tutela.exposure.guard import Guard
from tutela.exposure.model import RAW, Event
from tutela.exposure.recent import Recent
from tutela.exposure.wire import MOST_LINE, SCHEMA, Asking, event_line, written_addresses
from tutela.language import Text

if TYPE_CHECKING:
    from tutela.exposure.engine import _Job

ASKING_S, READING_S = 5.0, 10.0
"""A client has so long to ask, and may leave so long unread what it is told."""
CHUNK, MOST_UNREAD = 1 << 18, 4 << 20
"""Bytes: tallies are made as long as fewer wait to be read; with more than the other, the client is gone."""
MOST_KEPT = 4096
"""Lines of an answer that is told again."""
_SO_PEERGROUPS = 59


class Resident:
    """Serves one listening socket until it is told to stop."""

    def __init__(self, listener: socket.socket, lists: Lists, allowed: Allowed, limits: Limits, *, drain_s: float = 30.0) -> None:
        self.lists, self.allowed, self.limits, self.drain_s = lists, allowed, limits, drain_s
        self._listener = listener
        self._guard = Guard(lists.allowed, lists.opted_out)
        self._engine = Engine(rate=limits.rate, guard=self._guard, entries=None if limits.entries is None else Entries(limits.entries))
        self._engine.warm()
        self._recent = Recent(limits.again_s)
        self._clients: dict[int, _Client] = {}
        self._by_job: dict[_Job, _Client] = {}
        self._stop_at: float | None = None
        self._selector = selectors.EpollSelector()
        self._selector.register(listener, selectors.EVENT_READ)
        self._woken, waker = socket.socketpair()
        self._woken.setblocking(False)
        waker.setblocking(False)
        self._waker = waker
        self._selector.register(self._woken, selectors.EVENT_READ)

    def serve(self) -> None:
        """Until SIGTERM or SIGINT: then scans that run have `drain_s` to end, a second signal ends them at once. SIGHUP reads the lists again."""
        before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
        wakeup = signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        log("ready", socket=self._listener.getsockname(), allowed=list(map(str, self.lists.allowed)), opted_out=len(self.lists.opted_out))
        tell_systemd("READY=1")
        try:
            while not self._over():
                busy = any(not client.told for client in self._by_job.values())
                if busy:
                    for job, event in self._engine.step(also=(self._selector.fileno(),)):
                        client = self._by_job.get(job)
                        if client is not None:
                            self._tell(client, event)
                for key, mask in self._selector.select(0 if busy else self._patience()):
                    self._happened(key.fileobj, mask)
                self._tend(time.monotonic())
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            for client in list(self._clients.values()):
                self._forget(client, "scanner stops")
            self._engine.close()
            self._selector.close()
            for one in (self._listener, self._woken, self._waker):
                one.close()
            log("stopped")

    def _over(self) -> bool:
        return self._stop_at is not None and (not self._clients or time.monotonic() > self._stop_at)

    def _patience(self) -> float | None:
        """Nothing to send: sleep until somebody comes, or somebody's time is up."""
        return 0.5 if self._clients or self._stop_at is not None else None

    # What happens

    def _happened(self, what: Any, mask: int) -> None:
        if what is self._listener:
            self._accept()
        elif what is self._woken:
            self._signalled()
        else:
            client = self._clients.get(what.fileno())
            if client is None:
                return
            if mask & selectors.EVENT_READ:
                try:
                    self._hear(client)
                except Exception as problem:  # noqa: BLE001 - what one client says must never end the scans of others, whatever we overlooked
                    log("defect", **client.who(), problem=repr(problem)[:500])
                    self._forget(client, "defect")
            if mask & selectors.EVENT_WRITE and client.socket.fileno() in self._clients:
                self._flush(client)

    def _signalled(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for number in self._woken.recv(64):
                if number == signal.SIGHUP:
                    self._reread()
                elif self._stop_at is None:
                    self._stop_at = time.monotonic() + self.drain_s
                    self._selector.unregister(self._listener)
                    log("stopping", scans=len(self._by_job))
                    self._listener.close()
                    for client in [one for one in self._clients.values() if one.asking is None and not one.told]:
                        self._refuse(client, _STOPPING)
                else:
                    self._stop_at = 0.0

    def _reread(self) -> None:
        try:
            self.lists.read()
        except ScanError as problem:
            log("lists not read", problem=problem.message.en)
            return
        self._engine.guard = self._guard = Guard(self.lists.allowed, self.lists.opted_out)
        log("lists read", allowed=list(map(str, self.lists.allowed)), opted_out=len(self.lists.opted_out))

    def _accept(self) -> None:
        for _ in range(32):
            try:
                one, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as problem:
                # Out of files or memory, or the client has gone: the others are not to suffer.
                log("not accepted", problem=str(problem))
                return
            one.setblocking(False)
            client = _Client(one, _peer(one), time.monotonic())
            self._clients[one.fileno()] = client
            self._selector.register(one, selectors.EVENT_READ)
            peer = client.peer
            if not self.allowed.admits(peer):
                self._refuse(
                    client,
                    RefusedError(
                        "user",
                        Text(
                            f"用户 {peer.uid} 不得使用常驻扫描进程；请管理员将其加入允许的组",
                            f"user {peer.uid} may not use the resident scanner; its administrator can add you to the group that may",
                        ),
                    ),
                )
            elif sum(one.peer.uid == peer.uid for one in self._clients.values()) > 2 * self.limits.jobs_a_user or len(self._clients) > 4 * self.limits.jobs:
                self._refuse(client, RefusedError("busy", Text("连接太多；请稍后再试", "too many connections; try again later"), 5.0))

    def _hear(self, client: _Client) -> None:
        try:
            said = client.socket.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        if not said:
            self._forget(client, "client has gone")
            return
        client.heard += said
        if client.asking is None and client.told is False:
            line, ended, rest = client.heard.partition(b"\n")
            if ended:
                client.heard = bytearray(rest)
                self._ask(client, bytes(line))
            elif len(client.heard) > MOST_LINE:
                self._refuse(client, RefusedError("malformed", Text("请求行太长", "the line of the request is too long")))
        elif client.heard.strip() == b'{"stop": true}' and client.jobs:
            client.deadline, client.cut = min(client.deadline, time.monotonic() + LAST_S), _AS_ASKED
            for job in client.jobs:
                self._engine.ask_no_more(job)
        elif len(client.heard) > 256:
            self._forget(client, "client says too much")

    # Scans

    def _ask(self, client: _Client, line: bytes) -> None:
        now = time.monotonic()
        try:
            if len(line) > MOST_LINE:
                raise RefusedError("malformed", Text("请求行太长", "the line of the request is too long"))
            if self._stop_at is not None:
                raise _STOPPING
            client.asking = Asking(line)
            client.ranges = admitted(client.asking, self.limits, Ranges(self.lists.allowed), Ranges(self.lists.opted_out))
            self._begin(client, now)
        except RefusedError as problem:
            self._refuse(client, problem)
        except ScanError as problem:
            self._refuse(client, RefusedError("malformed" if client.asking is None else "problem", problem.message))
        except OSError as problem:
            self._refuse(client, _failed(problem))

    def _begin(self, client: _Client, now: float) -> None:
        """Answer from what is known, wait for the same question to be answered, or scan. Raises ScanError."""
        asking = client.asking
        assert asking is not None
        few = asking.count <= FEW
        client.question = (tuple(client.ranges), *asking.same[1:]) if few else None
        client.limits = tuple(asking.numbers[name] for name in ("rate", "host_rate", "network_rate"))
        if client.question is not None and not asking.fresh:
            known = self._recent.answer(client.question, now)
            if known is not None:
                self._repeat(client, *known)
                return
            # Whoever asks slowly, as a gentle sweep does, makes nobody else wait.
            client.after = next(
                (one for one in self._clients.values() if one.jobs and one.question == client.question and not one.told and one.limits == client.limits), None
            )
            if client.after is not None:
                return
        running = [one for one in self._clients.values() if one.jobs and not one.told]
        if len(running) >= self.limits.jobs or sum(one.peer.uid == client.peer.uid for one in running) >= self.limits.jobs_a_user:
            raise RefusedError(
                "busy",
                Text(
                    f"正在进行的扫描太多（每个用户 {self.limits.jobs_a_user} 个，共 {self.limits.jobs} 个）；请稍后再试",
                    f"too many scans are running ({self.limits.jobs_a_user} a user, {self.limits.jobs} in all); try again later",
                ),
                5.0,
            )
        request = asking.request(client.ranges, self.limits.rate)
        hosts = list(request.addresses) if few else []
        wait_s = self._recent.wait_s(hosts, len(request.ports), now)
        if wait_s > 0:
            raise RefusedError(
                "too-often",
                Text(f"刚刚扫描过这台主机；请 {wait_s:.0f} 秒后再试", f"this host was scanned a moment ago; try again in {wait_s:.0f} s"),
                round(wait_s, 1),
            )
        client.jobs = self._engine.start(request)
        client.began, client.overflowed = now, self._engine.overflowed()
        client.deadline = now + min(asking.seconds or self.limits.seconds, self.limits.seconds)
        self._by_job.update(dict.fromkeys(client.jobs, client))
        self._recent.asked(hosts, len(request.ports), now)
        log(
            "scan",
            **client.who(),
            addresses=written_addresses(request.addresses)[:20] if few else f"{len(request.addresses)}",
            ports=asking.written_ports[:200],
            rate=request.rate,
        )

    def _tend(self, now: float) -> None:
        """Ends of scans, of patience, and of tallies that wait for a reader."""
        for client in list(self._clients.values()):
            if client.jobs and not client.told:
                self._look_after(client, now)
            elif client.after is not None and client.after.socket.fileno() not in self._clients:
                client.after = None
                try:
                    self._begin(client, now)
                except RefusedError as problem:
                    self._refuse(client, problem)
                except ScanError as problem:
                    self._refuse(client, RefusedError("problem", problem.message))
                except OSError as problem:
                    self._refuse(client, _failed(problem))
            elif client.after is not None and now - client.shown >= PROGRESS_S and client.after.jobs:
                client.shown = now
                self._tell(client, _slowest(client.after.jobs).scan.progress(now))
            elif client.asking is None and not client.told and now - client.came > ASKING_S:
                self._refuse(client, RefusedError("slow", Text("没有收到请求", "no request came")))
            if client.told:
                self._pump(client, now)

    def _look_after(self, client: _Client, now: float) -> None:
        problem = next((job.problem for job in client.jobs if job.problem is not None), None)
        if problem is not None:
            self._refuse(client, RefusedError("problem", problem.message))
        elif all(job.scan.done for job in client.jobs):
            self._end(client, None)
        elif now > client.deadline:
            seconds = now - client.began
            limit = Text(f"{seconds:.0f} 秒的时限已到；数字不完整", f"the time limit of {seconds:.0f} s is over; the numbers are incomplete")
            self._end(client, client.cut or limit)
        elif now - client.shown >= PROGRESS_S:
            client.shown = now
            if len(client.unread) < CHUNK:
                self._tell(client, _slowest(client.jobs).scan.progress(now))

    def _end(self, client: _Client, cut: Text | None) -> None:
        """The scan is over: tallies and summary are told as the client reads them."""
        jobs, seconds = client.jobs, time.monotonic() - client.began
        whole = summary(jobs, RAW, seconds, self._engine.overflowed() - client.overflowed)
        asked = client.asking
        assert asked is not None
        notes = list(whole.notes)
        wanted = asked.numbers["rate"]
        if wanted is not None and wanted > self.limits.rate:
            notes.append(
                Text(f"常驻扫描进程每秒最多发送 {self.limits.rate:.0f} 个包", f"the resident scanner sends at most {self.limits.rate:.0f} packets a second")
            )
        if cut is not None:
            notes.append(cut)
        whole = replace(whole, notes=tuple(notes))
        client.keeps = cut is None and client.question is not None and not any(job.withheld or job.scan.suspects() for job in jobs)
        told: list[Event] = [event for job in jobs for event in job.scan.tallies()]
        client.left = iter([*told, whole])
        client.told, client.read_at = True, time.monotonic()
        self._unlink(client)
        log(
            "scanned",
            **client.who(),
            seconds=round(seconds, 3),
            packets=whole.packets,
            open=sum(len(job.scan.open_probes()) for job in jobs),
            cut=cut and cut.en,
        )
        self._pump(client, client.read_at)

    def _pump(self, client: _Client, now: float) -> None:
        """As much of the end of its answer as the client takes; then it is done."""
        while client.left is not None and len(client.unread) < CHUNK and client.socket.fileno() in self._clients:
            event = next(client.left, None)
            if event is None:
                client.left = None
                if client.keeps and client.question is not None and len(client.lines) < MOST_KEPT:
                    self._recent.keep(client.question, client.lines, now)
                break
            self._tell(client, event)
        if client.socket.fileno() not in self._clients:
            return
        if client.left is None and not client.unread:
            self._forget(client, None)
        elif now - client.read_at > READING_S:
            self._forget(client, "client does not read")

    def _repeat(self, client: _Client, age_s: float, lines: list[str]) -> None:
        """The same answer again, with its age in the summary."""
        note = Text(
            f"{age_s:.0f} 秒前扫描过同样的目标和端口：这是当时的结果（{self.limits.again_s:.0f} 秒内不重复扫描）",
            f"the same was scanned {age_s:.0f} s ago: this is that answer (nothing is scanned twice within {self.limits.again_s:.0f} s)",
        )
        said = json.loads(lines[-1])
        said["notes"].append({"zh": note.zh, "en": note.en})
        client.told, client.read_at = True, time.monotonic()
        log("answered again", **client.who(), age_s=round(age_s, 1))
        self._say(client, "".join(lines[:-1]) + json.dumps(said, ensure_ascii=False) + "\n")

    # Telling

    def _tell(self, client: _Client, event: Event) -> None:
        line = event_line(event)
        if client.question is not None and type(event).__name__ != "Progress" and len(client.lines) < MOST_KEPT:
            client.lines.append(line)
        self._say(client, line)

    def _say(self, client: _Client, line: str) -> None:
        client.unread += line.encode()
        if len(client.unread) > MOST_UNREAD:
            self._forget(client, "client does not read")
        else:
            self._flush(client)

    def _refuse(self, client: _Client, why: RefusedError) -> None:
        log("refused", **client.who(), code=why.code, why=why.message.en)
        self._unlink(client)
        client.told, client.read_at, client.left = True, time.monotonic(), None
        said = {"schema": SCHEMA, "event": "refused", "code": why.code, "message": {"zh": why.message.zh, "en": why.message.en}, "retry_s": why.retry_s}
        self._say(client, json.dumps(said, ensure_ascii=False) + "\n")
        if client.socket.fileno() in self._clients and not client.unread:
            self._forget(client, None)

    def _flush(self, client: _Client) -> None:
        number = client.socket.fileno()
        try:
            sent = client.socket.send(client.unread) if client.unread else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self._forget(client, "client has gone")
            return
        if sent:
            del client.unread[:sent]
            client.read_at = time.monotonic()
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.unread else 0)
        if self._selector.get_key(number).events != wanted:
            self._selector.modify(client.socket, wanted)

    def _forget(self, client: _Client, why: str | None) -> None:
        """The connection ends, and with it the scan."""
        if self._clients.pop(client.socket.fileno(), None) is None:
            return
        self._unlink(client)
        if why is not None:
            log("ended", **client.who(), why=why)
        self._selector.unregister(client.socket)
        client.socket.close()

    def _unlink(self, client: _Client) -> None:
        for job in client.jobs:
            if self._by_job.pop(job, None) is not None:
                self._engine.end(job)


class _Client:
    """One connection: a question, its scan, and what it has not read yet."""

    def __init__(self, connection: socket.socket, peer: Peer, now: float) -> None:
        self.socket, self.peer, self.came = connection, peer, now
        self.heard = bytearray()
        self.unread = bytearray()
        self.asking: Asking | None = None
        self.ranges: list[tuple[int, int, int]] = []
        self.question: tuple[Any, ...] | None = None
        self.limits: tuple[float | None, ...] = ()
        """The rates it asked for."""
        self.after: _Client | None = None
        """Who asked the same before: its answer is ours too."""
        self.jobs: list[_Job] = []
        self.began = self.deadline = self.shown = self.read_at = now
        self.overflowed = 0
        """Packets that the ring had lost before its scan began."""
        self.cut: Text | None = None
        """Why it ends early."""
        self.told = False
        """Nothing more is scanned for it; `left` is what it is still to be told."""
        self.left: Iterator[Event] | None = None
        self.lines: list[str] = []
        self.keeps = False

    def who(self) -> dict[str, int]:
        return {"uid": self.peer.uid, "pid": self.peer.pid}


_AS_ASKED = Text("应要求提前结束；数字不完整", "ended early as asked; the numbers are incomplete")
_STOPPING = RefusedError("stopping", Text("常驻扫描进程正在停止；请稍后再试", "the resident scanner is stopping; try again later"), 10.0)


def _failed(problem: OSError) -> RefusedError:
    why = said_by_system(problem)
    return RefusedError("problem", Text(f"常驻扫描进程无法开始：{why.zh}", f"the resident scanner could not begin: {why.en}"), 5.0)


def _slowest(jobs: Iterable[_Job]) -> _Job:
    return max(jobs, key=lambda job: job.scan.expected_packets())


def _peer(connection: socket.socket) -> Peer:
    pid, uid, gid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    try:
        raw = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 1024)
    except OSError:
        raw = b""
    return Peer(pid, uid, (gid, *struct.unpack(f"{len(raw) // 4}I", raw[: len(raw) // 4 * 4])))


def tell_systemd(words: str) -> None:
    """To whoever started us as a unit of Type=notify: sd_notify(3)."""
    name = os.environ.get("NOTIFY_SOCKET", "")
    if name:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
            # @ stands for the zero byte of an abstract name: unix(7).
            one.sendto(words.encode(), "\0" + name[1:] if name.startswith("@") else name)


def log(event: str, **more: Any) -> None:
    """Who asked what and when, one JSON object a line on standard error: what a journal keeps."""
    with contextlib.suppress(OSError):
        os.write(2, (json.dumps({"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **more}, ensure_ascii=False) + "\n").encode())
