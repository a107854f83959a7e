"""Values and choices of schedules; no I/O, no clock, no randomness. Moments are Unix milliseconds.

A moment is when a schedule is to put its message in. One that passed less than LATE_MAX_MS ago is
late, as when a worker starts anew, and runs all the same; an older one was missed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from models.errors import ConflictError, LimitError, NotFoundError
from models.messages.policies import QUEUE_NAME_PATTERN
from models.messages.rules import NewMessage

LATE_MAX_MS: Final = 60_000
# Of one schedule at a time, the newest: what came before is lost, whatever `catch_up` says.
MOMENTS_MAX: Final = 1_000
EVERY_MAX_S: Final = 31_536_000
NAME_PATTERN: Final = QUEUE_NAME_PATTERN
TIMEZONE_DEFAULT: Final = "UTC"


class CatchUp(StrEnum):
    """What becomes of moments that were missed."""

    NONE = "none"  # nothing
    ONE = "one"  # the last of them runs
    ALL = "all"  # all run, up to MOMENTS_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """When a schedule runs: by a cron line or at an interval, within its bounds."""

    cron: str | None = None
    every_ms: int | None = None
    timezone: str = TIMEZONE_DEFAULT  # in which the cron line is read
    starts_at_ms: int | None = None  # no moment lies before it
    ends_at_ms: int | None = None  # nor after this


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What whoever makes a schedule says of it."""

    timing: Timing
    message: NewMessage
    paused: bool = False
    catch_up: CatchUp = CatchUp.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A schedule and how it fares."""

    name: str
    plan: Plan
    anchor_ms: int  # intervals are counted from here, unless they have a start
    next_run_ms: int | None  # None: paused, or over
    last_run_ms: int | None = None  # the last moment that was dealt with
    runs: int = 0  # moments whose message was taken
    failures: int = 0  # moments since the last success whose message was refused
    last_error: str | None = None
    last_error_at_ms: int | None = None
    created_at_ms: int
    updated_at_ms: int


class ScheduleNotFoundError(NotFoundError):
    """Nobody made a schedule of this name."""

    code = "SCHEDULE_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"schedule {self.name} does not exist"


class ScheduleExistsError(ConflictError):
    """A schedule of this name was made before."""

    code = "SCHEDULE_EXISTS"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"schedule {self.name} exists already"


class TooManySchedulesError(LimitError):
    """There are as many schedules as there may be."""

    code = "TOO_MANY_SCHEDULES"

    def __init__(self, schedules_max: int) -> None:
        super().__init__("schedules_max", schedules_max)
        self.args = (schedules_max,)  # so that the error can be pickled


def pick(moments: Sequence[int], catch_up: CatchUp, *, now_ms: int) -> list[int]:
    """Return those moments, of some that passed, that run; all are in order."""
    if catch_up is CatchUp.ALL:
        return list(moments)
    late = [moment for moment in moments if moment >= now_ms - LATE_MAX_MS]
    missed = moments[: len(moments) - len(late)]
    return [*missed[-1:], *late] if catch_up is CatchUp.ONE else late
