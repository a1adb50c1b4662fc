"""What an interrupt means in the middle of a fleet: stop looking, keep and report what is done."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from tutela.collect.run import Running


@contextmanager
def stop_on_interrupt() -> Iterator[Running]:
    """A `Running` that the first SIGINT or SIGTERM stops; the second SIGINT ends the program at once."""
    running = Running()

    def stop(number: int, frame: FrameType | None) -> None:
        _ = (number, frame)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        running.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield running
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
