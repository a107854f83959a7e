"""What a policy does to waits, tried on people who came or might come; no I/O, no clock.

Who is called next is decided by `rules`, as in a hall: nothing of it is written twice.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from random import Random
from typing import Any, Final

from models.tickets.calibrations import quantile
from models.tickets.rules import Policy, Priority, Side, call_order, turn_after

_MINUTE_MS: Final = 60_000
_HOUR_MS: Final = 60 * _MINUTE_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Somebody who comes, stands in a line, and then holds a counter for a while."""

    id: int
    queued_at_ms: int
    priority: Priority
    held_ms: int  # from the call until the counter is free again
    waited_ms: int | None = None  # in truth, until the first call


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A day at counters that share a line, each from when it opens."""

    visitors: tuple[Visitor, ...]
    starts_ms: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """A counter that nobody measured yet: arrivals and services as random as they come."""

    arrivals_per_hour: float
    service_min: float
    priority_share: float
    hours: float
    days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """How long some people waited, in minutes."""

    people: int
    mean_min: float
    median_min: float
    p90_min: float
    longest_min: float


def waits_ms(session: Session, policy: Policy) -> dict[int, int]:
    """Return how long each visitor waits for its call, by its id."""
    coming = deque(sorted(session.visitors, key=lambda each: (each.queued_at_ms, each.id)))
    free = list(session.starts_ms)
    heapify(free)
    line: list[Visitor] = []
    turn: Side | None = None
    waits = {}
    while coming or line:
        now_ms = heappop(free)
        if not line:
            now_ms = max(now_ms, coming[0].queued_at_ms)
        while coming and coming[0].queued_at_ms <= now_ms:
            line.append(coming.popleft())
        called = call_order(line, policy, turn=turn)[0]
        line.remove(called)
        turn = turn_after(called.priority, line)
        waits[called.id] = now_ms - called.queued_at_ms
        heappush(free, now_ms + called.held_ms)
    return waits


def compare(sessions: Sequence[Session]) -> dict[Policy, dict[Priority, Waits]]:
    """Return the waits of each priority under each policy; a priority of nobody is left out."""
    found = {}
    for policy in Policy:
        waited: dict[Priority, list[int]] = {}
        for session in sessions:
            waits = waits_ms(session, policy)
            for each in session.visitors:
                waited.setdefault(each.priority, []).append(waits[each.id])
        found[policy] = _by_priority(waited)
    return found


def measured(sessions: Iterable[Session]) -> dict[Priority, Waits]:
    """Return what visitors waited in truth, as far as it is known."""
    waited: dict[Priority, list[int]] = {}
    for session in sessions:
        for each in session.visitors:
            if each.waited_ms is not None:
                waited.setdefault(each.priority, []).append(each.waited_ms)
    return _by_priority(waited)


def sessions_of(rows: Iterable[Any], *, random: Random) -> list[Session]:
    """Return the days of counters that tickets tell of, a session for each counter and day.

    Whoever was never called is left out: how long patience lasts under another policy is not
    known. A counter that still serves somebody takes as long as it took with another.
    """
    by_day: dict[tuple[int, str], list[Any]] = {}
    held_ms: dict[int, list[int]] = {}
    for row in rows:
        if row.first_called_at_ms is None or row.called_at_ms is None:
            continue
        by_day.setdefault((row.counter_id, row.business_day), []).append(row)
        if row.completed_at_ms is not None:
            held = max(0, row.completed_at_ms - row.called_at_ms)
            held_ms.setdefault(row.counter_id, []).append(held)
    return [
        Session(
            visitors=tuple(_visitors(day, held_ms.get(counter_id, [0]), random)),
            starts_ms=(min(row.first_called_at_ms for row in day),),
        )
        for (counter_id, _), day in sorted(by_day.items())
    ]


def sessions_from(figures: Figures, *, random: Random) -> list[Session]:
    """Return days at one counter: exponential times between arrivals, exponential services."""
    return [
        Session(visitors=tuple(_random_visitors(figures, random)), starts_ms=(0,))
        for _ in range(figures.days)
    ]


def _visitors(day: Iterable[Any], held_ms: Sequence[int], random: Random) -> Iterator[Visitor]:
    for row in day:
        is_over = row.completed_at_ms is not None
        yield Visitor(
            id=row.id,
            queued_at_ms=row.queued_at_ms,
            priority=Priority(row.priority),
            held_ms=(
                max(0, row.completed_at_ms - row.called_at_ms)
                if is_over
                else random.choice(held_ms)
            ),
            waited_ms=row.first_called_at_ms - row.queued_at_ms,
        )


def _random_visitors(figures: Figures, random: Random) -> Iterator[Visitor]:
    at_ms, number = 0.0, 0
    while True:
        at_ms += random.expovariate(figures.arrivals_per_hour / _HOUR_MS)
        if at_ms >= figures.hours * _HOUR_MS:
            return
        number += 1
        is_preferred = random.random() < figures.priority_share
        yield Visitor(
            id=number,
            queued_at_ms=round(at_ms),
            priority=Priority.PRIORITY if is_preferred else Priority.NORMAL,
            held_ms=round(random.expovariate(1 / (figures.service_min * _MINUTE_MS))),
        )


def _by_priority(waited: dict[Priority, list[int]]) -> dict[Priority, Waits]:
    return {each: _waits(waited[each]) for each in Priority if each in waited}


def _waits(of_ms: Iterable[int]) -> Waits:
    ordered = sorted(each / _MINUTE_MS for each in of_ms)
    return Waits(
        people=len(ordered),
        mean_min=sum(ordered) / len(ordered),
        median_min=quantile(ordered, 0.5),
        p90_min=quantile(ordered, 0.9),
        longest_min=ordered[-1],
    )
