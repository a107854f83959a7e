"""The business day and the opening hours of a branch, by its own clock.

Everything here goes by what clocks in the hall show, so a day of a change to summer time begins
and ends when people there say it does.
"""

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from models.tickets.rules import Branch

_DAYS: Final = 7
_DAY_MINUTES: Final = 24 * 60


def is_timezone(name: str) -> bool:
    """Say whether there is a time zone of this name."""
    try:
        _zone(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def business_day(branch: Branch, *, at_ms: int) -> str:
    """Return the local date whose numbers are handed out at a moment: `2026-01-31`.

    A day begins at the branch's reset minute: what comes before it belongs to the day before.
    """
    local = _local(branch, at_ms)
    begins_later = local.hour * 60 + local.minute < branch.reset_minute
    return (local.date() - timedelta(days=int(begins_later))).isoformat()


def local_hour(branch: Branch, *, at_ms: int) -> int:
    """Return the hour that clocks in the hall show at a moment."""
    return _local(branch, at_ms).hour


def is_open(branch: Branch, *, at_ms: int) -> bool:
    """Say whether tickets are handed out at a moment."""
    if branch.opening is None:
        return True
    local = _local(branch, at_ms)
    minute = local.hour * 60 + local.minute
    return any(start <= minute < end for start, end in branch.opening[local.weekday()])


def opens_at_ms(branch: Branch, *, at_ms: int) -> int | None:
    """Return the next moment at which a closed branch opens, None if none within a week."""
    if branch.opening is None:
        return None
    local = _local(branch, at_ms)
    for days in range(_DAYS + 1):
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=days)
        for start, _ in sorted(branch.opening[midnight.weekday()]):
            moment = midnight + timedelta(minutes=start)
            found_ms = int(moment.astimezone(UTC).timestamp() * 1000)
            if found_ms > at_ms:
                return found_ms
    return None


def closed_for_min(branch: Branch, *, at_ms: int) -> int | None:
    """Return how long ago a branch closed for the day; None: it is open, or will be this day."""
    if branch.opening is None:
        return None
    local = _local(branch, at_ms)
    minute = local.hour * 60 + local.minute
    if minute < branch.reset_minute:  # the night after the day that ends
        return None
    ends = [end for _, end in branch.opening[local.weekday()]]
    return minute - max(ends) if ends and minute >= max(ends) else None


def opening_faults(opening: tuple[tuple[tuple[int, int], ...], ...]) -> str | None:
    """Return what is wrong with opening hours, None if nothing is."""
    for spans in opening:
        if any(not 0 <= start < end <= _DAY_MINUTES for start, end in spans):
            return "Expected spans such as 08:00-11:30, each ending after it begins"
        if any(later < end for (_, end), (later, _) in pairwise(spans)):
            return "Expected spans of a day in order, none beginning before the one before it ends"
    return None


def _local(branch: Branch, at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(_zone(branch.timezone))


@cache
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
