"""When packets may leave."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutela.errors import ScanError
from tutela.exposure.window import Windows

MONDAY = datetime(2026, 11, 23)


def at(words, day, time):
    return Windows(words, lambda: MONDAY + timedelta(days=day) + (datetime.strptime(time, "%H:%M:%S") - datetime(1900, 1, 1)))


@pytest.mark.parametrize(
    "words,day,time,left",
    [
        (["mon-fri 07:00-09:00"], 0, "07:00:00", 7200), (["mon-fri 07:00-09:00"], 4, "08:59:59", 1), (["mon-fri 07:00-09:00"], 4, "09:00:00", 0),
        (["mon-fri 07:00-09:00"], 0, "06:59:59", 0), (["mon-fri 07:00-09:00"], 5, "08:00:00", 0), (["sat,sun 00:00-24:00"], 5, "12:00:00", 36 * 3600),
        (["fri 22:00-02:00"], 5, "01:00:00", 3600), (["fri 22:00-02:00"], 5, "02:00:00", 0), (["sun 23:00-01:00"], 0, "00:30:00", 1800),
        (["fri-mon 01:00-02:00"], 0, "01:30:00", 1800), (["fri-mon 01:00-02:00"], 1, "01:30:00", 0), (["daily 01:00-02:00"], 6, "01:30:00", 1800),
        (["MON 07:00-08:00", "mon 08:00-09:00"], 0, "07:30:00", 5400),
    ],
)  # fmt: skip
def test_it_is_open_until(words, day, time, left):
    assert at(words, day, time).open_s() == left


@pytest.mark.parametrize(
    "words,day,time,wait",
    [(["mon-fri 07:00-09:00"], 4, "09:00:00", 70 * 3600), (["mon-fri 07:00-09:00"], 0, "06:00:00", 3600), (["mon 07:00-09:00"], 0, "08:00:00", 0)],
)
def test_it_opens_in(words, day, time, wait):
    assert at(words, day, time).opens_in_s() == wait


@given(
    st.lists(st.sampled_from(["mon 07:00-09:00", "tue-thu 22:30-01:00", "sun 20:00-04:00", "sat,mon 08:00-24:00"]), min_size=1), st.integers(0, 7 * 86400 - 1)
)
def test_outside_the_next_opening_is_the_first_second_inside(words, second):
    windows = Windows(words, lambda: MONDAY + timedelta(seconds=second))
    wait = windows.opens_in_s()
    then = Windows(words, lambda: MONDAY + timedelta(seconds=second + wait))
    assert then.open_s() > 0
    if wait:
        assert windows.open_s() == 0
        assert Windows(words, lambda: MONDAY + timedelta(seconds=second + wait - 1)).open_s() == 0


@pytest.mark.parametrize(
    "words",
    [
        "",
        "mon",
        "07:00-09:00",
        "mon 7:00-9:00",
        "mon 07:00-07:00",
        "mon 25:00-26:00",
        "mon 07:60-08:00",
        "mon 07:00-24:30",
        "mo 07:00-09:00",
        "mon-xyz 07:00-09:00",
    ],
)
def test_what_is_no_window_is_refused(words):
    with pytest.raises(ScanError, match="not understood"):
        Windows([words])
