"""Events on their way out of this process, and wake-ups on their way in.

`Broadcaster` appends to the streams without making a request wait. `WakeListener` hears that
another process has work to give. Source: models/events.py for what the streams promise.
"""

import asyncio
import contextlib
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import redis.asyncio
import structlog

from models import clock
from models.events import (
    Arrivals,
    Event,
    decode_wake,
    encode_entry,
    encode_wake,
    stream_key,
    wake_channel,
)
from models.redis import RedisAwayError

log: Final = structlog.get_logger(__name__)

# How many commits' events are kept while Redis is away.
_KEPT_COMMITS_MAX: Final = 1_000
_SENT_AT_ONCE_MAX: Final = 200
_RETRY_S: Final = 0.5
# No more than one wake-up in this time goes out: a burst of commits is one piece of news.
_WAKE_PAUSE_S: Final = 0.002


class Broadcaster:
    """Appends events to the streams in the order they come; a `Publisher` for services."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        *,
        kept_max: int,
        now_ms: Callable[[], int] = clock.now_ms,
    ) -> None:
        self.is_away = False
        self.dropped = 0
        self._dropped_untold = 0  # since the last entry that got through
        self._now_ms: Final = now_ms
        self.name: Final = secrets.token_hex(4)
        self._client: Final = client
        self._kept_max: Final = kept_max
        self._commits: Final[deque[tuple[str, Sequence[Event], int]]] = deque()
        self._wakes: dict[str, dict[tuple[str, str | None], int] | None] = {}
        self._has_news: Final = asyncio.Event()

    def publish(self, domain: str, events: Sequence[Event]) -> None:
        """Take the events of one commit; the oldest are dropped when too many wait."""
        if not events:
            return
        if len(self._commits) >= _KEPT_COMMITS_MAX:
            self._commits.popleft()
            self.dropped += 1
            self._dropped_untold += 1
        self._commits.append((domain, events, self._now_ms()))
        self._has_news.set()

    def wake(self, domain: str, arrived: Arrivals | None) -> None:
        """Tell the other processes what arrived for consumers of a domain; None: anything."""
        counts = self._wakes.setdefault(domain, {})
        if arrived is None or counts is None:
            self._wakes[domain] = None
            self._has_news.set()
            return
        for kind, count in arrived.items():
            counts[kind] = counts.get(kind, 0) + count
        self._has_news.set()

    async def run(self) -> None:
        """Send what comes, until cancelled."""
        while True:
            await self._has_news.wait()
            self._has_news.clear()
            while self._commits or self._wakes:
                try:
                    await self._send()
                except RedisAwayError as error:
                    if not self.is_away:
                        log.warning("events_kept_back", reason=str(error))
                    self.is_away = True
                    await asyncio.sleep(_RETRY_S)
                else:
                    self.is_away = False
                    await asyncio.sleep(_WAKE_PAUSE_S)

    async def flush(self) -> None:
        """Send what is left, once; for the end of the process."""
        with contextlib.suppress(*RedisAwayError):
            while self._commits or self._wakes:
                await self._send()

    async def _send(self) -> None:
        wakes, self._wakes = self._wakes, {}  # what does not get through is found by a recheck
        commits = [self._commits[i] for i in range(min(len(self._commits), _SENT_AT_ONCE_MAX))]
        pipeline = self._client.pipeline(transaction=False)
        for domain, arrived in wakes.items():
            pipeline.publish(wake_channel(domain), encode_wake(self.name, arrived))
        dropped, untold = self._dropped_untold, self._dropped_untold
        for domain, events, at_ms in commits:
            pipeline.xadd(
                stream_key(domain),
                encode_entry(events, at_ms=at_ms, dropped=untold),
                maxlen=self._kept_max,
                approximate=True,
            )
            untold = 0
        await pipeline.execute()
        if commits:
            self._dropped_untold -= dropped
        for commit in commits:
            if self._commits and self._commits[0] is commit:
                self._commits.popleft()


class WakeListener:
    """Calls `woken` when another process says that messages arrived."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        domain: str,
        own_name: str,
        woken: Callable[[Arrivals | None], None],
    ) -> None:
        self.is_listening = False
        self._client: Final = client
        self._channel: Final = wake_channel(domain)
        self._own_name: Final = own_name
        self._woken: Final = woken

    async def run(self) -> None:
        """Listen until cancelled; what was missed while Redis was away is asked for at once."""
        while True:
            try:
                async with self._client.pubsub(ignore_subscribe_messages=True) as pubsub:
                    await pubsub.subscribe(self._channel)
                    self.is_listening = True
                    self._woken(None)
                    async for message in pubsub.listen():
                        sender, arrived = decode_wake(message["data"])
                        if sender != self._own_name:
                            self._woken(arrived)
            except RedisAwayError:
                self.is_listening = False
                await asyncio.sleep(_RETRY_S)
