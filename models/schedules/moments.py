"""The moments of a timing, forwards and backwards, through summer time and back.

A cron line is read as local time. A local time that does not exist, as clocks are put forward,
is its first valid moment after the gap; what comes together there runs once. One that comes
twice, as clocks are put back, is the first of the two. Only a line whose hour is `*` has both: it
follows the hours that pass and not those that a clock shows.
"""

import heapq
import re
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Final

from cronsim import CronSim, CronSimError

from models.errors import InvalidError
from models.schedules.rules import Timing

_CRON_CHARACTERS_MAX: Final = 255
_FIELDS: Final = {
    "minute": "0-59",
    "hour": "0-23",
    "day-of-month": "1-31, L or LW",
    "month": "1-12 or JAN-DEC",
    "day-of-week": "0-7 or SUN-SAT",
}
_HOUR: Final = 1
# What cronsim does not look for itself: it fails on a step behind `#` or `L`.
_FIELD: Final = re.compile(r"(?=[^#L]*$|[^/]*$)[0-9A-Z*,/#-]+")
# Local time jumps by less where clocks are put forward or back.
_SHIFT_MAX: Final = timedelta(hours=3)
_MINUTE: Final = timedelta(minutes=1)
_SECOND: Final = timedelta(seconds=1)
# Room for the 50 years that cronsim looks ahead, and for any clock's mistake.
_YEAR_2200_MS: Final = 7_258_118_400_000
_Moments = Iterator[int]


def check(timing: Timing) -> None:
    """Raise InvalidError that names each wrong field by its word on the wire."""
    faults: dict[str, str] = {}
    if (timing.cron is None) == (timing.every_ms is None):
        faults["cron"] = "Expected one of `cron` and `every_seconds`"
    elif timing.cron is not None and (fault := _fault_of_cron(timing.cron)):
        faults["cron"] = fault
    if not _is_timezone(timing.timezone):
        faults["timezone"] = f"Expected a name such as Europe/Berlin, got {timing.timezone!r}"
    start, end = timing.starts_at_ms, timing.ends_at_ms
    for name, moment in (("starts_at", start), ("ends_at", end)):
        if moment is not None and not 0 <= moment < _YEAR_2200_MS:
            faults[name] = "Expected a moment between 1970 and 2200"
    if not faults and start is not None and end is not None and end < start:
        faults["ends_at"] = "Expected a moment after `starts_at`"
    if faults:
        raise InvalidError(faults)


def after(timing: Timing, anchor_ms: int, moment_ms: int) -> int | None:
    """Return the first moment of a timing after `moment_ms`, None if there is none."""
    if timing.starts_at_ms is not None:
        moment_ms = max(moment_ms, timing.starts_at_ms - 1)
    if timing.every_ms is not None:
        begin_ms = anchor_ms if timing.starts_at_ms is None else timing.starts_at_ms
        passed = max(-1, (moment_ms - begin_ms) // timing.every_ms)
        found: int | None = begin_ms + (passed + 1) * timing.every_ms
    else:
        cron = _Cron(timing)
        found = next((each for each in cron.forwards(moment_ms) if each > moment_ms), None)
    if found is None or (timing.ends_at_ms is not None and found > timing.ends_at_ms):
        return None
    return found


def between(timing: Timing, anchor_ms: int, first_ms: int, last_ms: int) -> _Moments:
    """Yield the moments of a timing from `last_ms` back to `first_ms`, both included."""
    if timing.starts_at_ms is not None:
        first_ms = max(first_ms, timing.starts_at_ms)
    if timing.ends_at_ms is not None:
        last_ms = min(last_ms, timing.ends_at_ms)
    if timing.every_ms is not None:
        begin_ms = anchor_ms if timing.starts_at_ms is None else timing.starts_at_ms
        newest_ms = last_ms - (last_ms - begin_ms) % timing.every_ms
        return iter(range(newest_ms, max(first_ms, begin_ms) - 1, -timing.every_ms))
    return takewhile(
        lambda each: each >= first_ms,
        (each for each in _Cron(timing).backwards(last_ms) if each <= last_ms),
    )


class _Cron:
    """A cron line in its zone; cronsim steps through local times, which become moments here."""

    def __init__(self, timing: Timing) -> None:
        assert timing.cron is not None
        self._line: Final = timing.cron
        self._zone: Final = _zone(timing.timezone)
        self._folds: Final = (0, 1) if timing.cron.split()[_HOUR] == "*" else (0,)

    def forwards(self, moment_ms: int) -> _Moments:
        """Yield moments in order, from some before `moment_ms` or the first after it."""
        begin = self._local(moment_ms)
        if self._is_near_shift(begin):
            begin -= _SHIFT_MAX  # what passed once may come again
        streams = (self._moments(begin, fold, reverse=False) for fold in self._folds)
        return _distinct(heapq.merge(*streams))

    def backwards(self, moment_ms: int) -> _Moments:
        """Yield moments from the last to the first, from some after `moment_ms` on."""
        begin = self._local(moment_ms) + _SECOND
        if self._is_near_shift(begin):
            begin += _SHIFT_MAX
        streams = (self._moments(begin, fold, reverse=True) for fold in self._folds)
        return _distinct(heapq.merge(*streams, reverse=True))

    def _local(self, moment_ms: int) -> datetime:
        """Return what a clock there shows."""
        return datetime.fromtimestamp(moment_ms // 1000, self._zone).replace(tzinfo=None)

    def _is_near_shift(self, local: datetime) -> bool:
        """Say whether clocks are put forward or back within some hours."""
        offsets = {
            each.replace(tzinfo=self._zone).utcoffset()
            for each in (local - _SHIFT_MAX, local, local + _SHIFT_MAX)
        }
        return len(offsets) > 1

    def _moments(self, begin: datetime, fold: int, *, reverse: bool) -> _Moments:
        for local in CronSim(self._line, begin, reverse=reverse):
            yield self._moment(local, fold)

    def _moment(self, local: datetime, fold: int) -> int:
        """Return the moment at which a clock shows this, or would have shown it."""
        there = local.replace(tzinfo=self._zone, fold=fold)
        while there.astimezone(UTC).astimezone(self._zone).replace(tzinfo=None) != local:
            local += _MINUTE
            there = local.replace(tzinfo=self._zone, fold=0)
        return int(there.timestamp()) * 1000


def _distinct(moments: _Moments) -> _Moments:
    before: int | None = None
    for moment in moments:
        if moment != before:
            yield moment
        before = moment


def _zone(name: str) -> zoneinfo.ZoneInfo:
    """Return a zone; raises InvalidError, also for one that went with an upgrade of the machine."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidError({"timezone": f"Expected a known zone, got {name!r}"}) from None


def _is_timezone(name: str) -> bool:
    try:
        _zone(name)
    except InvalidError:
        return False
    return True


def _fault_of_cron(line: str) -> str | None:
    """Say what is wrong with a cron line."""
    if len(line) > _CRON_CHARACTERS_MAX:
        return f"Expected `str` of length <= {_CRON_CHARACTERS_MAX}"
    parts = line.upper().split()
    if len(parts) != len(_FIELDS):
        return f"Expected 5 fields ({', '.join(_FIELDS)}), got {len(parts)}"
    for (name, expected), part in zip(_FIELDS.items(), parts, strict=True):
        # Each alone, so that all others are beyond doubt.
        alone = " ".join(part if each == name else "*" for each in _FIELDS)
        if not _FIELD.fullmatch(part) or not _is_read(alone):
            return f"Expected {name} of {expected}, got {part!r}"
    if not _is_read(line) or next(iter(CronSim(line, datetime(2026, 1, 1))), None) is None:  # noqa: DTZ001 -- local
        return f"Expected a date that comes, got {line!r}"
    return None


def _is_read(line: str) -> bool:
    try:
        CronSim(line, datetime(2026, 1, 1))  # noqa: DTZ001 -- local
    except CronSimError:
        return False
    return True
