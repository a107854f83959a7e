"""How long somebody will wait: a drain of the line that knows the plan.

Pure arithmetic, in minutes. The estimate is the smallest W in which the counters that are planned
open work off what is before somebody. Source: simulated halls, where it beats the
average times the people ahead.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from models.tickets.calibrations import Estimate, estimate
from models.tickets.rules import CounterStatus, Desk, Served, Ticket

# An officer is not at work in every minute of an open counter.
EFFICIENCY: Final = 0.96
SERVICE_DEFAULT_MIN: Final = 8
# What is known from before counts as much as so many tickets of today.
_HISTORY_WEIGHT: Final = 12
# A pause whose end nobody said.
_PAUSE_MIN: Final = 15
_HORIZON_MIN: Final = 24 * 60
_MINUTE_MS: Final = 60_000
_SECONDS_PER_MINUTE: Final = 60


@dataclass(frozen=True, slots=True)
class Shift:
    """A counter's plan: it works from so many minutes from now on."""

    starts_in_min: float = 0.0


def mean_service_min(history_min: float, today: Served) -> float:
    """Return what one ticket takes: the history counts as much as twelve of today."""
    total = _HISTORY_WEIGHT * history_min + today.seconds / _SECONDS_PER_MINUTE
    return total / (_HISTORY_WEIGHT + today.count)


def drain_min(work_min: float, shifts: Sequence[Shift]) -> float:
    """Return the smallest W in which the shifts do so much work, at most a day.

    Who has priority and is not there yet is left to the calibration, which knows what usually
    comes: work that is allowed for beforehand made estimates worse (`bench/tickets_wait`).
    """
    if work_min <= 0:
        return min((shift.starts_in_min for shift in shifts), default=float(_HORIZON_MIN))
    starts = sorted(shift.starts_in_min for shift in shifts)
    # Capacity grows in straight pieces, which change where another counter begins.
    done, begin, rate = 0.0, 0.0, 0.0
    for start in (*starts, float(_HORIZON_MIN)):
        if rate > 0 and done + rate * (start - begin) >= work_min:
            return begin + (work_min - done) / rate
        done += rate * (start - begin)
        begin, rate = start, rate + EFFICIENCY
    return float(_HORIZON_MIN)


def drains_min(desk: Desk, line: Sequence[Ticket], *, now_ms: int) -> list[float]:
    """Return for each in the line of a counter in how many minutes what is before it is done."""
    means = _Means(desk.served)
    current = desk.current
    work = means.of(current) if current is not None else 0.0
    shift = Shift(_starts_in_min(desk, now_ms=now_ms))
    drains = []
    for each in line:
        drains.append(drain_min(work, [shift]))
        work += means.of(each)
    return drains


def estimates(desk: Desk, line: Sequence[Ticket], *, now_ms: int) -> list[Estimate]:
    """Return for each in the line of a counter how long it still waits."""
    present = int(desk.current is not None)
    return [
        estimate(drained, ahead + present, desk.calibrations)
        for ahead, drained in enumerate(drains_min(desk, line, now_ms=now_ms))
    ]


def waits_min(desk: Desk, line: Sequence[Ticket], *, now_ms: int) -> list[int]:
    """Return for each in the line of a counter how many minutes it still waits, rounded."""
    return [round(each.middle_min) for each in estimates(desk, line, now_ms=now_ms)]


def next_estimate(desk: Desk, *, now_ms: int) -> Estimate:
    """Return how long somebody would wait who came now, without priority."""
    means = _Means(desk.served)
    ahead = [*([desk.current] if desk.current is not None else []), *desk.waiting]
    work = sum(means.of(each) for each in ahead)
    drained = drain_min(work, [Shift(_starts_in_min(desk, now_ms=now_ms))])
    return estimate(drained, len(ahead), desk.calibrations)


def next_wait_min(desk: Desk, *, now_ms: int) -> int:
    """Return how many minutes somebody would wait who came now, without priority, rounded."""
    return round(next_estimate(desk, now_ms=now_ms).middle_min)


def average_service_min(desk: Desk) -> int:
    """Return what one ticket takes at a counter, rounded; 0 while nothing is known or asked."""
    today = sum(desk.served.values(), Served())
    if not (today.count or desk.present or desk.waiting):
        return 0
    return max(1, round(mean_service_min(_history_min(desk), today)))


class _Means:
    """What a ticket takes, by procedure."""

    def __init__(self, served: Mapping[int | None, Served]) -> None:
        self._served: Final = served
        self._known: Final[dict[int | None, float]] = {}

    def of(self, ticket: Ticket) -> float:
        """Return the minutes that a ticket takes."""
        known = self._known.get(ticket.procedure_id)
        if known is None:
            history = ticket.service_min or SERVICE_DEFAULT_MIN
            today = self._served.get(ticket.procedure_id, Served())
            known = self._known[ticket.procedure_id] = mean_service_min(history, today)
        return known


def _history_min(desk: Desk) -> float:
    known = [each.service_min for each in (*desk.present, *desk.waiting) if each.service_min]
    return sum(known) / len(known) if known else SERVICE_DEFAULT_MIN


def _starts_in_min(desk: Desk, *, now_ms: int) -> float:
    counter = desk.counter
    if counter.status is CounterStatus.ACTIVE:
        return 0.0
    if counter.paused_until_ms is None:
        return float(_PAUSE_MIN)
    return max(0.0, (counter.paused_until_ms - now_ms) / _MINUTE_MS)
