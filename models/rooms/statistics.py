"""Statistics of a room: counters, samples, and what can be drawn of them; no I/O, no clock."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

MINUTE_MS: Final = 60_000
# How often counters are looked at, and how many looks make up somewhat more than a minute.
LOOK_EVERY_MS: Final = 10_000
_LOOKS_KEPT: Final = 10
DAY_MS: Final = 86_400_000
# Enough for any screen, and an answer that is read at once.
POINTS_MAX: Final = 2_000
_POINTS_WANTED: Final = 360
_STEPS_S: Final = (60, 300, 900, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How often what happened, since the room was made or in a span of time."""

    joined: int = 0
    admitted: int = 0
    expired: int = 0
    cancelled: int = 0
    no_shows: int = 0  # admitted, and never came
    waits_ms: int = 0  # how long the admitted had waited, together

    def since(self, before: "Counts") -> "Counts":
        """Return what was counted since; all of it if the counters started over meanwhile.

        A store that died may have lost its last second: counters that are a little lower than
        before have not started over, and count from there.
        """
        if self.joined < before.joined // 2:
            return self
        return Counts(
            **{name: max(getattr(self, name) - getattr(before, name), 0) for name in COUNTED}
        )

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(**{name: getattr(self, name) + getattr(other, name) for name in COUNTED})

    @property
    def mean_wait_ms(self) -> float | None:
        """Return how long the admitted had waited on average; None: nobody was."""
        return self.waits_ms / self.admitted if self.admitted else None


COUNTED: Final = tuple(field.name for field in fields(Counts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the counters of a room say at a moment."""

    counts: Counts = Counts()
    waiting: int = 0
    inside: int = 0  # sessions and reserved places
    peak: int = 0  # most that ever waited together, as far as the counters know

    @property
    def is_quiet(self) -> bool:
        """Say whether nobody is there."""
        return not self.waiting and not self.inside


# When somebody looked, and how many had been admitted by then.
Look = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What was counted of a room up to the last look, and the most that ever waited."""

    counts: Counts = Counts()
    peak: int = 0
    looks: tuple[Look, ...] = ()  # the last ones, oldest first


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """A room now and today; the day is that of UTC."""

    waiting: int
    inside: int
    today: Counts
    peak: int  # most that ever waited together
    peak_today: int
    rate_per_s: float  # admitted in the last minute


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A span of a room's history: what was counted in it, and the largest of what was sampled."""

    at_ms: int  # when it begins
    waiting: int = 0  # at the end of a minute
    inside: int = 0
    waiting_max: int = 0  # at any look
    counts: Counts = Counts()


def with_look(looks: Sequence[Look], at_ms: int, admitted: int) -> tuple[Look, ...]:
    """Return the looks at a room with one more.

    A room without news is not written down, so a gap says that nothing happened until the look
    before this one.
    """
    kept = [look for look in looks if look[0] < at_ms and look[1] <= admitted]
    if kept and at_ms - kept[-1][0] > 2 * LOOK_EVERY_MS:
        kept.append((at_ms - LOOK_EVERY_MS, kept[-1][1]))
    # Looks that come more often, as from two timetables, shall not push out the last minute.
    if len(kept) > 1 and at_ms - kept[-2][0] < LOOK_EVERY_MS:
        kept.pop()
    return (*kept, (at_ms, admitted))[-_LOOKS_KEPT:]


def admitted_since(looks: Sequence[Look], at_ms: int) -> float:
    """Return how many were admitted between a moment and the last look.

    Between two looks they are taken to have come evenly; before the first one nobody came.
    """
    later = next((index for index, look in enumerate(looks) if look[0] > at_ms), None)
    if later is None:
        return 0.0
    admitted = float(looks[-1][1])
    if later == 0:
        return admitted - looks[0][1]
    (before_ms, before), (after_ms, after) = looks[later - 1], looks[later]
    return admitted - before - (after - before) * (at_ms - before_ms) / (after_ms - before_ms)


def waits_since(joined: Sequence[tuple[int, int]], waiting: int) -> int | None:
    """Return the minute in which who waits longest joined, by minutes from the newest back.

    The line is in the order of joining, so those who wait are the last who joined; who left it in
    between makes the wait look shorter. None when the minutes do not reach back that far.
    """
    for at_ms, count in joined:
        waiting -= count
        if waiting <= 0:
            return at_ms
    return None


def day_of(at_ms: int) -> int:
    """Return when the UTC day of a moment began."""
    return at_ms - at_ms % DAY_MS


def minute_of(at_ms: int) -> int:
    """Return when the minute of a moment began."""
    return at_ms - at_ms % MINUTE_MS


def step_for(span_ms: int) -> int:
    """Return a step in milliseconds that draws a span in a few hundred points."""
    for step_s in _STEPS_S:
        if span_ms <= step_s * 1000 * _POINTS_WANTED:
            return step_s * 1000
    return _STEPS_S[-1] * 1000


def filled(points: dict[int, Point], *, since_ms: int, until_ms: int, step_ms: int) -> list[Point]:
    """Return a point for each step of a span, empty ones where nothing was sampled."""
    return [points.get(at_ms) or Point(at_ms=at_ms) for at_ms in range(since_ms, until_ms, step_ms)]
