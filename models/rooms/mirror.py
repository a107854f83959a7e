"""Rooms as SQL knows them, copied to Redis, where the scripts find what they must know.

Beside its settings the hash of a room holds the generation they are of. So a store that was
emptied, or that was away while a room changed, is noticed and told again.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import redis.asyncio
import structlog

from models.redis import RedisAwayError
from models.rooms import scripts
from models.rooms.room import Room, line_of

_log: Final = structlog.get_logger(__name__)

_FIELD: Final = "settings_of"
_CHECK_EVERY_S: Final = 2.0
# Fields read in one trip; Redis does nothing else meanwhile.
_ROOMS_AT_ONCE: Final = 500


class Mirror:
    """Copies rooms to one Redis; with Redis away it tries again until the copy is right."""

    def __init__(
        self, client: redis.asyncio.Redis, rooms: Callable[[], Mapping[str, Room]]
    ) -> None:
        """`rooms` says which rooms there are, as far as this process knows."""
        self._client: Final = client
        self._rooms: Final = rooms
        self._is_away = False

    async def write(self, room: Room, *, is_new: bool = False) -> bool:
        """Copy one room; False when Redis is away, and the copy is made later.

        `is_new` for one that was made this moment: Redis cannot have lost it.
        """
        try:
            await self._write(room, is_new=is_new)
        except RedisAwayError as error:
            _log.warning("room_not_copied", room_id=room.id, reason=str(error))
            return False
        return True

    async def forget(self, room_id: str, *, created_at_ms: int) -> bool:
        """Delete a room that is not in SQL any more; False when Redis is away.

        It is `models.rooms.leftovers` then that deletes it later.
        """
        try:
            await self._forget(room_id, created_at_ms)
        except RedisAwayError as error:
            _log.warning("room_not_forgotten", room_id=room_id, reason=str(error))
            return False
        return True

    async def check(self) -> int:
        """Copy what Redis does not have, or has of older settings; return how many rooms that was.

        Raises redis.RedisError.
        """
        rooms = self._rooms()
        copied = await self.generations(rooms)
        behind = [room for room in rooms.values() if copied[room.id] < room.generation]
        for room in behind:
            await self._write(room, copied[room.id])
        # A store that was restarted may have lost who is on the list and kept the rooms.
        await scripts.enlist(self._client, *rooms)
        return len(behind)

    async def run(self) -> None:
        """Keep the copy right, until cancelled."""
        while True:
            try:
                if copied := await self.check():
                    _log.info("rooms_copied", count=copied)
                self._is_away = False
            except RedisAwayError as error:
                if not self._is_away:
                    _log.warning("rooms_not_copied", reason=str(error))
                self._is_away = True
            await asyncio.sleep(_CHECK_EVERY_S)

    async def _write(
        self, room: Room, was: tuple[int, int] | None = None, *, is_new: bool = False
    ) -> None:
        if was is None:
            was = (await self.generations([room.id]))[room.id]
        if was > room.generation:
            return  # another process knows more
        if was[0] != room.created_at_ms:
            # One that was deleted, and made again; maybe its deletion is under way.
            await self._forget(room.id, was[0])
        configure = scripts.configure(room.id, line_of(room), is_new=is_new)
        await scripts.run_async(self._client, configure)
        generation = "{}:{}".format(*room.generation)
        await self._client.hset(scripts.room_key(room.id), _FIELD, generation)
        await scripts.enlist(self._client, room.id)

    async def _forget(self, room_id: str, created_at_ms: int) -> None:
        await scripts.delist(self._client, room_id)
        forget = scripts.forget(room_id, created_at_ms=created_at_ms)
        while await scripts.run_async(self._client, forget):
            pass

    async def generations(self, room_ids: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Return of which generation the settings in Redis are; (0, 0): there are none."""
        ids = list(room_ids)
        found: dict[str, tuple[int, int]] = {}
        for start in range(0, len(ids), _ROOMS_AT_ONCE):
            some = ids[start : start + _ROOMS_AT_ONCE]
            async with self._client.pipeline(transaction=False) as pipeline:
                for room_id in some:
                    pipeline.hget(scripts.room_key(room_id), _FIELD)
                answers = await pipeline.execute()
            found |= dict(zip(some, map(_generation, answers), strict=True))
        return found


def _generation(value: bytes | None) -> tuple[int, int]:
    if value is None:
        return 0, 0
    created_at_ms, _, version = value.partition(b":")
    return int(created_at_ms), int(version)
