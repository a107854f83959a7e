"""The rooms that clients chose, kept where every process finds them when a client comes back."""

from typing import Final

import msgspec
import redis.asyncio

from api.auth.callers import Caller
from api.live.callers import name_of
from models.redis import RedisAwayError

# A client that comes back later than this starts in the rooms that everybody starts in.
_KEPT_S: Final = 7 * 86_400
_decode: Final = msgspec.json.Decoder(frozenset[str]).decode


class ChosenRooms:
    """Remembers by connection; with Redis away it forgets, and clients choose again."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client: Final = client

    async def remember(self, pid: str, caller: Caller, rooms: frozenset[str]) -> None:
        """Keep the rooms that somebody chose on a connection."""
        try:
            await self._client.set(
                _key(pid, caller), msgspec.json.encode(sorted(rooms)), ex=_KEPT_S
            )
        except RedisAwayError:
            return

    async def recall(self, pid: str | None, caller: Caller) -> frozenset[str] | None:
        """Return the rooms chosen on a connection; None if none were, or by somebody else."""
        if pid is None:
            return None
        try:
            kept = await self._client.get(_key(pid, caller))
        except RedisAwayError:
            return None
        return None if kept is None else _decode(kept)


def _key(pid: str, caller: Caller) -> str:
    return f"live:rooms:{pid[:64]}:{name_of(caller)}"
