"""What many tickets say about a hall: load, abandonment, peak hours, and how good estimates were.

Pure arithmetic; waits and services in minutes.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from models.tickets.calibrations import CLASSES, class_of, quantile
from models.tickets.rules import CompletionReason, Status

_MINUTE_MS: Final = 60_000
_PEAK_SHARE: Final = 0.8  # of the busiest hour's arrivals
_RECENT: Final = 50


@dataclass(slots=True, kw_only=True)
class Tally:
    """What is counted of some tickets."""

    tickets: int = 0
    served: int = 0
    no_shows: int = 0
    abandoned: int = 0  # left, or were sent away, before anybody called them
    cancelled: int = 0  # after they were called, for another reason
    waiting: int = 0
    longest_waiting_min: float = 0.0  # of those who still wait
    busy_min: float = 0.0
    open_min: float = 0.0  # from the first call to the last act of each day
    ratings: list[int] = field(default_factory=list)
    waits_min: list[float] = field(default_factory=list)

    @property
    def abandonment_rate(self) -> float | None:
        """Return the share of those who are through that was never served; None: nobody is."""
        gone = self.no_shows + self.abandoned
        through = self.served + self.cancelled + gone
        return gone / through if through else None

    @property
    def utilisation(self) -> float | None:
        """Return the share of the open time in which somebody was served; None: never open."""
        return min(1.0, self.busy_min / self.open_min) if self.open_min > 0 else None

    @property
    def mean_wait_min(self) -> float | None:
        """Return the mean wait until the first call; None: nobody was called."""
        return sum(self.waits_min) / len(self.waits_min) if self.waits_min else None

    @property
    def p90_wait_min(self) -> float | None:
        """Return the wait that nine of ten did not exceed; None: nobody was called."""
        return quantile(sorted(self.waits_min), 0.9) if self.waits_min else None

    @property
    def longest_wait_min(self) -> float | None:
        """Return the longest wait until a first call; None: nobody was called."""
        return max(self.waits_min, default=None)

    @property
    def mean_service_min(self) -> float | None:
        """Return what a service took; None: nobody was served."""
        return self.busy_min / self.served if self.served else None

    @property
    def mean_rating(self) -> float | None:
        """Return the mean of the ratings; None: nobody rated."""
        return sum(self.ratings) / len(self.ratings) if self.ratings else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How busy a hall was: as one, and by counter, day and hour of the local day."""

    all: Tally
    counters: dict[int, Tally]
    days: dict[str, Tally]
    hours: dict[int, Tally]

    @property
    def peak_hours(self) -> list[int]:
        """Return the hours in which the most came."""
        most = max((each.tickets for each in self.hours.values()), default=0)
        return sorted(
            hour for hour, each in self.hours.items() if each.tickets >= most * _PEAK_SHARE > 0
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """An estimate and what came of it."""

    number: int
    counter_id: int
    created_at_ms: int
    ahead: int
    estimated_min: int
    low_min: int
    high_min: int
    real_min: float

    @property
    def is_covered(self) -> bool:
        """Say whether the wait was within the bounds, to the minute."""
        return self.low_min <= round(self.real_min) <= self.high_min


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """How good estimates were: of all, and by how many were ahead."""

    outcomes: tuple[Outcome, ...]  # by age
    pending: int  # estimates of people who were not called yet

    def of_class(self, ahead_min: int) -> "Accuracy":
        """Return the same of a class alone."""
        some = tuple(each for each in self.outcomes if class_of(each.ahead) == ahead_min)
        return Accuracy(outcomes=some, pending=0)

    @property
    def error_min(self) -> float | None:
        """Return the mean absolute error; None: there are no outcomes."""
        return self._mean(lambda each: abs(each.real_min - each.estimated_min))

    @property
    def bias_min(self) -> float | None:
        """Return by how much people waited longer than was said; None: there are no outcomes."""
        return self._mean(lambda each: each.real_min - each.estimated_min)

    @property
    def coverage(self) -> float | None:
        """Return the share of waits within their bounds; None: there are no outcomes."""
        return self._mean(lambda each: float(each.is_covered))

    @property
    def recent(self) -> Sequence[Outcome]:
        """Return the latest outcomes, the newest first."""
        return self.outcomes[: -_RECENT - 1 : -1]

    def _mean(self, value: Callable[[Outcome], float]) -> float | None:
        if not self.outcomes:
            return None
        return sum(value(each) for each in self.outcomes) / len(self.outcomes)


def load_of(rows: Iterable[Any], *, hour_of: Callable[[int], int], now_ms: int) -> Load:
    """Return what tickets say about a hall; `hour_of` tells the local hour of a moment."""
    load = Load(all=Tally(), counters={}, days={}, hours={})
    spans: dict[tuple[int, str], tuple[int, int]] = {}
    for row in rows:
        for tally in (
            load.all,
            load.counters.setdefault(row.counter_id, Tally()),
            load.days.setdefault(row.business_day, Tally()),
            load.hours.setdefault(hour_of(row.created_at_ms), Tally()),
        ):
            _count(tally, row, now_ms=now_ms)
        if row.first_called_at_ms is not None:
            key = (row.counter_id, row.business_day)
            last_ms = row.completed_at_ms or row.updated_at_ms
            first_ms, known_ms = spans.get(key, (row.first_called_at_ms, last_ms))
            spans[key] = (min(first_ms, row.first_called_at_ms), max(known_ms, last_ms))
    for (counter_id, day), (first_ms, last_ms) in spans.items():
        for tally in (load.all, load.counters[counter_id], load.days[day]):
            tally.open_min += (last_ms - first_ms) / _MINUTE_MS
    return load


def accuracy_of(rows: Iterable[Any]) -> Accuracy:
    """Return how good the estimates of tickets were, as far as estimates were kept."""
    outcomes, pending = [], 0
    for row in rows:
        if row.drained_min is None:
            continue
        if row.first_called_at_ms is None:
            pending += row.completed_at_ms is None
            continue
        outcomes.append(
            Outcome(
                number=row.number,
                counter_id=row.counter_id,
                created_at_ms=row.created_at_ms,
                ahead=row.ahead,
                estimated_min=row.estimated_min,
                low_min=row.estimated_low_min,
                high_min=row.estimated_high_min,
                real_min=(row.first_called_at_ms - row.created_at_ms) / _MINUTE_MS,
            )
        )
    return Accuracy(outcomes=tuple(outcomes), pending=pending)


def classes() -> list[tuple[int, int | None]]:
    """Return the classes of people ahead: from, and up to; None: without end."""
    ends = [each - 1 for each in CLASSES[1:]]
    return list(zip(CLASSES, [*ends, None], strict=True))


def _count(tally: Tally, row: Any, *, now_ms: int) -> None:
    tally.tickets += 1
    was_called = row.first_called_at_ms is not None
    if was_called:
        tally.waits_min.append((row.first_called_at_ms - row.created_at_ms) / _MINUTE_MS)
    if row.rating is not None:
        tally.ratings.append(row.rating)
    if row.status == Status.COMPLETED:
        tally.served += 1
        tally.busy_min += (row.service_s or 0) / 60
    elif row.status == Status.CANCELLED:
        if row.completion_reason == CompletionReason.CUSTOMER_ABSENT:
            tally.no_shows += 1
        elif was_called:
            tally.cancelled += 1
        else:
            tally.abandoned += 1
    elif row.status == Status.WAITING:
        tally.waiting += 1
        waited_min = (now_ms - row.created_at_ms) / _MINUTE_MS
        tally.longest_waiting_min = max(tally.longest_waiting_min, waited_min)
