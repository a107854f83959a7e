"""When a timing has its moments: cron lines, intervals, zones, and clocks put forward and back."""

import itertools
from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import InvalidError
from models.schedules import moments
from models.schedules.rules import CatchUp, Timing, pick

BERLIN = "Europe/Berlin"
SAIGON = "Asia/Ho_Chi_Minh"
MINUTE_MS = 60_000


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def local_moments(cron: str, zone: str, begin: str, count: int) -> list[str]:
    """Return moments as clocks of the zone show them, with their offset."""
    timing = Timing(cron=cron, timezone=zone)
    moment: int | None = ms(begin)
    shown = []
    for _ in range(count):
        assert moment is not None
        moment = moments.after(timing, 0, moment)
        assert moment is not None
        shown.append(f"{datetime.fromtimestamp(moment / 1000, ZoneInfo(zone)):%d %H:%M%z}")
    return shown


def chain(timing: Timing, moment: int | None) -> Iterator[int]:
    """Yield the moments of a timing one after the other."""
    while (moment := moments.after(timing, 0, moment or 0)) is not None:
        yield moment


def test_time_that_does_not_exist_is_the_first_one_after_the_gap() -> None:
    found = local_moments("30 2 * * *", BERLIN, "2026-03-27T12:00Z", 3)

    assert found == ["28 02:30+0100", "29 03:00+0200", "30 02:30+0200"]


def test_times_that_fall_together_after_the_gap_are_one_moment() -> None:
    found = local_moments("*/15 2-3 * * *", BERLIN, "2026-03-28T12:00Z", 5)

    assert found == ["29 03:00+0200", "29 03:15+0200", "29 03:30+0200", "29 03:45+0200",
                     "30 02:00+0200"]  # fmt: skip


@pytest.mark.parametrize(
    ("cron", "times"),
    [("30 2 * * *", ["02:30"]), ("*/30 2 * * *", ["02:00", "02:30"])],
)
def test_time_that_comes_twice_is_the_first_of_the_two(cron: str, times: list[str]) -> None:
    found = local_moments(cron, BERLIN, "2026-10-24T12:00Z", len(times) + 1)

    assert found == [*(f"25 {each}+0200" for each in times), f"26 {times[0]}+0100"]


def test_hours_that_are_not_named_follow_the_hours_that_pass() -> None:
    spring = local_moments("0 * * * *", BERLIN, "2026-03-29T00:30+01:00", 3)
    autumn = local_moments("0 * * * *", BERLIN, "2026-10-25T01:30+02:00", 4)

    assert spring == ["29 01:00+0100", "29 03:00+0200", "29 04:00+0200"]
    assert autumn == ["25 02:00+0200", "25 02:00+0100", "25 03:00+0100", "25 04:00+0100"]


def test_zone_without_summer_time_has_the_same_moments_every_day() -> None:
    found = local_moments("30 2 * * *", SAIGON, "2026-03-27T12:00Z", 300)

    assert {each[3:] for each in found} == {"02:30+0700"}


@pytest.mark.parametrize(
    ("cron", "first"),
    [
        ("0 7 * * MON-FRI", "30 07:00+0000"),
        ("*/20 9-17/4 * * *", "28 17:00+0000"),
        ("0 0 L * *", "31 00:00+0000"),
        ("0 0 * * 5L", "24 00:00+0000"),
        ("0 0 * * mon#2", "13 00:00+0000"),
        ("15 14 1 jan,JUL *", "01 14:15+0000"),
        ("0 0 29 2 *", "29 00:00+0000"),
    ],
)
def test_cron_line_is_read(cron: str, first: str) -> None:
    assert local_moments(cron, "UTC", "2026-03-28T16:50Z", 1) == [first]


LINES = st.builds(
    "{} {} {} {} {}".format,
    st.sampled_from(["*", "0", "30", "*/7", "0,59", "5-10"]),
    st.sampled_from(["*", "0", "1", "2", "3", "1-3", "*/2", "23"]),
    st.sampled_from(["*", "*", "*", "1", "L", "24-31"]),
    st.sampled_from(["*", "*", "3,10", "APR-SEP"]),
    st.sampled_from(["*", "*", "SUN", "1-5"]),
)
# Lord Howe moves its clocks by 30 minutes, Cairo and Havana at midnight.
ZONES = st.sampled_from([BERLIN, SAIGON, "UTC", "Australia/Lord_Howe", "Africa/Cairo",
                         "America/Havana", "America/New_York"])  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(LINES, ZONES, st.integers(0, 2 * 365 * 24), st.integers(0, 4))
def test_backwards_are_the_same_moments(cron: str, zone: str, hour: int, before: int) -> None:
    timing = Timing(cron=cron, timezone=zone)
    begin = ms("2025-06-01T00:00Z") + hour * 3_600_000 + 17_000
    forwards = list(itertools.islice(chain(timing, begin - before * MINUTE_MS), 40))
    if not forwards:
        return

    back = list(moments.between(timing, 0, forwards[0], forwards[-1]))

    assert back[::-1] == forwards
    assert all(late > early for early, late in itertools.pairwise(forwards))


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 10**9), st.integers(0, 10**12), st.integers(0, 10**12))
def test_interval_has_a_grid(every_ms: int, anchor: int, moment: int) -> None:
    found = moments.after(Timing(every_ms=every_ms), anchor, moment)

    assert found is not None
    assert found > moment
    assert (found - anchor) % every_ms == 0
    assert found == anchor or found - every_ms <= moment


def test_bounds_hold_the_moments() -> None:
    timing = Timing(every_ms=10, starts_at_ms=105, ends_at_ms=125)

    assert moments.after(timing, 0, 0) == 105
    assert moments.after(timing, 0, 115) == 125
    assert moments.after(timing, 0, 125) is None
    assert list(moments.between(timing, 0, 0, 1_000)) == [125, 115, 105]


@pytest.mark.parametrize(
    ("cron", "fault"),
    [
        ("61 * * * *", "minute of 0-59, got '61'"),
        ("* 24 * * *", "hour of 0-23, got '24'"),
        ("* * 0 * *", "day-of-month of 1-31, L or LW, got '0'"),
        ("* * * FOO *", "month of 1-12 or JAN-DEC, got 'FOO'"),
        ("* * * * FRI-MON", "day-of-week of 0-7 or SUN-SAT, got 'FRI-MON'"),
        ("* * * * MON#1/2", "day-of-week of 0-7 or SUN-SAT, got 'MON#1/2'"),
        ("* * */0 * *", "day-of-month of 1-31, L or LW, got '*/0'"),
        ("* * * *", "5 fields (minute, hour, day-of-month, month, day-of-week), got 4"),
        ("0 * * * * *", "5 fields (minute, hour, day-of-month, month, day-of-week), got 6"),
        ("0 0 30 2 *", "a date that comes, got '0 0 30 2 *'"),
    ],
)
def test_wrong_cron_line_says_which_part(cron: str, fault: str) -> None:
    with pytest.raises(InvalidError) as error:
        moments.check(Timing(cron=cron))

    assert error.value.details == {"cron": f"Expected {fault}"}


def test_every_wrong_field_is_named() -> None:
    timing = Timing(timezone="Mars/Olympus", ends_at_ms=10**14)

    with pytest.raises(InvalidError) as error:
        moments.check(timing)

    assert error.value.details.keys() == {"cron", "timezone", "ends_at"}


@settings(max_examples=300, deadline=None)
@given(st.text("0123456789*,-/LW#MONJAN \u00b2\0", max_size=20))
def test_any_line_is_read_or_refused(cron: str) -> None:
    try:
        moments.check(Timing(cron=cron))
    except InvalidError:
        return
    assert moments.after(Timing(cron=cron), 0, ms("2026-01-01T00:00Z")) is not None


def test_missed_moments_are_picked() -> None:
    now = 1_000_000
    passed = [1, 2, now - 60_001, now - 60_000, now]

    assert pick(passed, CatchUp.NONE, now_ms=now) == [now - 60_000, now]
    assert pick(passed, CatchUp.ONE, now_ms=now) == [now - 60_001, now - 60_000, now]
    assert pick(passed, CatchUp.ALL, now_ms=now) == passed
