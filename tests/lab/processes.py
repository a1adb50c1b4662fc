"""The processes of a lab: recorded when they start, found again, ended for certain.

A process is known by its id *and* the moment it started, so that an id which the kernel gave to
somebody else in the meantime is left alone. Every process of a host also sits in a cgroup of the
lab's own, which finds those that nobody recorded.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.lab.errors import LabError

__all__ = ["Process", "cgroup_root", "end_cgroup", "end_namespace_users", "end_processes"]

_END_S = 10.0


@dataclass(frozen=True, slots=True)
class Process:
    """One process, told apart from a later one with the same id."""

    pid: int
    started: int
    """Clock ticks between the machine's boot and the start of the process: proc(5), stat, 22."""

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """The process that has `pid` now, if any."""
        started = _start_time(pid)
        return None if started is None else cls(pid, started)

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs (a zombie does not)."""
        return _start_time(self.pid) == self.started

    def child(self) -> Process | None:
        """Its first child, if it has one by now."""
        try:
            listed = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        except OSError:
            return None
        return Process.of(int(listed[0])) if listed else None


def end_processes(processes: Iterable[Process]) -> None:
    """Kill those that are still the recorded ones, and wait until they are gone."""
    living = [process for process in processes if process.is_alive]
    for process in living:
        try:
            os.kill(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    deadline = time.monotonic() + _END_S
    while any(process.is_alive for process in living) and time.monotonic() < deadline:
        time.sleep(0.01)


def end_namespace_users(namespace: str) -> None:
    """End the processes that the lab's users left in a network namespace of the lab."""
    try:
        wanted = os.stat(f"/run/netns/{namespace}").st_ino
    except FileNotFoundError:
        return
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            inside = os.stat(entry / "ns/net").st_ino == wanted
        except OSError:
            continue
        process = Process.of(int(entry.name)) if inside else None
        if process is not None:
            found.append(process)
    end_processes(found)


def cgroup_root() -> Path:
    """Where the machine has cgroup2 mounted. Raises LabError if it has not."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(place)
    raise LabError("no cgroup2 is mounted on this machine, and systemd needs one")


def end_cgroup(group: Path) -> None:
    """End all processes of `group` and below, and remove it."""
    if not group.is_dir():
        return
    groups = sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True)
    found = []
    for path in [*groups, group]:
        for pid in (path / "cgroup.procs").read_text().split():
            process = Process.of(int(pid))
            if process is not None:
                found.append(process)
    end_processes(found)
    for path in [*groups, group]:
        _remove_group(path)


def _remove_group(path: Path) -> None:
    deadline = time.monotonic() + _END_S
    while True:
        try:
            path.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            # The kernel still has a dying process to take out of it.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _start_time(pid: int) -> int | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name in brackets may hold spaces and brackets.
    state, *rest = text.rpartition(")")[2].split()
    return None if state in "ZX" else int(rest[18])
