"""How long somebody still waits: from what the room really did, not from what it is set to.

Ahead of a visitor stand `x` others. The room admits `mu` of them a second, and each of them leaves
by himself with the hazard `a` a second, so `dx/dt = -mu - a * x`, which is nothing at
`t = ln(1 + x * a / mu) / a`. All is measured over the last two minutes: `mu` only while somebody
waited, since an empty line says nothing about how fast a long one moves, and apart for a room with
free slots, where the rate decides, and a full one, where it is those who leave. Visitors who join
higher lanes go first, so their arrivals are taken from `mu`.

No I/O, no clock, no randomness: moments are arguments, Unix milliseconds.
"""

import math
from dataclasses import dataclass
from typing import Final

from msgspec import Struct

from models.rooms.draw import is_undrawn
from models.rooms.paces import Pace
from models.rooms.rules import LineState, Place, RoomStatus

# Nobody plans beyond a day, and 32-bit clients read the number too.
SECONDS_MAX: Final = 86_400
# Admissions are counted like any rare event, so their rate is known to within 1 / sqrt(count).
# 1.645 deviations on each side are nine cases in ten; what is not chance, such as a change of
# habits, is given a twentieth more.
_DEVIATIONS: Final = 1.645
_DRIFT: Final = 1.05
# How far the hazard may be off: those who are still here are not those who left.
_HAZARD_LOW: Final = 0.75
_HAZARD_HIGH: Final = 1.25
# Before any session ended: people leave a site after half of what they are allowed.
_SESSION_SHARE: Final = 0.5
# Higher lanes may take all there is for a while, but not forever: this share is left to the others.
_SHARE_MIN: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the room is set to, and how full it is."""

    rate_per_s: float
    capacity: int
    inside: int
    session_ms: int  # the longest


class Estimate(Struct, frozen=True):
    """Whole seconds; `low <= seconds <= high`, and nine times in ten the truth lies in between."""

    seconds: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class _Course:
    """How the room admits from now on: so many at one speed, all others at another."""

    at_once: float  # how many find a free slot
    free_per_s: float
    full_per_s: float
    hazard_per_s: float

    def scaled(self, speed: float, hazard: float) -> "_Course":
        return _Course(
            self.at_once,
            self.free_per_s * speed,
            self.full_per_s * speed,
            self.hazard_per_s * hazard,
        )

    def wait_s(self, ahead: float) -> float:
        first_s = _wait_s(ahead, self.free_per_s, self.hazard_per_s)
        until_full_s = self.at_once / self.free_per_s
        if first_s <= until_full_s:
            return first_s
        left = _left(ahead, self.free_per_s, self.hazard_per_s, until_full_s)
        return until_full_s + _wait_s(left, self.full_per_s, self.hazard_per_s)


def tell(
    line: LineState, place: Place, *, position: int, pace: Pace, session_ms: int
) -> Estimate | None:
    """Say how long somebody waits at a position; None when nobody can know.

    That is while the room lets nobody in: paused, closed, in maintenance, or set to admit nobody.
    Before the opening the wait reaches over it, and before a draw from the first place to the last.
    """
    if line.status is not RoomStatus.ACTIVE:
        return None
    limits = Limits(
        rate_per_s=line.rate_per_s,
        capacity=line.capacity,
        inside=line.inside,
        session_ms=session_ms,
    )
    opens_at_ms = max(line.opens_at_ms, line.hold_until_ms)
    first = last = position - 1
    if is_undrawn(line):
        first = sum(line.waits[place.lane + 1 :])
        last = max(first + line.waits[place.lane] - 1, first)
    waits = estimate(last, lane=place.lane, pace=pace, limits=limits)
    if waits is None:
        return None
    if first < last and (least := estimate(first, lane=place.lane, pace=pace, limits=limits)):
        waits = spanned(least, waits)
    return later(waits, (opens_at_ms - line.at_ms) / 1_000)


def estimate(ahead: int, *, lane: int, pace: Pace, limits: Limits) -> Estimate | None:
    """Say how long somebody waits with `ahead` others in front; None when nobody is ever admitted.

    Ask only for a room that admits: who waits before a closed door has no number. A rate or a
    capacity of 0 closes it as well.
    """
    if limits.rate_per_s <= 0 or limits.capacity <= 0:
        return None
    course = _course(sum(pace.joined_per_s[lane + 1 :]), pace, limits)
    seen = pace.full.admitted if course.at_once < ahead else pace.free.admitted
    spread = _DRIFT * math.exp(_DEVIATIONS / math.sqrt(seen + 1))
    wait_s = course.wait_s(ahead)
    # Not always the bounds: a room that fills later may have lost more of its line by then.
    fast_s = course.scaled(spread, _HAZARD_HIGH).wait_s(ahead)
    slow_s = course.scaled(1 / spread, _HAZARD_LOW).wait_s(ahead)
    # Whoever waits waits for the next tick at least, so only the lower bound may be 0.
    return Estimate(
        max(_whole(wait_s), 1),
        math.floor(min(fast_s, wait_s, SECONDS_MAX)),
        max(_whole(max(slow_s, wait_s)), 1),
    )


def later(waits: Estimate, after_s: float) -> Estimate:
    """Put the opening of a room in front of an estimate that counts from there."""
    more = max(math.ceil(after_s), 0)
    moved = (min(each + more, SECONDS_MAX) for each in (waits.seconds, waits.low, waits.high))
    return Estimate(*moved)


def spanned(first: Estimate, last: Estimate) -> Estimate:
    """Return the estimate of somebody whose place is yet drawn between two others."""
    return Estimate((first.seconds + last.seconds) // 2, first.low, last.high)


def _course(overtaking_per_s: float, pace: Pace, limits: Limits) -> _Course:
    session_s = pace.session_s or max(limits.session_ms / 1_000 * _SESSION_SHARE, 1.0)
    returning_per_s = min(limits.rate_per_s, limits.capacity / session_s)
    free_per_s = min(pace.free.per_s(limits.rate_per_s), limits.rate_per_s)
    full_per_s = min(pace.full.per_s(returning_per_s), limits.rate_per_s)
    free = max(limits.capacity - limits.inside, 0)
    # Slots come back while others are taken: on the way to full about as many are taken as lie
    # halfway between now and full.
    filling_per_s = free_per_s - (limits.capacity + limits.inside) / 2 / session_s
    at_once = free * free_per_s / filling_per_s if filling_per_s > 0 else math.inf
    return _Course(
        at_once,
        max(free_per_s - overtaking_per_s, free_per_s * _SHARE_MIN),
        max(full_per_s - overtaking_per_s, full_per_s * _SHARE_MIN),
        pace.hazard_per_s,
    )


def _wait_s(ahead: float, throughput: float, hazard: float) -> float:
    share = ahead * hazard / throughput
    # The limit of the formula for a hazard of 0, from where a float no longer tells them apart.
    return ahead / throughput if share < 1e-9 else math.log1p(share) / hazard  # noqa: PLR2004


def _left(ahead: float, throughput: float, hazard: float, after_s: float) -> float:
    """Return how many of those ahead are left after a time that does not end the wait."""
    if hazard * after_s < 1e-9:  # noqa: PLR2004 (as above)
        return max(ahead - throughput * after_s, 0.0)
    drift = throughput / hazard
    return max((ahead + drift) * math.exp(-hazard * after_s) - drift, 0.0)


def _whole(seconds: float) -> int:
    return min(math.ceil(seconds), SECONDS_MAX)
