"""How often something happens: the longest time between two runs of a schedule.

Sources: crontab(5), anacrontab(5), systemd.time(7).
The longest gap is what a promise can rest on: a job that runs from Monday to Friday leaves three days.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta
from functools import lru_cache
from itertools import pairwise

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
FIRST_DAY = date(2024, 1, 1)
DAYS_TRIED = 4 * 366
"""Long enough for a 29 February."""


@lru_cache(maxsize=2048)
def cron_gap(schedule: str) -> timedelta | None:
    """Longest gap of a crontab(5) schedule (`10 2 * * 1-5`, `@daily`); None when it is not understood or runs at boot only."""
    fields = NICKNAMES.get(schedule, schedule).lower().split()
    if len(fields) != 5:
        return None
    minutes = _cron_set(fields[0].removeprefix("-"), 0, 59, ())  # SUSE: with it the run is not logged
    hours = _cron_set(fields[1], 0, 23, ())
    days = _cron_set(fields[2], 1, 31, ())
    months = _cron_set(fields[3], 1, 12, MONTHS)
    weekdays = _cron_set(fields[4], 0, 7, DAYS)
    if minutes is None or hours is None or days is None or months is None or weekdays is None:
        return None
    weekdays = frozenset(day % 7 for day in weekdays)
    # Where both fields are restricted, either is enough (crontab(5)); a leading star keeps a field unrestricted.
    either = not fields[2].startswith("*") and not fields[4].startswith("*")

    def runs_on(day: date) -> bool:
        in_month, on_weekday = day.day in days, (day.weekday() + 1) % 7 in weekdays
        return day.month in months and (in_month or on_weekday if either else in_month and on_weekday)

    times = sorted(60 * hour + minute for hour in hours for minute in minutes)
    return _longest_of_day(times) if fields[2:] == ["*", "*", "*"] else _longest(runs_on, times)


def _cron_set(field: str, low: int, high: int, names: tuple[str, ...]) -> frozenset[int] | None:
    found: set[int] = set()
    for part in field.split(","):
        match = re.fullmatch(r"(\*|[a-z]{3}|\d{1,2})(?:-([a-z]{3}|\d{1,2}))?(?:/(\d{1,2}))?", part)
        if match is None:
            return None
        step = int(match[3] or 1)
        if match[1] == "*":
            first, last = low, high
        else:
            start = _number(match[1], names)
            # `5/15` runs from 5 to the end in steps of 15.
            end = _number(match[2], names) if match[2] else high if match[3] else start
            if start is None or end is None:
                return None
            first, last = start, end
        if step == 0 or not low <= first <= last <= high:
            return None
        found.update(range(first, last + 1, step))
    return frozenset(found)


def _number(word: str, names: tuple[str, ...]) -> int | None:
    if word.isdigit():
        return int(word)
    if word not in names:
        return None
    return names.index(word) + (1 if names is MONTHS else 0)


@lru_cache(maxsize=2048)
def calendar_gap(specification: str) -> timedelta | None:
    """Longest gap of a normalised OnCalendar= (`Mon..Fri *-*-* 02:00:00`); None when it is not understood."""
    match = _ON_CALENDAR.fullmatch(specification.strip())
    if match is None:
        return None
    weekdays = _weekdays(match["weekdays"] or "")
    years = _part(match["year"], 1970, 2199)
    months = _part(match["month"], 1, 12)
    days = _part(match["day"], 1, 31)
    hours = _part(match["hour"], 0, 23)
    minutes = _part(match["minute"], 0, 59)
    if weekdays is None or years is None or months is None or days is None or hours is None or minutes is None:
        return None
    from_the_end = match["sign"] == "~"
    if from_the_end and (steps := re.fullmatch(r"(\d{1,2})/(\d{1,2})", match["day"])):
        # `~07/1`: the seventh last day and each one after it, as far as the last.
        days = frozenset(range(int(steps[1]), 0, -int(steps[2])))

    def runs_on(day: date) -> bool:
        number = (_last_of_month(day) - day.day + 1) if from_the_end else day.day
        return day.month in months and number in days and day.weekday() in weekdays

    if match["year"] != "*":
        # A year that is named runs a few times and then never again.
        return None
    return _longest(runs_on, sorted(60 * hour + minute for hour in hours for minute in minutes))


_SET = r"[0-9*.,/]{1,200}"
_ON_CALENDAR = re.compile(
    rf"(?:(?P<weekdays>[A-Za-z.,]{{3,60}}) )?(?P<year>{_SET})-(?P<month>{_SET})(?P<sign>[-~])(?P<day>{_SET})"
    rf" (?P<hour>{_SET}):(?P<minute>{_SET})(?::{_SET})?(?: [A-Za-z_]{{2,20}}(?:/[A-Za-z_]{{2,30}})?)?"
)


def _weekdays(words: str) -> frozenset[int] | None:
    """0 is Monday, as in date.weekday()."""
    names = (*DAYS[1:], DAYS[0])
    if not words:
        return frozenset(range(7))
    found: set[int] = set()
    for part in words.lower().split(","):
        first, dots, last = part.partition("..")
        if first[:3] not in names or (dots and last[:3] not in names):
            return None
        start, end = names.index(first[:3]), names.index(last[:3]) if dots else names.index(first[:3])
        found.update(day % 7 for day in range(start, end + 1 if end >= start else end + 8))
    return frozenset(found)


def _part(words: str, low: int, high: int) -> frozenset[int] | None:
    found: set[int] = set()
    for part in words.split(","):
        match = re.fullmatch(r"(\*|\d{1,4})(?:\.\.(\d{1,4}))?(?:/(\d{1,4}))?", part)
        if match is None:
            return None
        first = low if match[1] == "*" else int(match[1])
        last = int(match[2]) if match[2] else high if match[1] == "*" or match[3] else first
        step = int(match[3] or 1)
        if step == 0 or not low <= first <= last <= high:
            return None
        found.update(range(first, last + 1, step))
    return frozenset(found)


def _last_of_month(day: date) -> int:
    return (date(day.year + day.month // 12, day.month % 12 + 1, 1) - timedelta(days=1)).day


def _longest_of_day(minutes: list[int]) -> timedelta:
    """The longest gap of what runs every day, also over night."""
    return timedelta(minutes=max(later - earlier for earlier, later in pairwise([*minutes, 1440 + minutes[0]])))


def _longest(runs_on: Callable[[date], bool], minutes: list[int]) -> timedelta | None:
    """The longest gap, from the days that have runs and the minutes of a day; None when it never runs."""
    if not minutes:
        return None
    within = max((later - earlier for earlier, later in pairwise(minutes)), default=0)
    over_night = 1440 - minutes[-1] + minutes[0]
    longest, last, runs = 0, None, 0
    for number in range(DAYS_TRIED):
        if runs_on(FIRST_DAY + timedelta(days=number)):
            runs += 1
            if last is not None:
                longest = max(longest, 1440 * (number - last - 1) + over_night)
            last = number
    if runs < 2:
        return timedelta(days=DAYS_TRIED) if runs else None
    return timedelta(minutes=max(longest, within))
