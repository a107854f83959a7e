"""How long somebody waits, by a plan of counters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.tickets.estimates import EFFICIENCY, Shift, drain_min, mean_service_min
from models.tickets.rules import Served

shifts = st.lists(st.floats(0, 300).map(Shift), min_size=1, max_size=6)
works = st.floats(0.01, 400)


def test_nothing_ahead_is_no_wait() -> None:
    assert drain_min(0, [Shift()]) == 0
    assert drain_min(0, [Shift(20)]) == 20


@pytest.mark.parametrize(
    ("work", "plan", "expected"),
    [
        (9.6, [Shift()], 10),
        (9.6, [Shift(), Shift()], 5),
        (9.6, [Shift(15)], 25),
        (9.6, [Shift(), Shift(6)], 8),
    ],
)
def test_open_counters_work_it_off(work: float, plan: list[Shift], expected: float) -> None:
    assert drain_min(work, plan) == pytest.approx(expected)


@given(works, shifts)
def test_the_plan_does_exactly_that_work(work: float, plan: list[Shift]) -> None:
    wait = drain_min(work, plan)

    done = sum(EFFICIENCY * max(0.0, wait - each.starts_in_min) for each in plan)
    assert done == pytest.approx(work) or wait == 24 * 60


@given(works, works, shifts)
def test_more_work_takes_no_less(one: float, more: float, plan: list[Shift]) -> None:
    assert drain_min(one + more, plan) >= drain_min(one, plan) - 1e-9


def test_a_mean_moves_from_history_to_today() -> None:
    assert mean_service_min(8, Served()) == 8
    assert mean_service_min(8, Served(count=12, seconds=12 * 60 * 4)) == 6
