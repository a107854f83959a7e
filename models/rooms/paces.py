"""How fast a room went over the last two minutes, from samples of its counters.

No I/O, no clock, no randomness: moments are arguments, Unix milliseconds.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from models.rooms.rules import LineState

MEASURED_MS: Final = 120_000
# Ticks come four times a second; over a whole second the rounding of one of them weighs little.
SAMPLED_EVERY_MS: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What a room counted up to a moment; counts only grow, except `waiting` and `inside`."""

    at_ms: int
    admitted: int
    left: int  # from the line: cancelled and expired
    waiting: int
    inside: int  # sessions and reserved slots
    ended: int  # slots that came back: sessions that ended, grants that nobody claimed
    joined: tuple[int, ...]  # by lane, the lowest first
    is_full: bool  # nobody finds a free slot


@dataclass(frozen=True, slots=True)
class Flow:
    """How many were admitted in how long, while somebody waited."""

    admitted: int = 0
    busy_s: float = 0.0

    def per_s(self, expected_per_s: float) -> float:
        """Return how many are admitted a second; above 0 when `expected_per_s` is.

        One admission at the expected rate is taken as seen before the first one was: it decides
        alone while nothing was measured, and weighs nothing once hundreds were.
        """
        return (self.admitted + 1) / (self.busy_s + 1 / expected_per_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """What the last two minutes showed."""

    free: Flow = Flow()  # while slots were free: the rate decides
    full: Flow = Flow()  # while none was: it is those who leave
    hazard_per_s: float = 0.0  # share of the waiting that left in a second
    session_s: float | None = None  # how long a slot stays taken; None: none came back
    joined_per_s: tuple[float, ...] = ()  # by lane


class Samples:
    """The samples of the last two minutes, at most one a second."""

    def __init__(self) -> None:
        self._samples: Final[deque[Sample]] = deque()

    def add(self, sample: Sample) -> None:
        """Take a sample in; one whose counts fell back, as of a room made anew, starts over."""
        samples = self._samples
        if samples and not _follows(samples[-1], sample):
            samples.clear()
        if samples and sample.at_ms - samples[-1].at_ms < SAMPLED_EVERY_MS:
            return
        samples.append(sample)
        while samples[0].at_ms < sample.at_ms - MEASURED_MS:
            samples.popleft()

    def pace(self) -> Pace:
        """Return what the samples show: nothing, before there are two."""
        samples = list(self._samples)
        spans = [_Span(before, after) for before, after in pairwise(samples)]
        if not spans:
            return Pace()
        first, last = samples[0], samples[-1]
        measured_s = sum(span.s for span in spans)
        waited_s = sum(span.waited_s for span in spans)
        ended = last.ended - first.ended
        joined = zip(first.joined, last.joined, strict=True)
        return Pace(
            free=_flow(span for span in spans if not span.is_full),
            full=_flow(span for span in spans if span.is_full),
            hazard_per_s=(last.left - first.left) / waited_s if waited_s else 0.0,
            session_s=sum(span.inside_s for span in spans) / ended if ended else None,
            joined_per_s=tuple((now - then) / measured_s for then, now in joined),
        )


class _Span:
    """What happened between two samples."""

    def __init__(self, before: Sample, after: Sample) -> None:
        self.s: Final = (after.at_ms - before.at_ms) / 1_000
        self.waited_s: Final = self.s * (before.waiting + after.waiting) / 2
        self.inside_s: Final = self.s * (before.inside + after.inside) / 2
        self.admitted: Final = after.admitted - before.admitted
        self.is_busy: Final = before.waiting > 0 and after.waiting > 0
        self.is_full: Final = before.is_full


def sample_of(line: LineState) -> Sample:
    """Return the sample that a line's numbers are."""
    counters = line.counters
    return Sample(
        at_ms=line.at_ms,
        admitted=counters.admitted,
        left=counters.cancelled + counters.expired,
        waiting=line.length,
        inside=line.inside,
        ended=counters.ended + counters.no_shows,
        joined=counters.joined,
        is_full=is_full(line.inside, line.capacity),
    )


def is_full(inside: int, capacity: int) -> bool:
    """Say whether slots are what admission waits for: at most one in fifty is free."""
    return capacity - inside <= capacity // 50


def _flow(spans: Iterable[_Span]) -> Flow:
    busy = [span for span in spans if span.is_busy]
    return Flow(sum(span.admitted for span in busy), sum(span.s for span in busy))


def _follows(before: Sample, after: Sample) -> bool:
    was = (before.at_ms, before.admitted, before.left, before.ended, *before.joined)
    now = (after.at_ms, after.admitted, after.left, after.ended, *after.joined)
    return len(was) == len(now) and all(then <= later for then, later in zip(was, now, strict=True))
