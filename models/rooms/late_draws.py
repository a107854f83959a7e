"""Draws that no worker made: an API process makes them, so that no opening waits for Celery."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import structlog
from redis.asyncio import Redis

from models.database import Database
from models.errors import UnavailableError
from models.redis import RedisAwayError
from models.rooms import scripts
from models.rooms.opening import Fix, opening
from models.rooms.registry import Registry
from models.rooms.room import Room
from models.rooms.rules import RoomLostError
from models.rooms.statements import draws as statements

# Beat comes each second; who comes later than a few of its rounds does not come.
_GRACE_MS: Final = 3_000
_LOOK_EVERY_S: Final = 1.0
_log: Final = structlog.get_logger(__name__)


class LateDraws:
    """Opens rooms whose draw is overdue; any number of processes may do so, beside the task."""

    def __init__(
        self, database: Database, client: Redis, registry: Registry, *, clock: Callable[[], int]
    ) -> None:
        self._database: Final = database
        self._client: Final = client
        self._registry: Final = registry
        self._clock: Final = clock
        # Rooms that are open by their draw, by what tells one life of an id from the next.
        self._open: set[tuple[str, int]] = set()

    async def run(self) -> None:
        """Look around each second, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            rooms = self._registry.rooms
            self._open &= {(room.id, room.created_at_ms) for room in rooms.values()}
            for room in list(rooms.values()):
                if self._is_overdue(room):
                    await self._try(room)

    def _is_overdue(self, room: Room) -> bool:
        if not room.draw or room.opens_at_ms is None:
            return False
        is_late = room.opens_at_ms + _GRACE_MS <= self._clock()
        return is_late and (room.id, room.created_at_ms) not in self._open

    async def _try(self, room: Room) -> None:
        try:
            if await self._follow(room):
                self._open.add((room.id, room.created_at_ms))
        except (RoomLostError, UnavailableError, *RedisAwayError) as error:
            _log.warning("room_not_drawn", room_id=room.id, reason=str(error))

    async def _follow(self, room: Room) -> bool:
        """Run the steps of the opening as the task does; return whether the room is open."""
        steps = opening(room.id, room.secret)
        answer: Any = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                return bool(end.value)
            if isinstance(step, Fix):
                fix = partial(statements.fix, room=room, lanes=step.lanes, now_ms=self._clock())
                answer = await self._database.run(fix)
            else:
                answer = await scripts.run_async(self._client, step)
