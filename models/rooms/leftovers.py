"""Lines that outlived their rooms in Redis: it was away, or some process had not heard of it."""

import asyncio
from functools import partial
from typing import Final

import redis.asyncio
import structlog
from sqlalchemy import Connection

from models import audit
from models.database import Database
from models.errors import UnavailableError
from models.redis import RedisAwayError
from models.rooms import scripts
from models.rooms.administration import DELETED
from models.rooms.mirror import Mirror
from models.rooms.registry import Registry
from models.rooms.statements import rooms as statements

_log: Final = structlog.get_logger(__name__)

_LOOK_EVERY_S: Final = 10.0
# The deletion is the last thing that happened to the room; a queue of messages may have its name.
_CHANGES_LOOKED_AT: Final = 20


class Leftovers:
    """Deletes from Redis what SQL no longer knows; any number of processes may do so."""

    def __init__(
        self, database: Database, client: redis.asyncio.Redis, registry: Registry, mirror: Mirror
    ) -> None:
        self._database: Final = database
        self._client: Final = client
        self._registry: Final = registry
        self._mirror: Final = mirror

    async def run(self) -> None:
        """Look now and then, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            try:
                await self.sweep()
            except (UnavailableError, *RedisAwayError) as error:
                _log.warning("rooms_not_swept", reason=str(error))

    async def sweep(self) -> list[str]:
        """Delete lines whose rooms were deleted; return their ids.

        Only what the log of changes says was deleted: with the address of another database every
        room looks as if it was gone. Raises UnavailableError, or redis.RedisError.
        """
        enlisted = await scripts.list_rooms_async(self._client)
        unknown = [each for each in enlisted if each not in self._registry.rooms]
        # Read before SQL is asked: a room that is made meanwhile is of another time and stays.
        made = await self._mirror.generations(unknown)
        swept = []
        for room_id in unknown:
            if await self._database.read(partial(_is_deleted, room_id=room_id)):
                await self._mirror.forget(room_id, created_at_ms=made[room_id][0])
                swept.append(room_id)
        return swept


def _is_deleted(connection: Connection, *, room_id: str) -> bool:
    if statements.read(connection, room_id) is not None:
        return False
    entries = audit.page(connection, target=room_id, count=_CHANGES_LOOKED_AT)
    return any(each.change.action == DELETED for each in entries)
