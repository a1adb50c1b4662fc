"""Look at many targets side by side; what one of them does never harms another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from tutela.collect.archive import read_bundle
from tutela.collect.run import Clock, Look, Running, collect_local, unseen
from tutela.collect.ssh import collect_ssh
from tutela.collect.target import BundleTarget, SshTarget, Target
from tutela.errors import CollectError
from tutela.evidence import Bundle
from tutela.language import Text

INTERRUPTED = Text("被中断，尚未检查", "interrupted before it was looked at")


def collect(target: Target, look: Look, clock: Clock, *, ssh_options: tuple[str, ...] = (), running: Running | None = None) -> Bundle:
    """Look at one target.

    Raises CollectError or BundleError.
    """
    if isinstance(target, BundleTarget):
        return read_bundle(target.path)
    if isinstance(target, SshTarget):
        return collect_ssh(target, look, clock, options=ssh_options, running=running)
    return collect_local(look, clock)


def collect_fleet(
    targets: list[Target],
    look: Look,
    clock: Clock,
    *,
    jobs: int,
    ssh_options: tuple[str, ...] = (),
    on_interrupt: Callable[[], None] = lambda: None,
) -> Iterator[tuple[int, Bundle]]:
    """Bundles with the index of their target, in the order in which they are done.

    A target that cannot be looked at gives a bundle without sources that says why.
    On an interrupt the targets under way are ended, and each that is not done is reported as such.
    """
    running = Running()
    done: set[int] = set()
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        waiting: dict[Future[Bundle], int] = {}
        rest = iter(enumerate(targets))

        def look_at(target: Target) -> Bundle:
            try:
                return collect(target, look, clock, ssh_options=ssh_options, running=running)
            except CollectError as problem:
                return unseen(target.name, clock(), INTERRUPTED if running.stopped else problem.message, {"transport": "ssh"})

        def fill() -> None:
            # Only as many as work at once are handed out, so memory stays flat over a hundred thousand hosts.
            for index, target in rest:
                waiting[pool.submit(look_at, target)] = index
                if len(waiting) >= jobs * 2:
                    return

        try:
            fill()
            while waiting:
                finished, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for future in finished:
                    index = waiting.pop(future)
                    bundle = future.result()
                    done.add(index)
                    yield index, bundle
                fill()
        except KeyboardInterrupt:
            running.stop()
            on_interrupt()
            pool.shutdown(wait=True, cancel_futures=True)
            for future, index in waiting.items():
                if future.done() and not future.cancelled():
                    done.add(index)
                    yield index, future.result()
            for index, target in enumerate(targets):
                if index not in done:
                    yield index, unseen(target.name, clock(), INTERRUPTED, {"transport": "ssh"})
