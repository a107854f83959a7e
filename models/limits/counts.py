"""What a limit is and what a count says; counting in this process's memory."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

from msgspec import Struct

MINUTE_MS: Final = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """So many requests in each window, for each subject: an address, a token, a key, a user."""

    name: str
    requests_max: int
    window_ms: int = MINUTE_MS


class Count(Struct, frozen=True, kw_only=True):
    """Where a subject stands; `left` is how many more requests its window allows."""

    is_allowed: bool
    left: int
    ends_at_ms: int


class LocalCounter:
    """Counts in memory, so for one process; forgets every window at its end."""

    def __init__(self, *, subjects_max: int) -> None:
        """Of more than `subjects_max` in a window of a limit the counts start anew."""
        self._subjects_max: Final = subjects_max
        self._windows: Final[dict[str, tuple[int, dict[Hashable, int]]]] = {}

    def count(self, limit: Limit, subject: Hashable, *, now_ms: int) -> Count:
        """Count one request, unless the limit is reached."""
        window = now_ms // limit.window_ms
        held = self._windows.get(limit.name)
        if held is None or held[0] != window or len(held[1]) >= self._subjects_max:
            held = self._windows[limit.name] = (window, {})
        ends_at_ms = (window + 1) * limit.window_ms
        left = limit.requests_max - held[1].get(subject, 0)
        if left <= 0:
            return Count(is_allowed=False, left=0, ends_at_ms=ends_at_ms)
        held[1][subject] = limit.requests_max - left + 1
        return Count(is_allowed=True, left=left - 1, ends_at_ms=ends_at_ms)
