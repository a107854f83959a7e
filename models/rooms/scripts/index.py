"""Which rooms Redis holds: for whoever ticks them, also while SQL is away."""

from collections.abc import Iterable
from typing import Final

import redis
import redis.asyncio

# A key of its own slot in a cluster, so it is no script's. Plain `rooms` is taken where the broker
# is the same Redis: by the list of that task queue.
_KEY: Final = "rooms:ids"


def list_rooms(client: redis.Redis) -> list[str]:
    """Return the ids of the rooms that were enlisted, in order."""
    return _ids(client.smembers(_KEY))


async def list_rooms_async(client: redis.asyncio.Redis) -> list[str]:
    """Return the ids of the rooms that were enlisted, in order."""
    return _ids(await client.smembers(_KEY))


async def enlist(client: redis.asyncio.Redis, *room_ids: str) -> None:
    """Have rooms ticked; call it with `configure`, a repeat changes nothing."""
    if room_ids:
        await client.sadd(_KEY, *room_ids)


async def delist(client: redis.asyncio.Redis, room_id: str) -> None:
    """Have a room ticked no more; before it is forgotten."""
    await client.srem(_KEY, room_id)


def _ids(members: Iterable[bytes | str]) -> list[str]:
    return sorted(each.decode() if isinstance(each, bytes) else each for each in members)
