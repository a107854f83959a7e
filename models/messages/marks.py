"""Where to begin looking for messages: past the dead rows of those that were taken before.

PostgreSQL keeps the row of a message that was taken until nobody may look back before that, and an
index leads through all of them. While a transaction stays open elsewhere, a dump for one, the way
to the first message gets longer with every message taken. So a process remembers, for each line
and lane, an id up to which nothing was left, and looks behind it.

That is a guess: a message may come back to its old place, or be committed late. What this process
puts back lowers the mark at once. The rest is found by a look from the start, which is every look
as long as it is cheap, and no later than LOOK_EVERY_MAX_MS after the last one else. Source: ADR
0007.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from models.messages.rules import PRIORITY_MAX

# Whatever is stored has been committed this long after it got its id, but for stragglers.
LAG_MS: Final = 200
LOOK_EVERY_MAX_MS: Final = 5_000
# A look from the start is repeated after so many times what the last ones took; sooner once a look
# came short; at once, if that is no burden, when somebody says that something may be there.
_REST_FACTOR: Final = 20
_SHORT_REST_FACTOR: Final = 5
_BURDEN_MS: Final = 10.0
# What a claim takes when nothing is in its way, with some air: above, dead rows are.
_CHEAP_MS: Final = 1.0
_CHEAP_MS_PER_ROW: Final = 0.015
_LANES: Final = PRIORITY_MAX + 1
# With more lines than that all marks are forgotten, which costs one long look each.
_LINES_MAX: Final = 1_000

Key = tuple[str, str | None]  # queue and type, as consumers ask for them


@dataclass(frozen=True, slots=True)
class Start:
    """Where a look begins in each lane: behind this id."""

    after: tuple[int, ...]

    @property
    def skips(self) -> bool:
        """Say whether it begins behind something."""
        return any(self.after)

    def lowered(self, message_id: int) -> "Start":
        """Return a start that leaves a message out in no lane."""
        return Start(tuple(min(mark, message_id - 1) for mark in self.after))


FROM_THE_START: Final = Start((0,) * _LANES)


@dataclass(frozen=True, slots=True)
class Look:
    """What a look brought: `ends` has the first and the last id taken, by lane."""

    key: Key
    start: Start
    ends: Mapping[int, tuple[int, int]]
    asked_count: int
    is_short: bool  # it came to the end of every lane
    newest_id: int  # of any message, as of the look; 0 when nobody asked
    spent_ms: float


def is_cheap(spent_ms: float, asked_count: int) -> bool:
    """Say whether a look met few dead rows."""
    return spent_ms <= _CHEAP_MS + _CHEAP_MS_PER_ROW * asked_count


class _Line:
    """The marks of one line, by lane."""

    def __init__(self) -> None:
        self.after = [0] * _LANES
        # The next mark and since when: it holds once a later look finds nothing before it.
        self.candidates = [0] * _LANES
        self.since_ms = [0] * _LANES
        # Of the last two looks from the start: one alone may be slow for any reason.
        self.spent_ms = (0.0, 0.0)
        self.rest_factor = _REST_FACTOR
        self.looked_at_ms = 0

    def next_full_at_ms(self) -> int:
        """Return when a look from the start can be afforded."""
        rest_ms = min(self.spent_ms) * self.rest_factor
        return self.looked_at_ms + int(min(rest_ms, LOOK_EVERY_MAX_MS))

    def hurry(self) -> None:
        """Look from the start soon."""
        is_burden = min(self.spent_ms) > _BURDEN_MS
        self.rest_factor = min(self.rest_factor, _SHORT_REST_FACTOR if is_burden else 0)

    def note_full(self, spent_ms: float, *, now_ms: int) -> None:
        """Note what a look from the start took."""
        self.spent_ms = (self.spent_ms[1], spent_ms)
        self.rest_factor, self.looked_at_ms = _REST_FACTOR, now_ms

    def note_lane(
        self, lane: int, first: int | None, last: int, *, began_ms: int, now_ms: int
    ) -> None:
        """Note a look through a lane to `last` that found `first` at the front, if anything."""
        if first is not None and first <= self.after[lane]:  # put back, or committed late
            self.after[lane] = first - 1
            self.candidates[lane], self.since_ms[lane] = last, now_ms
        elif not self.candidates[lane]:
            self.candidates[lane], self.since_ms[lane] = last, now_ms
        elif began_ms - self.since_ms[lane] >= LAG_MS:
            if first is None or first > self.candidates[lane]:
                self.after[lane] = self.candidates[lane]
                self.candidates[lane] = max(last, self.after[lane])
            self.since_ms[lane] = now_ms

    def lower(self, message_id: int) -> None:
        """Let every look find a message that waits again."""
        for marks in (self.after, self.candidates):
            for lane, mark in enumerate(marks):
                marks[lane] = min(mark, message_id - 1)


class Marks:
    """The marks of all lines of a process; for one thread, one look at a time for each line."""

    def __init__(self) -> None:
        self._lines: Final[dict[Key, _Line]] = {}

    def start(self, key: Key, *, now_ms: int) -> Start:
        """Say where the next look at a line shall begin."""
        line = self._lines.get(key)
        if line is None or now_ms >= line.next_full_at_ms() or now_ms < line.looked_at_ms:
            return FROM_THE_START
        return Start(tuple(line.after))

    def note(self, look: Look, *, began_ms: int, now_ms: int) -> int | None:
        """Note a look; return when another may find what this one left out, if it may."""
        if look.key not in self._lines and len(self._lines) >= _LINES_MAX:
            self._lines.clear()
        line = self._lines.setdefault(look.key, _Line())
        last_lane = _LANES - 1 if look.is_short else max(look.ends)
        for lane in range(last_lane + 1):
            first, last = look.ends.get(lane, (None, look.newest_id))
            line.note_lane(lane, first, last, began_ms=began_ms, now_ms=now_ms)
        if not look.start.skips:
            cheap = is_cheap(look.spent_ms, look.asked_count)
            line.note_full(0.0 if cheap else look.spent_ms, now_ms=now_ms)
            return None
        if not look.is_short:
            return None
        line.rest_factor = min(line.rest_factor, _SHORT_REST_FACTOR)
        return line.next_full_at_ms()

    def lower(self, message_ids: Sequence[int], *, queue: str | None = None) -> None:
        """Note messages that wait again at their old places, in `queue` or anywhere."""
        if message_ids:
            first = min(message_ids)
            for key, line in self._lines.items():
                if queue is None or key[0] == queue:
                    line.lower(first)

    def hurry(self) -> None:
        """Note that messages may be back at their old places: look from the start soon."""
        for line in self._lines.values():
            line.hurry()
