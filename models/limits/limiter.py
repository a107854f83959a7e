"""How often somebody may ask: counted by all processes together, or by each while Redis is away."""

import asyncio
from collections.abc import Callable, Hashable
from typing import Final

import redis.asyncio
import structlog

from models.limits.counts import Count, Limit, LocalCounter
from models.limits.scripts import count_requests
from models.redis import RedisAwayError

_log: Final = structlog.get_logger(__name__)

# A request does not wait longer for a count; then memory counts, and Redis is left alone a while.
_PATIENCE_S: Final = 0.5
_LEFT_ALONE_MS: Final = 2_000
_REFUSED_MAX: Final = 100_000


class Limiter:
    """Counts requests; those that come within one pass of the loop share a round trip."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        *,
        clock: Callable[[], int],
        subjects_max: int,
    ) -> None:
        self._client: Final = client
        self._clock: Final = clock
        self._local: Final = LocalCounter(subjects_max=subjects_max)
        self._waiting: list[tuple[Limit, str, asyncio.Future[Count]]] = []
        self._sender: asyncio.Task[None] | None = None
        self._away_until_ms = 0
        # Who is refused until when: those need not ask again, and a flood costs Redis nothing.
        self._refused: Final[dict[tuple[str, str], int]] = {}

    def count_here(self, limit: Limit, subject: Hashable) -> Count:
        """Count one request in this process alone."""
        return self._local.count(limit, subject, now_ms=self._clock())

    async def count(self, limit: Limit, subject: str) -> Count:
        """Count one request in all processes together, unless the limit is reached; never raises.

        While Redis is away each process counts for itself.
        """
        now_ms = self._clock()
        refused_until_ms = self._refused.get((limit.name, subject), 0)
        if refused_until_ms > now_ms:
            return Count(is_allowed=False, left=0, ends_at_ms=refused_until_ms)
        if now_ms < self._away_until_ms:
            return self.count_here(limit, subject)
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((limit, subject, future))
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send())
        count: Count = await future
        if not count.is_allowed:
            self._remember(limit, subject, count.ends_at_ms, now_ms)
        return count

    async def _send(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            counts = await self._ask([(limit, subject) for limit, subject, _ in batch])
            for (_, _, future), count in zip(batch, counts, strict=True):
                if not future.done():  # its request may have been given up
                    future.set_result(count)

    async def _ask(self, requests: list[tuple[Limit, str]]) -> list[Count]:
        if self._clock() >= self._away_until_ms:
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    counts = await count_requests(self._client, requests)
            except (*RedisAwayError, TimeoutError) as error:
                self._note_away(str(error) or type(error).__name__)
            else:
                self._away_until_ms = 0
                return counts
        return [self.count_here(limit, subject) for limit, subject in requests]

    def _note_away(self, reason: str) -> None:
        if not self._away_until_ms:  # else it is known
            _log.warning("limits_counted_here", reason=reason)
        self._away_until_ms = self._clock() + _LEFT_ALONE_MS

    def _remember(self, limit: Limit, subject: str, until_ms: int, now_ms: int) -> None:
        if len(self._refused) >= _REFUSED_MAX:
            over = [key for key, until in self._refused.items() if until <= now_ms]
            for key in over or list(self._refused):
                del self._refused[key]
        self._refused[limit.name, subject] = until_ms
