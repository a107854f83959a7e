"""When to look for what time alone changes; no I/O, no clock."""

from typing import Final

from models.messages.rules import LEASE_MIN_MS

# Looks for lapsed leases rest longer once two in a row took more than this.
LOOK_BURDEN_MS: Final = 100.0
LOOK_REST_FACTOR: Final = 20
LOOK_REST_MAX_MS: Final = 5_000


class LapseWatch:
    """Knows when it is worth looking for lapsed leases, so that a look is rare and never late.

    After a look at `now` with the earliest end `first_end_ms` found, nothing can lapse before
    that end, except a lease that another process gave since, which lasts LEASE_MIN_MS at least.
    Where looks became a burden, through the rows that an open transaction keeps from going away,
    they are apart LOOK_REST_FACTOR times as long as they take, at most LOOK_REST_MAX_MS.
    """

    def __init__(self) -> None:
        self._next_look_at_ms = 0
        self._spent_ms = (0.0, 0.0)  # of the last two: one alone may be slow for any reason

    def is_due(self, now_ms: int) -> bool:
        """Say whether a lease may have lapsed by now."""
        # A clock that was set back must not blind the watch for long.
        longest_ms = max(2 * LEASE_MIN_MS, LOOK_REST_MAX_MS)
        return now_ms >= self._next_look_at_ms or now_ms < self._next_look_at_ms - longest_ms

    def looked(self, now_ms: int, first_end_ms: int | None, *, spent_ms: float = 0.0) -> None:
        """Note a look at `now_ms` that left `first_end_ms` as the earliest end, if any."""
        latest = now_ms + LEASE_MIN_MS
        self._next_look_at_ms = latest if first_end_ms is None else min(first_end_ms, latest)
        self._spent_ms = (self._spent_ms[1], spent_ms)
        if (burden_ms := min(self._spent_ms)) > LOOK_BURDEN_MS:
            rest_ms = int(min(burden_ms * LOOK_REST_FACTOR, LOOK_REST_MAX_MS))
            self._next_look_at_ms = max(self._next_look_at_ms, now_ms + rest_ms)
