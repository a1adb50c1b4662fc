"""What a sweep has done, on disk as it happens, so that a crash costs one slice and no more.

A file of JSON lines that only grows: the plan's digest, open ports as they are found, and each finished slice. A line counts when it ends with a newline: the last one may be torn.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import time
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from tutela.errors import ScanError, said_by_system
from tutela.exposure.model import CONNECT, FRAMES, RAW, Open, Tally
from tutela.exposure.notes import EVERY, EVERY_PORT, PROHIBITED, STOPPED
from tutela.language import Text
from tutela.record import record

FORMAT = "tutela/sweep/1"
SYNC_S = 1.0
"""Open ports may be lost for so long; they are asked again with their slice."""
_NOTES = {EVERY: EVERY_PORT, "prohibited": PROHIBITED}


@record
class Slice:
    """What a finished slice told: Slice(number=3, tallies=(…), packets=4096, rounds=2, lost=1, counted=1200, seconds=4.1)"""

    number: int
    tallies: tuple[Tally, ...]
    """Of addresses that answered."""
    left: tuple[tuple[str, str], ...]
    """Addresses not to be asked any further, and why: a word of notes.STOPPED, or `every`."""
    packets: int
    rounds: int
    lost: int
    counted: int
    """Round trips lost, of those counted."""
    seconds: float
    method: str


class Journal:
    """Open, or continue, the journal of one plan. Raises ScanError when the file belongs to another plan, to another running sweep, or cannot be written."""

    def __init__(self, path: Path, plan: str, *, seed: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.path, self.seed = path, seed
        self.opened: list[Open] = []
        self.slices: dict[int, Slice] = {}
        self._clock = clock
        self._synced = clock()
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as problem:
            why = said_by_system(problem)
            raise ScanError(Text(f"无法打开扫描日志 {path}：{why.zh}", f"cannot open the journal {path}: {why.en}")) from None
        try:
            if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
                raise ScanError(Text(f"{path} 不是普通文件，不能作日志", f"{path} is no regular file and cannot be a journal"))
            self._lock()
            self._begin(plan)
        except BaseException:
            self.close()
            raise

    @property
    def resumed(self) -> bool:
        """Something was done before."""
        return bool(self.slices or self.opened)

    def found(self, event: Open) -> None:
        """A port is open."""
        self._write({"open": [event.address, event.port, event.after_s]})
        if self._clock() - self._synced >= SYNC_S:
            self._sync()

    def finished(self, one: Slice) -> None:
        """A slice is done and need not be asked again. On disk when this returns."""
        self.slices[one.number] = one
        self._write(
            {
                "slice": one.number, "left": [list(pair) for pair in one.left], "packets": one.packets, "rounds": one.rounds, "lost": one.lost, "counted": one.counted,
                "seconds": round(one.seconds, 3), "method": one.method,
                "tallies": [[tally.address, tally.asked, list(tally.open), tally.closed, tally.filtered, tally.rtt_s, _word(tally.note)] for tally in one.tallies],
            }
        )  # fmt: skip
        self._sync()

    def close(self) -> None:
        """Give the file back. What was written stays."""
        os.close(self._descriptor)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ScanError(Text(f"{self.path} 正被另一个扫描使用", f"{self.path} is in use by another sweep")) from None

    def _begin(self, plan: str) -> None:
        with open(self._descriptor, "rb", closefd=False) as file:
            raw = file.read()
        whole = raw[: raw.rfind(b"\n") + 1]
        lines = whole.split(b"\n")[:-1]
        try:
            if lines:
                head = json.loads(lines[0])
                if head["journal"] != FORMAT:
                    raise ValueError
                if head["plan"] != plan:
                    raise ScanError(
                        Text(
                            f"{self.path} 记录的是另一个计划（目标、端口或选项不同）；请换一个文件，或删除它重新开始",
                            f"{self.path} is the journal of another plan (other targets, ports or options); name another file, or delete it to begin anew",
                        )
                    )
                self.seed = int(head["seed"])
                for line in lines[1:]:
                    self._take(json.loads(line))
            elif raw and not b'{"journal": '.startswith(raw[:12]) and not raw.startswith(b'{"journal": '):
                raise ValueError
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
            raise ScanError(
                Text(f"{self.path} 不是扫描日志，或已损坏；没有改动它", f"{self.path} is no journal of a sweep, or is damaged; it was left as it is")
            ) from None
        try:
            os.ftruncate(self._descriptor, len(whole))
            os.lseek(self._descriptor, 0, os.SEEK_END)
        except OSError as problem:
            raise self._cannot(problem) from None
        if not lines:
            self._write({"journal": FORMAT, "plan": plan, "seed": self.seed})
            self._sync()
            self._sync_folder()

    def _take(self, line: dict[str, Any]) -> None:
        if "open" in line:
            address, port, after_s = line["open"]
            self.opened.append(Open(_address(address), "tcp", int(port), float(after_s)))
            return
        tallies = tuple(
            Tally(
                _address(address),
                int(asked),
                tuple(map(int, ports)),
                int(closed),
                int(filtered),
                int(asked) - len(ports) - int(closed) - int(filtered),
                rtt_s=None if rtt_s is None else float(rtt_s),
                note=_NOTES.get(word),
            )
            for address, asked, ports, closed, filtered, rtt_s, word in line["tallies"]
        )
        number = int(line["slice"])
        self.slices[number] = Slice(
            number, tallies, tuple((_address(address), _one_of((EVERY, *STOPPED), why)) for address, why in line["left"]), int(line["packets"]), int(line["rounds"]), int(line["lost"]), int(line["counted"]), float(line["seconds"]), _one_of(("", RAW, FRAMES, CONNECT), line["method"])
        )  # fmt: skip

    def _write(self, line: dict[str, Any]) -> None:
        raw = json.dumps(line).encode() + b"\n"
        try:
            while raw:
                raw = raw[os.write(self._descriptor, raw) :]
        except OSError as problem:
            raise self._cannot(problem) from None

    def _sync(self) -> None:
        self._synced = self._clock()
        try:
            os.fsync(self._descriptor)
        except OSError as problem:
            raise self._cannot(problem) from None

    def _sync_folder(self) -> None:
        """A new file is not there after a crash unless its folder was written too: fsync(2)."""
        folder = os.open(self.path.absolute().parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        except OSError as problem:
            raise self._cannot(problem) from None
        finally:
            os.close(folder)

    def _cannot(self, problem: OSError) -> ScanError:
        why = said_by_system(problem)
        return ScanError(
            Text(
                f"无法写入扫描日志 {self.path}：{why.zh}；扫描已停止，已写入的部分可以续扫",
                f"cannot write the journal {self.path}: {why.en}; the sweep has stopped, and what was written can be resumed",
            )
        )


def _address(words: str) -> str:
    return str(ip_address(words))


def _one_of(known: Iterable[str], word: str) -> str:
    if word not in known:
        raise ValueError
    return word


def _word(note: Text | None) -> str | None:
    return next((word for word, one in _NOTES.items() if one == note), None)
