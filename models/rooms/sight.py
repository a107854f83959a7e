"""What this process sees of the lines: copies of them, how fresh they are, and what follows."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from typing import Final

from models.errors import UnavailableError
from models.rooms.draw import is_undrawn
from models.rooms.estimates import Estimate
from models.rooms.line_copy import LineCopy
from models.rooms.outlooks import Outlooks
from models.rooms.replica import Replica
from models.rooms.room import FailMode, Room
from models.rooms.rules import LineState, Place, RoomLostError

# A copy that was not refreshed for so long says nothing any more: the store is away.
_STALE_S: Final = 3.0
_PATIENCE_S: Final = 2.0
# After a few changes of its own a process looks again before it answers, so that a visitor sees
# what another one just did here; in a crowd a fifth of a second makes no difference to anybody.
_CHANGES_SEEN_MAX: Final = 8


class Sight:
    """The lines of all rooms as of a fifth of a second ago, or of this process's last change."""

    def __init__(
        self,
        replica: Replica,
        outlooks: Outlooks,
        repair: Callable[[str], Awaitable[bool]],
        *,
        clock: Callable[[], int],
    ) -> None:
        """`repair` sets a room up again that the store has lost, and says whether it did."""
        self._replica: Final = replica
        self._outlooks: Final = outlooks
        self._repair: Final = repair
        self._clock: Final = clock
        self._changes: Final[Counter[str]] = Counter()
        self._fresh_at_s = time.monotonic()
        replica.watch(self._note_refreshed)

    def glance(self, room_id: str) -> LineCopy | None:
        """Return the copy of a room if it can be believed as it is, without waiting."""
        if room_id in self._changes or time.monotonic() - self._fresh_at_s > _STALE_S:
            return None
        return self._replica.known(room_id)

    async def look(self, room: Room) -> LineCopy | None:
        """Return a copy that can be believed, asking the store if need be.

        While the store is away: what was last known where the room holds, None where it lets
        everybody in, else UnavailableError is raised.
        """
        changes = self._changes.pop(room.id, 0)
        if changes > _CHANGES_SEEN_MAX and (copy := self.glance(room.id)):
            return copy
        try:
            return await self._refresh(room.id)
        except UnavailableError:
            if is_open(room, now_ms=self._clock()):
                return None
            held = self._replica.known(room.id)
            if room.fail_mode is FailMode.HOLD and held is not None:
                return held
            raise

    async def begin(self, room: Room) -> None:
        """Keep a copy of a room from its first visitor on, if there is none; never raises."""
        if self._replica.known(room.id) is None:
            with contextlib.suppress(UnavailableError):
                await self.look(room)

    def known_line(self, room_id: str) -> LineState | None:
        """Return the line of a room as last seen, however long ago."""
        copy = self._replica.known(room_id)
        return None if copy is None else copy.line

    def drawn(self, room: Room) -> bool | None:
        """Say whether the places of a room were drawn; None for one that does not draw."""
        if not room.draw:
            return None
        line = self.known_line(room.id)
        return line is not None and not is_undrawn(line)

    def place_of(self, _room: Room, place: Place) -> Place:
        """Return where in the line the lane and number of a token are."""
        return place

    def estimate(
        self, room: Room, line: LineState | None, place: Place, position: int
    ) -> Estimate | None:
        """Return how long a visitor waits, None if that cannot be said."""
        return None if line is None else self._outlooks.of(room, line, place, position)

    def note_change(self, room_id: str, count: int = 1) -> None:
        """Note that this process changed a line, so that its copy is behind."""
        self._changes[room_id] += count

    async def _refresh(self, room_id: str) -> LineCopy:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                try:
                    return await self._replica.refresh(room_id)
                except RoomLostError:
                    if not await self._repair(room_id):
                        raise
                return await self._replica.refresh(room_id)
        except TimeoutError:
            raise UnavailableError("redis", "no answer in time") from None

    def _note_refreshed(self, room_ids: Collection[str]) -> None:
        self._fresh_at_s = time.monotonic()
        # The refresh may have begun before the change: what is behind shows at the next one.
        for room_id in room_ids:
            if self._changes.get(room_id, 0) > _CHANGES_SEEN_MAX:
                del self._changes[room_id]


def is_open(room: Room, *, now_ms: int) -> bool:
    """Say whether a room lets everybody in while the store is away."""
    return room.fail_mode is FailMode.OPEN and now_ms < (room.fail_open_until_ms or 0)
