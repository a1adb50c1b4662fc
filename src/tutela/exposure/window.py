"""Maintenance windows: when packets may leave. Times are those of the clock on the wall, in the time zone of this machine."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime

from tutela.errors import ScanError
from tutela.language import Text

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_S, _WEEK_S = 86_400, 7 * 86_400
_FORM = re.compile(r"(daily|[a-z]{3}(?:-[a-z]{3})?(?:,[a-z]{3}(?:-[a-z]{3})?)*) ([0-9]{2}):([0-9]{2})-([0-9]{2}):([0-9]{2})")


def local_time() -> datetime:
    """Now, as the clock on the wall shows it."""
    return datetime.now().astimezone().replace(tzinfo=None)


class Windows:
    """Windows(["mon-fri 07:00-09:00", "sat,sun 22:00-02:00"]). A window that ends before it begins goes past midnight."""

    def __init__(self, words: Sequence[str], clock: Callable[[], datetime] = local_time) -> None:
        self._clock = clock
        spans = sorted(span for one in words for span in _spans(one))
        self._spans: list[list[int]] = []
        """Seconds of the week, [first, end), in order and apart from each other; the last may go on into the next week."""
        for first, end in spans:
            if self._spans and first <= self._spans[-1][1]:
                self._spans[-1][1] = max(self._spans[-1][1], end)
            else:
                self._spans.append([first, end])

    def open_s(self) -> float:
        """Seconds until the window ends; 0 outside of every window."""
        now = self._of_week()
        for at in (now, now + _WEEK_S):
            for first, end in self._spans:
                if first <= at < end:
                    return end - at
        return 0.0

    def opens_in_s(self) -> float:
        """Seconds until the next window begins; 0 inside of one."""
        now = self._of_week()
        if self.open_s():
            return 0.0
        return min((first - now) % _WEEK_S for first, _ in self._spans)

    def _of_week(self) -> float:
        now = self._clock()
        return now.weekday() * _DAY_S + now.hour * 3600 + now.minute * 60 + now.second + now.microsecond / 1e6


def _spans(words: str) -> list[tuple[int, int]]:
    """The window's spans in seconds of the week. Raises ScanError."""
    match = _FORM.fullmatch(" ".join(words.lower().split()))
    if match:
        days = _days(match[1])
        from_hour, from_minute, to_hour, to_minute = (int(match[number]) for number in (2, 3, 4, 5))
        first, end = from_hour * 3600 + from_minute * 60, to_hour * 3600 + to_minute * 60
        sound = from_hour < 24 and from_minute < 60 and to_minute < 60 and end <= _DAY_S and first != end
        if days and sound:
            return [(day * _DAY_S + first, day * _DAY_S + (end if end > first else end + _DAY_S)) for day in days]
    raise ScanError(
        Text(
            f'维护窗口 {words!r} 不能识别；请写 "mon-fri 07:00-09:00"（星期：{", ".join(DAYS)} 或 daily；时间 00:00–24:00）',
            f'window {words!r} not understood; write "mon-fri 07:00-09:00" (days: {", ".join(DAYS)} or daily; times 00:00-24:00)',
        )
    )


def _days(words: str) -> list[int]:
    """Numbers of the days, none when one is unknown."""
    if words == "daily":
        return list(range(7))
    found: set[int] = set()
    for part in words.split(","):
        first, _, last = part.partition("-")
        if first not in DAYS or (last and last not in DAYS):
            return []
        begin, end = DAYS.index(first), DAYS.index(last or first)
        found.update((begin + step) % 7 for step in range((end - begin) % 7 + 1))
    return sorted(found)
