"""What was asked a moment ago is not asked again: the answer is told once more, with its age; and nobody asks one host without end.

Pure: time is given, in seconds.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterable

MOST_ANSWERS = 512
MOST_HOSTS = 1 << 16
AN_HOST = 2 * 65536
"""Ports asked of one address in the time: all of them twice."""


class Recent:
    """Answers of the last `again_s` seconds, and how much each address was asked in that time."""

    def __init__(self, again_s: float) -> None:
        self.again_s = again_s
        self._answers: OrderedDict[Hashable, tuple[float, list[str]]] = OrderedDict()
        self._asked: OrderedDict[Hashable, deque[tuple[float, int]]] = OrderedDict()

    def answer(self, question: Hashable, now: float) -> tuple[float, list[str]] | None:
        """Age and lines of the answer to the same question, if there is one."""
        found = self._answers.get(question)
        if found is None or now - found[0] >= self.again_s:
            return None
        return now - found[0], found[1]

    def keep(self, question: Hashable, lines: list[str], now: float) -> None:
        """This was answered completely."""
        self._answers[question] = (now, lines)
        self._answers.move_to_end(question)
        while self._answers and (len(self._answers) > MOST_ANSWERS or next(iter(self._answers.values()))[0] + self.again_s <= now):
            self._answers.popitem(last=False)

    def wait_s(self, addresses: Iterable[Hashable], ports: int, now: float) -> float:
        """So long until all these addresses may be asked so many ports; 0.0: now."""
        longest = 0.0
        for address in addresses:
            times = self._asked.get(address, deque())
            total = sum(count for when, count in times if when + self.again_s > now)
            for when, count in times:
                if total + ports <= AN_HOST:
                    break
                if when + self.again_s > now:
                    total -= count
                    longest = max(longest, when + self.again_s - now)
        return longest

    def asked(self, addresses: Iterable[Hashable], ports: int, now: float) -> None:
        """They are being asked."""
        for address in addresses:
            times = self._asked.setdefault(address, deque())
            while times and times[0][0] + self.again_s <= now:
                times.popleft()
            times.append((now, ports))
            self._asked.move_to_end(address)
        while self._asked and (len(self._asked) > MOST_HOSTS or next(iter(self._asked.values()))[-1][0] + self.again_s <= now):
            self._asked.popitem(last=False)
