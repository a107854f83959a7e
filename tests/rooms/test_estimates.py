"""Proofs for the estimate: sane whatever was measured, and near the truth where that is known."""

import random
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.rooms.estimates import SECONDS_MAX, Estimate, Limits, estimate, later, spanned
from models.rooms.paces import MEASURED_MS, Flow, Pace, Sample, Samples
from tests.rooms.hall import Day, Hall

LIMITS = Limits(rate_per_s=10, capacity=1_000, inside=0, session_ms=3_600_000)
FULL = Limits(rate_per_s=10, capacity=1_000, inside=1_000, session_ms=3_600_000)

flows = st.builds(Flow, st.integers(0, 10**6), st.floats(0, 120))
paces = st.builds(
    Pace,
    free=flows,
    full=flows,
    hazard_per_s=st.just(0.0) | st.floats(1e-12, 10),
    session_s=st.none() | st.floats(0.1, 10**5),
    joined_per_s=st.tuples(*[st.floats(0, 10**4)] * 4),
)
limits = st.builds(
    Limits,
    rate_per_s=st.floats(0.01, 10**5),
    capacity=st.integers(1, 10**7),
    inside=st.integers(0, 10**7),
    session_ms=st.integers(1_000, 2_592_000_000),
)


@given(st.integers(0, 10**8), st.integers(0, 3), paces, limits)
def test_estimate_is_a_range_around_its_middle(
    ahead: int, lane: int, pace: Pace, bounds: Limits
) -> None:
    said = estimate(ahead, lane=lane, pace=pace, limits=bounds)

    assert said is not None
    assert 0 <= said.low <= said.seconds <= said.high <= SECONDS_MAX
    assert said.seconds >= 1


@given(st.integers(0, 10**7), st.integers(0, 10**4), st.integers(0, 3), paces, limits)
def test_estimate_grows_with_those_ahead(
    ahead: int, more: int, lane: int, pace: Pace, bounds: Limits
) -> None:
    near = estimate(ahead, lane=lane, pace=pace, limits=bounds)
    far = estimate(ahead + more, lane=lane, pace=pace, limits=bounds)

    assert near is not None
    assert far is not None
    assert near.seconds <= far.seconds


@given(st.integers(0, 10**6), paces, limits)
def test_estimate_is_not_worse_in_a_higher_lane(ahead: int, pace: Pace, bounds: Limits) -> None:
    said = [estimate(ahead, lane=lane, pace=pace, limits=bounds) for lane in range(4)]

    seconds = [each.seconds for each in said if each is not None]
    assert seconds == sorted(seconds, reverse=True)


def test_estimate_of_a_room_that_never_admits_is_none() -> None:
    closed = Limits(rate_per_s=0, capacity=1_000, inside=0, session_ms=3_600_000)
    narrow = Limits(rate_per_s=10, capacity=0, inside=0, session_ms=3_600_000)

    assert estimate(5, lane=0, pace=Pace(), limits=closed) is None
    assert estimate(5, lane=0, pace=Pace(), limits=narrow) is None


def test_estimate_before_the_first_admission_is_what_rate_and_capacity_allow() -> None:
    said = [estimate(ahead, lane=0, pace=Pace(), limits=LIMITS) for ahead in (0, 100, 900)]
    behind = estimate(3_000, lane=0, pace=Pace(), limits=LIMITS)

    assert [each and each.seconds for each in said] == [1, 10, 90]
    # A thousand slots come back in half an hour each: two thousand wait for that.
    assert behind is not None
    assert 3_000 < behind.seconds < 4_500


def test_estimate_of_a_full_room_that_admitted_nobody_knows_that() -> None:
    seen = Pace(full=Flow(0, 120.0))

    unseen = estimate(1, lane=0, pace=Pace(), limits=FULL)
    said = estimate(1, lane=0, pace=seen, limits=FULL)

    assert unseen is not None
    assert unseen.seconds < 5
    assert said is not None
    assert said.seconds > 100


def test_estimate_follows_what_was_measured_not_what_is_set() -> None:
    seen = Pace(full=Flow(240, 120.0))

    said = estimate(600, lane=0, pace=seen, limits=FULL)

    assert said is not None
    assert said.low < 290 < said.seconds < 310 < said.high


def test_estimate_counts_on_those_who_leave() -> None:
    seen = Pace(full=Flow(240, 120.0), hazard_per_s=0.005)

    said = estimate(600, lane=0, pace=seen, limits=FULL)

    assert said is not None
    assert 180 < said.seconds < 186


def test_estimate_counts_on_those_who_go_first() -> None:
    seen = Pace(full=Flow(240, 120.0), joined_per_s=(5.0, 1.0, 0.0, 0.0))

    said = [estimate(600, lane=lane, pace=seen, limits=FULL) for lane in (0, 1)]

    assert said[0] is not None
    assert said[1] is not None
    assert 590 < said[0].seconds < 620
    assert 290 < said[1].seconds < 310


def test_estimate_before_the_opening_counts_from_there() -> None:
    assert later(Estimate(10, 5, 20), 59.2) == Estimate(70, 65, 80)
    assert later(Estimate(10, 5, 20), -3) == Estimate(10, 5, 20)
    assert later(Estimate(10, 5, 20), 10**6) == Estimate(SECONDS_MAX, SECONDS_MAX, SECONDS_MAX)


def test_estimate_before_the_draw_spans_all_places() -> None:
    assert spanned(Estimate(1, 0, 2), Estimate(101, 80, 130)) == Estimate(51, 0, 130)


def sample(at_s: float, admitted: int, *, waiting: int = 10, ended: int = 0) -> Sample:
    return Sample(
        at_ms=int(at_s * 1_000),
        admitted=admitted,
        left=0,
        waiting=waiting,
        inside=100,
        ended=ended,
        joined=(admitted, 0, 0, 0),
        is_full=False,
    )


def test_pace_of_less_than_two_samples_is_nothing() -> None:
    samples = Samples()

    assert samples.pace() == Pace()
    samples.add(sample(0, 0))
    assert samples.pace() == Pace()


def test_pace_counts_only_while_somebody_waited() -> None:
    samples = Samples()
    counts = [(0, 0, 9), (1, 4, 9), (2, 8, 0), (3, 9, 0), (4, 10, 9), (5, 14, 9)]
    for at_s, admitted, waiting in counts:
        samples.add(sample(at_s, admitted, waiting=waiting))

    assert samples.pace().free == Flow(8, 2.0)


def test_pace_forgets_what_is_older_than_two_minutes() -> None:
    samples = Samples()
    for at_s in range(250):
        samples.add(sample(at_s, at_s * 10))
    for at_s in range(250, 400):
        samples.add(sample(at_s, 2_490 + (at_s - 249) * 2))

    assert samples.pace().free == Flow(240, MEASURED_MS / 1_000)


def test_pace_takes_one_sample_a_second() -> None:
    samples = Samples()
    for tick in range(41):
        samples.add(sample(tick / 4, tick))

    assert samples.pace().free == Flow(40, 10.0)


def test_pace_of_a_room_made_anew_starts_over() -> None:
    samples = Samples()
    samples.add(sample(0, 0))
    samples.add(sample(1, 50))
    samples.add(sample(2, 0))

    assert samples.pace() == Pace()


def test_pace_knows_how_long_slots_stay_taken() -> None:
    samples = Samples()
    samples.add(sample(0, 0))
    samples.add(sample(10, 20, ended=20))

    assert samples.pace().session_s == 50.0


DAYS = {
    # Slots are the limit: three a second come back, not the ten that the rate allows.
    "slots": Day(
        rate_per_s=10, capacity=300, session_s=100, patience_s=900, visitors=4_000, arriving_s=80
    ),
    "rate": Day(
        rate_per_s=4, capacity=9_000, session_s=100, patience_s=900, visitors=4_000, arriving_s=80
    ),
    # Free slots first, at ten a second, then five a second.
    "filling": Day(
        rate_per_s=10,
        capacity=1_500,
        session_s=300,
        patience_s=1_500,
        visitors=6_000,
        arriving_s=100,
    ),
}


@pytest.mark.parametrize("name", DAYS)
def test_estimate_is_near_the_truth_where_position_by_rate_is_not(name: str) -> None:
    day = DAYS[name]

    asked = [each for each in Hall(day, random.Random(name)).play() if each.waited_s >= 30]

    ours = median(abs(each.told.seconds - each.waited_s) / each.waited_s for each in asked)
    usual = median(
        abs(each.position / day.rate_per_s - each.waited_s) / each.waited_s for each in asked
    )
    within = sum(each.told.low <= each.waited_s <= each.told.high for each in asked) / len(asked)
    assert ours < 0.12
    assert ours < usual / 2
    assert within > 0.85
