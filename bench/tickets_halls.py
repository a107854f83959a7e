"""Simulated halls: people come, stand in one line and are called to counters by the rules.

Minutes throughout, from when the hall opens. What the simulation knows beforehand, such as how long
a service takes or when a break ends, nobody in it is told.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from heapq import heapify, heappop, heappush
from math import log
from random import Random
from typing import Final

from models.tickets.rules import Policy, Priority, Side, call_order, turn_after
from models.tickets.simulation import Session, Visitor, compare

_BREAK_MIN: Final = 30.0
_BREAK_SPREAD: Final = 0.3
# How long a counter calls somebody who is not there.
_NO_SHOW_MIN: Final = 1.5
_HOUR_MIN: Final = 60.0
_MINUTE_MS: Final = 60_000

Take = Callable[[float], None]


@dataclass(frozen=True, kw_only=True)
class Hall:
    """What a hall is like; without a spread services are exponential, else lognormal."""

    name: str
    service_min: float
    per_hour: tuple[float, ...]  # arrivals, in each hour
    shifts: tuple[tuple[float, float], ...]  # from and until, of each counter
    spread: float | None = None  # of the logarithm
    drift: float = 0.0  # how far the mean of a day may be from what is known, as a share
    breaks: int = 0  # a day, of each counter
    no_shows: float = 0.0
    priority_share: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody in the line."""

    id: int
    queued_at_ms: int
    priority: Priority
    service_min: float
    comes: bool
    at: float


@dataclass(kw_only=True)
class Counter:
    """A counter of a day: its plan, and what it does."""

    opens: float
    closes: float
    breaks: list[float]
    is_busy: bool = False
    paused_until: float | None = None  # as announced


@dataclass
class Day:
    """A day in a hall; `tell` hears of everybody who comes and returns who takes the wait."""

    hall: Hall
    random: Random
    tell: Callable[["Day", Person], Take]
    now: float = 0.0
    line: list[Person] = field(default_factory=list)
    turn: Side | None = None
    counters: list[Counter] = field(default_factory=list)
    services_min: list[float] = field(default_factory=list)  # that are over
    last_wait_min: float = 0.0  # of whoever was called last

    def run(self) -> None:
        """Let everybody come and be served."""
        hours = len(self.hall.per_hour) * _HOUR_MIN
        self.counters = [
            Counter(
                opens=opens,
                closes=closes,
                breaks=sorted(
                    self.random.uniform(opens, min(closes, hours)) for _ in range(self.hall.breaks)
                ),
            )
            for opens, closes in self.hall.shifts
        ]
        takes: dict[int, Take] = {}
        # A moment, what tells two at once apart, and what happens.
        events: list[tuple[float, int, Person | Counter]] = []
        events += [(each.opens, -number, each) for number, each in enumerate(self.counters)]
        events += [(each.at, each.id, each) for each in people(self.hall, self.random)]
        heapify(events)
        order = len(events)
        while events:
            self.now, _, what = heappop(events)
            if isinstance(what, Person):
                takes[what.id] = self.tell(self, what)
                self.line.append(what)
            else:
                what.is_busy, what.paused_until = False, None
                self._rest(what)
            for counter in self.counters:
                order += 1
                if counter.paused_until is not None and not counter.is_busy:
                    counter.is_busy = True
                    real = self.random.lognormvariate(0, _BREAK_SPREAD) * _BREAK_MIN
                    heappush(events, (self.now + real, order, counter))
                elif self.line and self.is_idle(counter):
                    heappush(events, (self.now + self._call(takes), order, counter))
                    counter.is_busy = True

    def works(self, counter: Counter) -> bool:
        """Say whether a counter is open and not on a break."""
        return counter.opens <= self.now < counter.closes and counter.paused_until is None

    def is_idle(self, counter: Counter) -> bool:
        """Say whether a counter would call somebody now."""
        return self.works(counter) and not counter.is_busy

    def _rest(self, counter: Counter) -> None:
        """Begin a break that is due."""
        if counter.breaks and counter.breaks[0] <= self.now:
            counter.breaks.pop(0)
            counter.paused_until = self.now + _BREAK_MIN

    def _call(self, takes: dict[int, Take]) -> float:
        """Call who is next and return how long that takes."""
        called = call_order(self.line, Policy.INTERLEAVE, turn=self.turn)[0]
        self.line.remove(called)
        self.turn = turn_after(called.priority, self.line)
        self.last_wait_min = self.now - called.at
        takes[called.id](self.last_wait_min)
        if not called.comes:
            return _NO_SHOW_MIN
        self.services_min.append(called.service_min)
        return called.service_min


def people(hall: Hall, random: Random) -> Iterator[Person]:
    """Yield who comes to a hall in a day."""
    of_day_min = hall.service_min * random.uniform(1 - hall.drift, 1 + hall.drift)
    number = 0
    for hour, per_hour in enumerate(hall.per_hour):
        at = hour * _HOUR_MIN
        while (at := at + random.expovariate(per_hour / _HOUR_MIN)) < (hour + 1) * _HOUR_MIN:
            number += 1
            is_preferred = random.random() < hall.priority_share
            yield Person(
                id=number,
                queued_at_ms=round(at * _MINUTE_MS),
                priority=Priority.PRIORITY if is_preferred else Priority.NORMAL,
                service_min=_service_min(hall, of_day_min, random),
                comes=random.random() >= hall.no_shows,
                at=at,
            )


def priority_table(hall: Hall, *, days: int, seed: int) -> list[tuple[str, ...]]:
    """Return what each policy does to waits in a hall, by the product's own simulation."""
    random = Random(seed)
    busy = replace(hall, priority_share=0.2)
    sessions = [
        Session(
            visitors=tuple(
                Visitor(
                    id=each.id,
                    queued_at_ms=each.queued_at_ms,
                    priority=each.priority,
                    held_ms=round(each.service_min * _MINUTE_MS),
                )
                for each in people(busy, random)
            ),
            starts_ms=(0,) * len(hall.shifts),
        )
        for _ in range(days)
    ]
    return [
        (
            policy.value,
            *(
                f"{minutes:.1f}"
                for priority in (Priority.PRIORITY, Priority.NORMAL)
                for minutes in (waits[priority].mean_min, waits[priority].p90_min)
            ),
        )
        for policy, waits in compare(sessions).items()
    ]


def _service_min(hall: Hall, of_day_min: float, random: Random) -> float:
    if hall.spread is None:
        return random.expovariate(1 / of_day_min)
    return random.lognormvariate(log(of_day_min) - hall.spread**2 / 2, hall.spread)
