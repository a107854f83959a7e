"""Telling whoever watches: this process's way into the streams of events, and out of them.

`Broadcaster` appends to the streams without making a request wait. `StreamTail` reads a stream for
all readers of this process together. `WakeListener` hears that another process has work to give.
Source: models/events.py for what the streams promise.
"""

import asyncio
import contextlib
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

import redis.asyncio
import structlog

from models.errors import LimitError
from models.events import Event, decode_entry, encode_entry, stream_key, wake_channel
from models.redis import RedisAwayError

log: Final = structlog.get_logger(__name__)

# How many commits' events are kept while Redis is away.
_KEPT_COMMITS_MAX: Final = 1_000
_SENT_AT_ONCE_MAX: Final = 200
_RETRY_S: Final = 0.5
# No more than one wake-up in this time goes out: a burst of commits is one piece of news.
_WAKE_PAUSE_S: Final = 0.002
_BLOCK_MS: Final = 5_000
_PLACE_TIMEOUT_S: Final = 2.0
_REPLAYED_AT_ONCE: Final = 100


class Broadcaster:
    """Appends events to the streams in the order they come; a `Publisher` for services."""

    def __init__(self, client: redis.asyncio.Redis, *, kept_max: int) -> None:
        self.is_away = False
        self.dropped = 0
        self.name: Final = secrets.token_hex(4).encode()
        self._client: Final = client
        self._kept_max: Final = kept_max
        self._commits: Final[deque[tuple[str, Sequence[Event]]]] = deque()
        self._wakes: Final[set[str]] = set()
        self._has_news: Final = asyncio.Event()

    def publish(self, domain: str, events: Sequence[Event]) -> None:
        """Take the events of one commit; the oldest are dropped when too many wait."""
        if not events:
            return
        if len(self._commits) >= _KEPT_COMMITS_MAX:
            self._commits.popleft()
            self.dropped += 1
        self._commits.append((domain, events))
        self._has_news.set()

    def wake(self, domain: str) -> None:
        """Tell the other processes that consumers of a domain may have something to take."""
        self._wakes.add(domain)
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
        wakes = list(self._wakes)
        commits = [self._commits[i] for i in range(min(len(self._commits), _SENT_AT_ONCE_MAX))]
        pipeline = self._client.pipeline(transaction=False)
        for domain in wakes:
            pipeline.publish(wake_channel(domain), self.name)
        for domain, events in commits:
            pipeline.xadd(
                stream_key(domain), encode_entry(events), maxlen=self._kept_max, approximate=True
            )
        await pipeline.execute()
        self._wakes.difference_update(wakes)
        for commit in commits:
            if self._commits and self._commits[0] is commit:
                self._commits.popleft()


class WakeListener:
    """Calls `woken` when another process says that messages arrived."""

    def __init__(
        self, client: redis.asyncio.Redis, domain: str, own_name: bytes, woken: Callable[[], None]
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
                    self._woken()
                    async for message in pubsub.listen():
                        if message["data"] != self._own_name:
                            self._woken()
            except RedisAwayError:
                self.is_listening = False
                await asyncio.sleep(_RETRY_S)


class LiveEvent:
    """An event with its offset in the stream: `<entry>.<index>`."""

    __slots__ = ("entry_id", "event", "index")

    def __init__(self, entry_id: str, index: int, event: Event) -> None:
        self.entry_id = entry_id
        self.index = index
        self.event = event

    @property
    def offset(self) -> str:
        """Return what a reader names to go on behind this event."""
        return f"{self.entry_id}.{self.index}"

    @property
    def place(self) -> tuple[int, int, int]:
        """Return the event's place in the order of the stream."""
        return place_of(self.offset)


class Reader:
    """One live client's share of a stream: a bounded buffer that never slows the others."""

    def __init__(self, buffer_max: int) -> None:
        self._buffer: Final[asyncio.Queue[LiveEvent | None]] = asyncio.Queue(buffer_max)
        self.has_lost = False

    def put(self, events: Sequence[LiveEvent]) -> None:
        """Take events; one too many and the reader has lost its place."""
        if self.has_lost:
            return
        try:
            for event in events:
                self._buffer.put_nowait(event)
        except asyncio.QueueFull:
            self.has_lost = True

    async def get(self, timeout_s: float) -> LiveEvent | None:
        """Return the next event, or None after `timeout_s` without one."""
        try:
            return await asyncio.wait_for(self._buffer.get(), timeout_s)
        except TimeoutError:
            return None


class StreamTail:
    """Reads the stream of a domain for all readers of this process."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        domain: str,
        *,
        readers_max: int,
        buffer_max: int,
    ) -> None:
        self._client: Final[Any] = client  # the library's types admit what never comes
        self._key: Final = stream_key(domain)
        self._readers: Final[set[Reader]] = set()
        self._readers_max: Final = readers_max
        self._buffer_max: Final = buffer_max
        self._has_readers: Final = asyncio.Event()
        self._has_place: Final = asyncio.Event()
        self._last_id = ""

    @property
    def reader_count(self) -> int:
        """Return how many read."""
        return len(self._readers)

    @contextlib.asynccontextmanager
    async def reader(self) -> AsyncIterator[Reader]:
        """Open a reader that gets every event from now on; raises LimitError with too many.

        With Redis away it opens too, and gets what comes once Redis is back.
        """
        if len(self._readers) >= self._readers_max:
            raise LimitError("event_readers_max", self._readers_max)
        reader = Reader(self._buffer_max)
        self._readers.add(reader)
        self._has_readers.set()
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._has_place.wait(), _PLACE_TIMEOUT_S)
            yield reader
        finally:
            self._readers.discard(reader)

    async def replay(self, offset: str) -> AsyncIterator[LiveEvent]:
        """Yield the events behind an offset that are still kept."""
        entry_id, after = offset.rpartition(".")[0], place_of(offset)
        start = entry_id
        while True:
            entries = await self._client.xrange(self._key, min=start, count=_REPLAYED_AT_ONCE)
            for event in _live_events(entries):
                if event.place > after:
                    yield event
            if len(entries) < _REPLAYED_AT_ONCE:
                return
            start = "(" + entries[-1][0].decode()

    async def is_kept(self, offset: str) -> bool:
        """Say whether nothing behind an offset was trimmed away already."""
        first = await self._client.xrange(self._key, count=1)
        return bool(first) and place_of(first[0][0].decode() + ".0") <= place_of(offset)

    async def run(self) -> None:
        """Hand events to the readers, until cancelled; reads only while somebody does."""
        while True:
            await self._has_readers.wait()
            try:
                await self._read()
            except RedisAwayError:
                await asyncio.sleep(_RETRY_S)

    async def _read(self) -> None:
        if not self._has_place.is_set():
            last = await self._client.xrevrange(self._key, count=1)
            self._last_id = last[0][0].decode() if last else "0-0"
            self._has_place.set()
        answer = await self._client.xread({self._key: self._last_id}, count=100, block=_BLOCK_MS)
        entries = _entries(answer)
        if entries:
            self._last_id = entries[-1][0].decode()
            events = _live_events(entries)
            for reader in self._readers:
                reader.put(events)
        if not self._readers:
            self._has_readers.clear()
            self._has_place.clear()


def place_of(offset: str) -> tuple[int, int, int]:
    """Return an offset `ms-seq.index` as numbers; raises ValueError if it is none."""
    entry_id, _, index = offset.rpartition(".")
    moment, _, sequence = entry_id.partition("-")
    return int(moment), int(sequence), int(index)


def _live_events(entries: Sequence[tuple[bytes, dict[bytes, bytes]]]) -> list[LiveEvent]:
    return [
        LiveEvent(entry_id.decode(), index, event)
        for entry_id, fields in entries
        for index, event in enumerate(decode_entry(fields))
    ]


def _entries(answer: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """Return the entries of an XREAD of one stream: a mapping in RESP3, pairs in RESP2."""
    if not answer:
        return []
    [entries] = answer.values() if isinstance(answer, dict) else [answer[0][1]]
    # RESP3 wraps the entries of each stream once more.
    return entries[0] if entries and isinstance(entries[0], list) else entries
