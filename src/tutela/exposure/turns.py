"""Who may send next: deficit round robin. See Shreedhar and Varghese, "Efficient Fair Queuing Using Deficit Round Robin", SIGCOMM 1995.

Each that has something to send gets the same share, however much it has waiting; what one leaves goes to the others, and nothing is saved up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """Those who share, in the order of their turns. A turn is `quantum` long."""

    def __init__(self, quantum: int = 64) -> None:
        self._quantum = max(quantum, 1)
        self._queue: deque[T] = deque()
        self._left: dict[T, int] = {}
        """Of the turn that each has begun: how much it may still send."""

    def add(self, one: T) -> None:
        """Let it take part; its first turn comes next, so that who comes new waits for no round."""
        self._left[one] = 0
        self._queue.appendleft(one)

    def remove(self, one: T) -> None:
        """It has nothing more to send."""
        if one in self._left:
            del self._left[one]
            self._queue.remove(one)

    def __len__(self) -> int:
        return len(self._queue)

    def __iter__(self) -> Iterator[T]:
        return iter(list(self._queue))

    def share(self, allowed: int, send: Callable[[T, int], int]) -> int:
        """Let them send at most `allowed`, all in all. `send(one, most)` returns how much it sent; less than `most` when it has no more for now.

        Returns how much was sent. A turn that ends because `allowed` is used up goes on at the next call.
        """
        left, idle = allowed, 0
        while left > 0 and idle < len(self._queue):
            one = self._queue[0]
            if self._left[one] == 0:
                # Alone, one needs no turns.
                self._left[one] = self._quantum if len(self._queue) > 1 else left
            most = min(self._left[one], left)
            sent = send(one, most)
            left -= sent
            self._left[one] = self._left[one] - sent if sent == most else 0
            idle = 0 if sent else idle + 1
            if self._left[one] == 0:
                self._queue.rotate(-1)
        return allowed - left
