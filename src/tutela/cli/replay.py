"""Judge thousands of recorded bundles: every core works, memory stays flat, results come in the order of the files."""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path

CHUNK = 32
"""Bundles handed to a worker at a time: enough to make the hand-over cheap, few enough for even loads."""

COLLECT = 32
"""Chunks after which a worker looks for garbage."""

Done = tuple[bytes, set[int]]


def replay(paths: Sequence[Path], judge: Callable[[Path], tuple[bytes, int]]) -> Iterator[tuple[bytes, set[int], int]]:
    """Lines, exit statuses and count of each chunk of `paths`, in order.

    `judge` is inherited by the workers through fork(2), so nothing but paths and lines is passed on.
    Raises whatever `judge` raises.
    """
    global _judge  # noqa: PLW0603 - the one way to hand a closure to a forked worker
    _judge = judge
    workers = len(os.sched_getaffinity(0))
    chunks = (list(paths[at : at + CHUNK]) for at in range(0, len(paths), CHUNK))
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("fork"), initializer=_begin) as pool:
        waiting: deque[tuple[Future[Done], int]] = deque()
        for chunk in chunks:
            waiting.append((pool.submit(_work, chunk), len(chunk)))
            if len(waiting) > workers * 2:
                future, count = waiting.popleft()
                yield *future.result(), count
        while waiting:
            future, count = waiting.popleft()
            yield *future.result(), count


_judge: Callable[[Path], tuple[bytes, int]]
_chunks = 0


def _begin() -> None:
    """Look for garbage seldom: judging leaves next to none behind, and what a worker remembers is large and lives long."""
    gc.disable()


def _work(paths: list[Path]) -> Done:
    global _chunks  # noqa: PLW0603 - a worker's own count
    done = [_judge(path) for path in paths]
    _chunks += 1
    if _chunks % COLLECT == 0:
        gc.collect()
    return b"".join([line for line, _ in done]), {status for _, status in done}
