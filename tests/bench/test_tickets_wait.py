"""The bench of told waits: its halls are repeatable, and its estimate is worth something."""

from bench.tickets_wait import HALLS, THIRD, measure


def test_a_quick_run_tells_waits_that_come() -> None:
    told = measure(THIRD, days=2, seed=1)

    assert len(told.real) == len(told.product) > 200
    assert told.product_error < told.error(told.naive)
    assert told.product_error < told.error(told.last)
    assert 0.8 < told.coverage <= 1
    assert measure(THIRD, days=2, seed=1).real == told.real


def test_halls_are_told_apart() -> None:
    assert len({hall.name for hall in HALLS}) == len(HALLS)
