"""One reading of a domain's stream of events for everybody in this process who listens.

A `Reader` is one client's bounded share of it; a `Follower` is told everything, and hands it on to
as many clients as it likes. Source: models/events.py for what the streams promise.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final, Protocol

import redis.asyncio

from models.errors import LimitError
from models.events import Event, decode_entry, stream_key
from models.redis import RedisAwayError

_RETRY_S: Final = 0.5
_BLOCK_MS: Final = 5_000
_PLACE_TIMEOUT_S: Final = 2.0
_REPLAYED_AT_ONCE: Final = 100
_READ_AT_ONCE: Final = 100

# Where an event stands in its stream: milliseconds, number within them, index in the entry.
Place = tuple[int, int, int]
START: Final[Place] = (0, 0, 0)


class LiveEvent:
    """An event with its offset in the stream: `<entry>.<index>`."""

    __slots__ = ("event", "offset", "place")

    def __init__(self, entry_id: str, index: int, event: Event) -> None:
        self.event = event
        # What a reader names to go on behind this event.
        self.offset = f"{entry_id}.{index}"
        self.place = place_of(self.offset)


class Follower(Protocol):
    """Takes every event of a stream while it follows; the next are read once it took these."""

    async def take(self, events: Sequence[LiveEvent]) -> None:
        """Take events, in the order of the stream."""

    def lose_place(self) -> None:
        """Hear that events are missing: they were no longer kept when they were due."""


class Reader:
    """One live client's share of a stream: a bounded buffer that never slows the others.

    One at a time waits for its events. There may be thousands of readers and most of them wait, so
    that a wait is a future and a timer, and no task.
    """

    def __init__(self, buffer_max: int) -> None:
        self._buffer: Final[deque[LiveEvent]] = deque()
        self._buffer_max: Final = buffer_max
        self._is_woken = False
        self._waiting: asyncio.Future[None] | None = None
        self.has_lost = False

    def put(self, events: Sequence[LiveEvent]) -> None:
        """Take the events of one commit; with too many unread the reader has lost its place."""
        if len(self._buffer) > self._buffer_max:
            self.has_lost = True
        if not self.has_lost:
            self._buffer.extend(events)
            self._end_wait()

    def wake(self) -> None:
        """Let whoever waits for an event have none, once it has had those that are here."""
        self._is_woken = True
        self._end_wait()

    async def get(self, timeout_s: float) -> LiveEvent | None:
        """Return the next event; None after `timeout_s` without one, or when woken."""
        if not self._buffer and not self._is_woken:
            loop = asyncio.get_running_loop()
            self._waiting = loop.create_future()
            alarm = loop.call_later(timeout_s, self._end_wait)
            try:
                await self._waiting
            finally:
                alarm.cancel()
                self._waiting = None
        if self._buffer:
            return self._buffer.popleft()
        self._is_woken = False
        return None

    def _end_wait(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


class StreamTail:
    """Reads the stream of a domain for all readers and followers of this process."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        domain: str,
        *,
        readers_max: int,
        buffer_max: int,
    ) -> None:
        self.offset = "0-0.0"  # of the last event that was read or found
        self._client: Final[Any] = client  # the library's types admit what never comes
        self._key: Final = stream_key(domain)
        self._readers: Final[set[Reader]] = set()
        self._followers: Final[set[Follower]] = set()
        self._readers_max: Final = readers_max
        self._buffer_max: Final = buffer_max
        self._is_wanted: Final = asyncio.Event()
        self._has_place: Final = asyncio.Event()
        self._last_id = ""

    @contextlib.asynccontextmanager
    async def reader(self) -> AsyncIterator[Reader]:
        """Open a reader that gets every event from now on; raises LimitError with too many.

        With Redis away it opens too, and gets what comes once Redis is back.
        """
        if len(self._readers) >= self._readers_max:
            raise LimitError("event_readers_max", self._readers_max)
        reader = Reader(self._buffer_max)
        self._readers.add(reader)
        try:
            await self._wait_for_place()
            yield reader
        finally:
            self._readers.discard(reader)

    def wake_readers(self) -> None:
        """Let every reader look around: the server stops."""
        for reader in self._readers:
            reader.wake()

    async def follow(self, follower: Follower) -> None:
        """Let a follower have every event from now on; a repeat changes nothing.

        With Redis away it gets what comes once Redis is back.
        """
        self._followers.add(follower)
        await self._wait_for_place()

    def leave(self, follower: Follower) -> None:
        """Let a follower have no more."""
        self._followers.discard(follower)

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
        """Say whether an offset lies in the stream, and nothing behind it was trimmed away."""
        first = await self._client.xrange(self._key, count=1)
        last = await self._client.xrevrange(self._key, count=1)
        if not first or not last:
            return False
        moment, sequence, _ = place_of(offset)
        return _entry_place(first) <= (moment, sequence) <= _entry_place(last)

    async def run(self) -> None:
        """Hand events on, until cancelled; reads only while somebody listens."""
        while True:
            await self._is_wanted.wait()
            try:
                await self._read()
            except RedisAwayError:
                await asyncio.sleep(_RETRY_S)

    async def _wait_for_place(self) -> None:
        self._is_wanted.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._has_place.wait(), _PLACE_TIMEOUT_S)

    async def _read(self) -> None:
        if not self._has_place.is_set():
            await self._find_place()
        answer = await self._client.xread(
            {self._key: self._last_id}, count=_READ_AT_ONCE, block=_BLOCK_MS
        )
        if entries := _entries(answer):
            is_behind = len(entries) == _READ_AT_ONCE
            if is_behind and self._last_id != "0-0" and not await self.is_kept(self.offset):
                self._lose_place()
            self._last_id = entries[-1][0].decode()
            for entry in entries:
                await self._hand_on(_live_events([entry]))
                await asyncio.sleep(0)  # a reader that keeps up shall not be drowned by a crowd
        if not self._readers and not self._followers:
            self._is_wanted.clear()
            self._has_place.clear()

    async def _find_place(self) -> None:
        last = await self._client.xrevrange(self._key, count=1)
        self._last_id = last[0][0].decode() if last else "0-0"
        events = _live_events(last)
        self.offset = events[-1].offset if events else "0-0.0"
        self._has_place.set()

    async def _hand_on(self, events: Sequence[LiveEvent]) -> None:
        if not events:
            return
        self.offset = events[-1].offset
        for reader in self._readers:
            reader.put(events)
        for follower in tuple(self._followers):
            await follower.take(events)

    def _lose_place(self) -> None:
        for reader in self._readers:
            reader.has_lost = True
        for follower in self._followers:
            follower.lose_place()


def place_of(offset: str) -> Place:
    """Return an offset `ms-seq.index` as numbers; raises ValueError if it is none."""
    entry_id, _, index = offset.rpartition(".")
    moment, _, sequence = entry_id.partition("-")
    return int(moment), int(sequence), int(index)


def _entry_place(entries: Sequence[tuple[bytes, Any]]) -> tuple[int, int]:
    moment, sequence, _ = place_of(entries[0][0].decode() + ".0")
    return moment, sequence


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
