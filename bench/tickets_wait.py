"""How far waits that are told are from waits that come, in simulated halls.

The halls are random and the same with each seed; the estimate is the product's own: its drain, its
mean, its calibration and its rules of who is next. Beside it two rules that others use. This is how
a change of the estimate is judged.

    python bench/tickets_wait.py [--days 60] [--seed 1] [--quick] [--record]
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from random import Random
from statistics import mean
from typing import Final

from bench.report import Report
from bench.tickets_halls import Counter, Day, Hall, Person, priority_table
from models.tickets.calibrations import CLASSES, OUTCOMES_MAX, Estimate, calibrate, estimate
from models.tickets.estimates import Shift, drain_min, mean_service_min
from models.tickets.rules import Calibration, Policy, Served, call_order

# What a paper's estimate must be worth in the third hall, beside the rule that most use.
BETTER_BY: Final = 0.30
COVERED: Final = (0.88, 0.93)
# Days that only teach.
LEARNING_DAYS: Final = 5
QUICK_DAYS: Final = 12
# Outcomes; the product does it within ten seconds of a change.
_CALIBRATED_EVERY: Final = 5

_PEAKS: Final = (0.5, 1.0, 1.4, 1.1, 0.6, 0.9, 1.3, 0.9, 0.5)
_SHIFTS: Final = ((0, inf), (0, inf), (60, 300), (90, 480), (120, 240))
THIRD: Final = Hall(
    name="the same with drift, breaks, no-shows",
    service_min=8,
    spread=0.6,
    per_hour=tuple(23.0 * each for each in _PEAKS),
    shifts=_SHIFTS,
    drift=0.25,
    breaks=2,
    no_shows=0.08,
)
HALLS: Final = (
    Hall(name="M/M/4, load .92", service_min=8, per_hour=(27.6,) * 24, shifts=((0, inf),) * 4),
    Hall(
        name="lognormal, peaks, 2 to 5 counters",
        service_min=8,
        spread=0.6,
        per_hour=tuple(23.0 * each for each in _PEAKS),
        shifts=_SHIFTS,
    ),
    THIRD,
    replace(THIRD, name="the same with priority, 15 %, interleaved", priority_share=0.15),
)


@dataclass
class Told:
    """What each rule told, in minutes, and what came of it."""

    real: list[float] = field(default_factory=list)
    naive: list[float] = field(default_factory=list)
    last: list[float] = field(default_factory=list)
    product: list[Estimate] = field(default_factory=list)

    def error(self, rule: Sequence[float]) -> float:
        """Return the mean absolute error of a rule."""
        return mean(abs(told - real) for told, real in zip(rule, self.real, strict=True))

    @property
    def product_error(self) -> float:
        """Return the mean absolute error of the product, of what its papers say."""
        return self.error([round(each.middle_min) for each in self.product])

    @property
    def coverage(self) -> float:
        """Return the share of waits within the bounds, to the minute as papers say them."""
        covered = [
            int(told.low_min) <= round(real) <= -int(-told.high_min // 1)
            for told, real in zip(self.product, self.real, strict=True)
        ]
        return mean(covered)


@dataclass
class Teller:
    """Tells waits in one hall, from what is known there when somebody comes."""

    hall: Hall
    outcomes: list[tuple[int, float, float]] = field(default_factory=list)
    told: Told = field(default_factory=Told)
    is_learning: bool = True
    calibrations: dict[int, Calibration] = field(default_factory=dict)
    calibrated: int = 0  # as of so many outcomes

    def tell(self, day: Day, person: Person) -> Callable[[float], None]:
        """Tell somebody who just came the wait; what is returned takes the real one."""
        line = call_order([*day.line, person], Policy.INTERLEAVE, turn=day.turn)
        ahead = line.index(person)
        drained, before = self._drained(day, ahead)
        if len(self.outcomes) >= self.calibrated + _CALIBRATED_EVERY:
            latest = self.outcomes[: -len(CLASSES) * OUTCOMES_MAX - 1 : -1]
            self.calibrations, self.calibrated = calibrate(latest), len(self.outcomes)
        product = estimate(drained, before, self.calibrations)
        today = Served(count=len(day.services_min), seconds=round(60 * sum(day.services_min)))
        average = mean(day.services_min) if today.count else self.hall.service_min
        naive = average * ahead / max(1, sum(day.works(each) for each in day.counters))
        last = day.last_wait_min

        def take(real: float) -> None:
            self.outcomes.append((before, drained, real))
            if not self.is_learning:
                self.told.real.append(real)
                self.told.naive.append(naive)
                self.told.last.append(last)
                self.told.product.append(product)

        return take

    def _drained(self, day: Day, ahead: int) -> tuple[float, int]:
        """Return the drained minutes, and how many are before."""
        if any(day.is_idle(each) for each in day.counters):
            return 0.0, 0
        today = Served(count=len(day.services_min), seconds=round(60 * sum(day.services_min)))
        each_min = mean_service_min(self.hall.service_min, today)
        shifts = [_shift(day, each) for each in day.counters if day.now < each.closes]
        return drain_min((ahead + 1) * each_min, shifts), ahead + 1


def _shift(day: Day, counter: Counter) -> Shift:
    begins = counter.opens if counter.paused_until is None else counter.paused_until
    return Shift(max(0.0, begins - day.now))


def measure(hall: Hall, *, days: int, seed: int) -> Told:
    """Return what was told in a hall over some days, and what came of it."""
    random, teller = Random(seed), Teller(hall)
    for number in range(LEARNING_DAYS + days):
        teller.is_learning = number < LEARNING_DAYS
        Day(hall, random, teller.tell).run()
    return teller.told


def main() -> None:
    options = _options()
    days = QUICK_DAYS if options.quick else options.days
    report = Report("tickets_wait")
    report.say(f"{days} days in each hall, seed {options.seed}; minutes of mean absolute error")
    found = {hall.name: measure(hall, days=days, seed=options.seed) for hall in HALLS}
    report.table(
        ("hall", "people", "mean wait", "naive", "last called", "product", "covered"),
        [_row(name, told) for name, told in found.items()],
    )
    third = found[THIRD.name]
    better = 1 - third.product_error / third.error(third.naive)
    low, high = COVERED
    report.say(
        f"third hall: {better:.0%} better than the naive rule, at least {BETTER_BY:.0%}"
        f" {_verdict(is_held=better >= BETTER_BY)}; {third.coverage:.1%} covered, {low:.0%} to"
        f" {high:.0%} {_verdict(is_held=low <= third.coverage <= high)}"
    )
    report.heading("Priority, 4 counters of one line at load .92: mean and 90th percentile")
    rows = priority_table(HALLS[0], days=days, seed=options.seed)
    report.table(("policy", "priority", "p90", "normal", "p90"), rows)
    if options.record:
        report.record()


def _row(name: str, told: Told) -> tuple[str, ...]:
    errors = (told.error(told.naive), told.error(told.last), told.product_error)
    return (
        name,
        f"{len(told.real):,}",
        f"{mean(told.real):.1f}",
        *(f"{each:.2f}" for each in errors),
        f"{told.coverage:.1%}",
    )


def _verdict(*, is_held: bool) -> str:
    return "holds" if is_held else "MISSED"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--days", type=int, default=60, help="that count, in each hall")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_DAYS} days")
    parser.add_argument("--record", action="store_true", help="write the result to bench/README.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
