"""Server-Sent Events: a stream that an `EventSource` or `curl -N` follows.

Each event's `id:` is its offset; `Last-Event-ID` brings what came after it. A reading of the state
is no event of the stream and has no id. A reader that fell behind, or whose offset is no longer
kept, is sent `resync`: read the state over HTTP, then go on.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

from falcon.asgi import SSEvent

from api.live.packets import encode_json
from api.live.tail import START, LiveEvent, Place, Reader, StreamTail, place_of
from models.events import Event
from models.redis import RedisAwayError

# A comment at least this often keeps proxies from closing a quiet connection.
_COMMENT_EVERY_S: Final = 15.0
_RETRY_MS: Final = 1_000

# What one reader is told with each reading, besides it.
Beside = Callable[[], Awaitable[Sequence[Event]]]
# What a reader gets to see of an event. There are few views, each a function of its own.
View = Callable[[Event], Event]


class _Part(SSEvent):
    """An event, or a comment, as it goes over the wire: made once, and sent to many."""

    def __init__(self, part: SSEvent) -> None:
        self._bytes: Final = part.serialize()

    def serialize(self, _handler: object = None) -> bytes:
        return self._bytes


_HELLO: Final = _Part(SSEvent(comment="stream of events", retry=_RETRY_MS))
_STILL_HERE: Final = _Part(SSEvent(comment="still here"))
_AWAY: Final = _Part(SSEvent(comment="the database is away"))
_RESYNC: Final = _Part(SSEvent(event="resync", data=b"{}"))


class EventStreams:
    """Makes streams of one domain: `view` is what a reader gets to see of an event."""

    def __init__(
        self,
        tail: StreamTail,
        draining: asyncio.Event,
        *,
        reading: Callable[[], Awaitable[Event | None]],
        reading_every_s: float,
        recheck_s: float,
    ) -> None:
        """`reading` is told first and each `reading_every_s`; rights are asked each `recheck_s`."""
        self._tail: Final = tail
        self._draining: Final = draining
        self._reading: Final = reading
        self._reading_every_s: Final = reading_every_s
        self._recheck_s: Final = recheck_s
        self._read_part: tuple[Event, _Part] | None = None  # the last reading
        # The last event as each view shows it: readers come to it one after the other.
        self._seen_parts: Final[dict[View, tuple[LiveEvent, _Part]]] = {}

    async def open(
        self,
        offset: str | None,
        view: View,
        may: Callable[[], Awaitable[bool]],
        beside: Beside | None = None,
    ) -> AsyncIterator[SSEvent]:
        """Take a place in the stream and return what to send; raises LimitError if none is left.

        The stream ends once the client may no longer have this view.
        """
        stream = self._stream(offset, view, may, beside)
        # The first step takes the place, or refuses; only then the client is told yes.
        return _after(await anext(stream), stream)

    async def _stream(
        self,
        offset: str | None,
        view: View,
        may: Callable[[], Awaitable[bool]],
        beside: Beside | None,
    ) -> AsyncIterator[SSEvent]:
        async with self._tail.reader() as reader:
            yield _HELLO
            for part in await self._readings(beside):
                yield part
            last = START
            if offset is not None:
                try:
                    if await self._tail.is_kept(offset):
                        last = place_of(offset)
                    else:
                        yield _RESYNC
                    async for live in self._tail.replay(offset):
                        last = live.place
                        yield self._seen(live, view)
                except RedisAwayError:
                    yield _RESYNC
            async for event in self._follow(reader, last, view, may, beside):
                yield event

    async def _follow(
        self,
        reader: Reader,
        last: Place,
        view: View,
        may: Callable[[], Awaitable[bool]],
        beside: Beside | None,
    ) -> AsyncIterator[SSEvent]:
        now_s = spoke_at_s = time.monotonic()
        read_at_s = spoke_at_s + self._reading_every_s
        right = _Right(may, spoke_at_s, self._recheck_s)
        while not self._draining.is_set() and await right.lasts(now_s):
            due_at_s = min(read_at_s, right.asked_at_s, spoke_at_s + _COMMENT_EVERY_S)
            live = await reader.get(max(0.0, due_at_s - now_s))
            now_s = time.monotonic()
            if live is not None:
                if live.place > last:
                    yield self._seen(live, view)
                    spoke_at_s = now_s
            elif reader.has_lost:
                yield _RESYNC
                return
            if now_s >= read_at_s:
                for part in await self._readings(beside):
                    yield part
                spoke_at_s, read_at_s = now_s, now_s + self._reading_every_s
            elif now_s - spoke_at_s >= _COMMENT_EVERY_S:
                yield _STILL_HERE
                spoke_at_s = now_s

    async def _readings(self, beside: Beside | None) -> list[_Part]:
        first = await self._read()
        return [first, *([] if beside is None else map(_part_of, await beside()))]

    async def _read(self) -> _Part:
        event = await self._reading()
        if event is None:
            return _AWAY
        if self._read_part is None or self._read_part[0] is not event:
            self._read_part = (event, _part_of(event))
        return self._read_part[1]

    def _seen(self, live: LiveEvent, view: View) -> _Part:
        last = self._seen_parts.get(view)
        if last is None or last[0] is not live:
            seen = view(live.event)
            data = encode_json(seen.data)
            last = (live, _Part(SSEvent(event=seen.name, event_id=live.offset, data=data)))
            self._seen_parts[view] = last
        return last[1]


def _part_of(event: Event) -> _Part:
    return _Part(SSEvent(event=event.name, data=encode_json(event.data)))


class _Right:
    """The right to a view, asked for now and then."""

    def __init__(self, may: Callable[[], Awaitable[bool]], now_s: float, every_s: float) -> None:
        self._may: Final = may
        self._every_s: Final = every_s
        self.asked_at_s = now_s + every_s

    async def lasts(self, now_s: float) -> bool:
        """Say whether the client may go on, as far as it is time to ask."""
        if now_s < self.asked_at_s:
            return True
        self.asked_at_s = now_s + self._every_s
        return await self._may()


async def _after(first: SSEvent, stream: AsyncIterator[SSEvent]) -> AsyncIterator[SSEvent]:
    yield first
    async for event in stream:
        yield event
