"""What past estimates teach about the next ones; no I/O, no clock.

An estimate is off by a factor rather than by minutes, and by another one for who is next than for
who is last: so quantiles of log((real + 1) / (drained + 1)), by how many were ahead.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, log
from typing import Final

from models.tickets.rules import Calibration

# The smallest number ahead of each class: up to 3, 4 to 9, more.
CLASSES: Final = (0, 4, 10)
# Some weeks of a hall: with 300 the middle follows chance (`bench/tickets_wait`).
OUTCOMES_MAX: Final = 1_000
# With fewer, the middle is left alone: what a few people waited says little.
_OUTCOMES_MIN: Final = 20
# Papers round outwards, so nine of ten need less than that: `bench/tickets_wait` finds 92 to 94 %
# within.
_LOW: Final = 0.065
_HIGH: Final = 0.935
NOMINAL: Final = 0.9
# Before there are outcomes: from 0.4 to twice as long; chosen, not measured.
UNKNOWN: Final = Calibration(low=-0.9, middle=0.0, high=0.7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A wait in minutes: as likely longer as shorter, and nine times of ten within the bounds."""

    middle_min: float
    low_min: float
    high_min: float


def class_of(ahead: int) -> int:
    """Return the class of somebody with so many ahead, by its smallest number."""
    return max(each for each in CLASSES if each <= max(ahead, 0))


def calibrate(outcomes: Iterable[tuple[int, float, float]]) -> dict[int, Calibration]:
    """Return what outcomes (ahead, drained, real), the latest first, say of each class."""
    errors: dict[int, list[float]] = {each: [] for each in CLASSES}
    for ahead, drained_min, real_min in outcomes:
        of_class = errors[class_of(ahead)]
        if len(of_class) < OUTCOMES_MAX:
            of_class.append(log((max(real_min, 0.0) + 1) / (max(drained_min, 0.0) + 1)))
    return {
        ahead_min: _calibration(sorted(each))
        for ahead_min, each in errors.items()
        if len(each) >= _OUTCOMES_MIN
    }


def estimate(drained_min: float, ahead: int, calibrations: Mapping[int, Calibration]) -> Estimate:
    """Return what a drained line means for somebody with so many ahead.

    Who has nobody ahead at a counter that is free waits for the officer alone, which is no wait.
    """
    known = calibrations.get(class_of(ahead), UNKNOWN)
    if drained_min <= 0:
        return Estimate(middle_min=0.0, low_min=0.0, high_min=_scaled(0.0, known.high))
    return Estimate(
        middle_min=_scaled(drained_min, known.middle),
        low_min=_scaled(drained_min, known.low),
        high_min=_scaled(drained_min, known.high),
    )


def _scaled(drained_min: float, error: float) -> float:
    return max(0.0, (drained_min + 1) * exp(error) - 1)


def _calibration(errors: Sequence[float]) -> Calibration:
    return Calibration(
        low=quantile(errors, _LOW),
        middle=quantile(errors, 0.5),
        high=quantile(errors, _HIGH),
        outcomes=len(errors),
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return a quantile of ordered values, between two of them where it falls there."""
    place = (len(ordered) - 1) * share
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
