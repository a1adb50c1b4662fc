"""Judge thousands of recorded bundles: every core works, memory stays flat, results come in the order of the files."""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path

CHUNK = 32
"""Bundles handed to a worker at a time: enough to make the hand-over cheap, few enough for even loads."""

COLLECT = 32
"""Chunks after which a worker looks for garbage."""

Done = tuple[int, set[int]]


def replay(paths: Sequence[Path], judge: Callable[[Path], tuple[bytes, int]], stopped: Callable[[], bool]) -> Iterator[tuple[bytes, set[int], int]]:
    """Lines, exit statuses and count of each chunk of `paths`, in order. Once `stopped` says so no further chunk is begun.

    `judge` is inherited by the workers through fork(2), and lines come back in memory that is shared with them:
    through the pool's own pipe they would cost half as much as judging.
    Raises whatever `judge` raises.
    """
    global _judge  # noqa: PLW0603 - the one way to hand a closure to a forked worker
    _judge = judge
    workers = len(os.sched_getaffinity(0))
    ahead = workers * 2
    places = [os.memfd_create("lines") for _ in range(ahead + 1)]
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("fork"), initializer=_begin)
    try:
        waiting: deque[tuple[Future[Done], int, int]] = deque()
        for number, at in enumerate(range(0, len(paths), CHUNK)):
            if stopped():
                break
            place, chunk = places[number % len(places)], list(paths[at : at + CHUNK])
            waiting.append((pool.submit(_work, chunk, place), place, len(chunk)))
            if len(waiting) > ahead:
                yield _done(*waiting.popleft())
        while waiting:
            yield _done(*waiting.popleft())
    except BaseException:
        _end_workers()
        raise
    finally:
        pool.shutdown()
        for place in places:
            os.close(place)


def _done(future: Future[Done], place: int, count: int) -> tuple[bytes, set[int], int]:
    size, statuses = future.result()
    return os.pread(place, size, 0), statuses, count


_judge: Callable[[Path], tuple[bytes, int]]
_chunks = 0


_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG of prctl(2)."""


def _begin() -> None:
    """Look for garbage seldom: judging leaves next to none behind, and what a worker remembers is large and lives long.

    A terminal's Ctrl-C reaches every process; what it means is said by the parent alone, and a worker never outlives it.
    """
    gc.disable()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)


def _end_workers() -> None:
    """Nobody takes the lines any more, so what is under way is not waited for."""
    for worker in multiprocessing.active_children():
        worker.kill()


def _work(paths: list[Path], place: int) -> Done:
    """Judge, and leave the lines in the place."""
    global _chunks  # noqa: PLW0603 - a worker's own count
    statuses = set()
    with open(place, "wb", closefd=False) as lines:
        lines.seek(0)
        for path in paths:
            line, status = _judge(path)
            lines.write(line)
            statuses.add(status)
        size = lines.tell()
    _chunks += 1
    if _chunks % COLLECT == 0:
        gc.collect()
    return size, statuses
