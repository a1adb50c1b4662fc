"""Look at many targets side by side; what one of them does never harms another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from itertools import islice

from tutela.collect.one import collect
from tutela.collect.run import Clock, Look, Running, unseen
from tutela.collect.target import Target
from tutela.errors import BundleError, CollectError
from tutela.evidence import Bundle
from tutela.language import Text

INTERRUPTED = Text("被中断，尚未检查", "interrupted before it was looked at")


def collect_or_unseen(target: Target, look: Look, clock: Clock, *, ssh_options: tuple[str, ...] = (), running: Running | None = None) -> Bundle:
    """Look at one target of many: what goes wrong becomes a bundle without sources that says why."""
    try:
        return collect(target, look, clock, ssh_options=ssh_options, running=running)
    except (CollectError, BundleError) as problem:
        interrupted = running is not None and running.stopped
        return unseen(target.name, clock(), INTERRUPTED if interrupted else problem.message, {})


def collect_fleet(
    targets: Sequence[Target], look: Look, clock: Clock, *, jobs: int, ssh_options: tuple[str, ...] = (), running: Running | None = None
) -> Iterator[Bundle]:
    """Bundles in the order in which they are done.

    A target that cannot be looked at gives a bundle without sources that says why.
    After `running.stop()` the targets under way are ended, and each that is not done is reported as such: none is ever dropped.
    """
    running = running or Running()

    def look_at(target: Target) -> Bundle:
        if running.stopped:
            return unseen(target.name, clock(), INTERRUPTED, {})
        return collect_or_unseen(target, look, clock, ssh_options=ssh_options, running=running)

    with ThreadPoolExecutor(max_workers=jobs) as pool:
        rest = iter(targets)
        waiting = {pool.submit(look_at, target) for target in islice(rest, jobs * 2)}
        while waiting:
            finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            # Only as many as work at once are handed out, so memory stays flat over a hundred thousand hosts.
            waiting |= {pool.submit(look_at, target) for target in islice(rest, len(finished))}
            for future in finished:
                yield future.result()
