"""Look at many targets side by side; what one of them does never harms another."""

from __future__ import annotations

import resource
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import TYPE_CHECKING

from tutela.collect.answer import unseen
from tutela.collect.one import collect
from tutela.collect.run import Look, Running
from tutela.collect.target import Target
from tutela.errors import BundleError, CollectError
from tutela.evidence import Bundle, Evidence
from tutela.evidence.bundle import Frames, read_frames
from tutela.language import Text

if TYPE_CHECKING:
    from tutela.collect.run import Clock

INTERRUPTED = Text("被中断，尚未检查", "interrupted before it was looked at")
PIPES = 3
"""Descriptors that a target under way needs."""
SPARE = 40
"""Descriptors kept for reports, modules that are read late, and the start of a process."""


def side_by_side(jobs: int) -> int:
    """As many of `jobs` as the limit on open files (`ulimit -n`) leaves room for, at least one."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return jobs
    used = sum(1 for _ in Path("/proc/self/fd").iterdir())
    return max(1, min(jobs, (limit - used - SPARE) // PIPES))


def collect_fleet(
    targets: Sequence[Target], look: Look, clock: Clock, *, jobs: int, ssh_options: tuple[str, ...] = (), running: Running | None = None
) -> Iterator[Bundle]:
    """Bundles in the order in which they are done.

    A target that cannot be looked at gives a bundle without sources that says why.
    After `running.stop()` the targets under way are ended, and each that is not done is reported as such: none is ever dropped.
    """
    running = running or Running()
    seen, turn = Frames(), Lock()

    def read(frames: bytes) -> dict[str, Evidence]:
        # What hosts have in common is read once; and judging and reporting know what they have seen before by its being the same object.
        with turn:
            return read_frames(frames, seen)

    def look_at(target: Target) -> Bundle:
        if running.stopped:
            return unseen(target.name, clock(), INTERRUPTED, {})
        try:
            return collect(target, look, clock, ssh_options=ssh_options, running=running, read=read)
        except (CollectError, BundleError) as problem:
            return unseen(target.name, clock(), INTERRUPTED if running.stopped else problem.message, {})

    jobs = side_by_side(jobs)
    done: SimpleQueue[Future[Bundle]] = SimpleQueue()
    rest = iter(targets)
    waiting = 0
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        try:
            # Only twice as many as work at once are handed out, so memory stays flat over a hundred thousand hosts.
            for target in islice(rest, jobs * 2):
                pool.submit(look_at, target).add_done_callback(done.put)
                waiting += 1
            while waiting:
                future = done.get()
                waiting -= 1
                for target in islice(rest, 1):
                    pool.submit(look_at, target).add_done_callback(done.put)
                    waiting += 1
                yield future.result()
        finally:
            # Nobody takes the others any more, for instance when the reader of our output went away.
            if waiting:
                running.stop()
