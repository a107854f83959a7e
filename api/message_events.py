"""`/api/queue/events`: what happens to messages, told while it happens, by Server-Sent Events.

Each event's `id:` is its offset in the stream; `Last-Event-ID` brings what came after it. `metrics`
is a reading, not an event of the stream, and has no id. A reader that fell behind, or whose offset
is no longer kept, is sent `resync`: read the state over HTTP, then go on.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final

import msgspec
from falcon.asgi import Request, Response, SSEvent

from api.auth.guard import Guard
from api.live.tail import LiveEvent, Reader, StreamTail, place_of
from api.message_bodies import metrics
from api.operations import Answer, operation
from models.errors import InvalidError, UnavailableError
from models.messages.rules import Counts
from models.messages.service import MessageService
from models.redis import RedisAwayError

_METRICS_EVERY_S: Final = 5.0
# A comment at least this often keeps proxies from closing a quiet connection.
_COMMENT_EVERY_S: Final = 15.0
# How soon a stream notices that the server stops or that its client has gone.
_GLANCE_S: Final = 1.0
# What consumers said, which those who show no key do not hear.
_WORDS_OF_CONSUMERS: Final = ("error", "consumer_id")
_encode: Final = msgspec.json.Encoder().encode


class EventsResource:
    """The stream, one for each client."""

    body_bytes_max = 0

    def __init__(
        self, service: MessageService, tail: StreamTail, guard: Guard, draining: asyncio.Event
    ) -> None:
        self._tail: Final = tail
        self._guard: Final = guard
        self._draining: Final = draining
        self._readings: Final = _Readings(service)

    @operation(
        "Follow the queue",
        answers={
            200: Answer(
                description="enqueue, dequeue, ack, nack, expire, dead, metrics, resync",
                media_type="text/event-stream",
            )
        },
    )
    async def on_get(self, req: Request, resp: Response) -> None:
        """Send events as they happen; `Last-Event-ID` replays what was missed."""
        offset = req.get_header("Last-Event-ID") or None
        if offset is not None:
            try:
                place_of(offset)
            except ValueError:
                raise InvalidError({"Last-Event-ID": "Expected an id of this stream"}) from None
        resp.set_header("Cache-Control", "no-store")
        resp.set_header("X-Accel-Buffering", "no")  # nginx shall not hold events back
        stream = self._stream(offset, sees_all=self._guard.shows_key(req))
        # The first step takes a place in the stream, or refuses; only then the client is told yes.
        resp.sse = _after(await anext(stream), stream)

    async def _stream(self, offset: str | None, *, sees_all: bool) -> AsyncIterator[SSEvent]:
        async with self._tail.reader() as reader:
            yield SSEvent(comment="stream of events", retry=1_000)
            yield await self._readings.event()
            last = (0, 0, 0)
            if offset is not None:
                try:
                    if not await self._tail.is_kept(offset):
                        yield SSEvent(event="resync", data=b"{}")
                    else:
                        last = place_of(offset)
                    async for live in self._tail.replay(offset):
                        last = live.place
                        yield _sse(live, sees_all=sees_all)
                except RedisAwayError:
                    yield SSEvent(event="resync", data=b"{}")
            async for event in self._follow(reader, last, sees_all=sees_all):
                yield event

    async def _follow(
        self, reader: Reader, last: tuple[int, int, int], *, sees_all: bool
    ) -> AsyncIterator[SSEvent]:
        metrics_at_s = time.monotonic() + _METRICS_EVERY_S
        spoke_at_s = time.monotonic()
        while not self._draining.is_set():
            live = await reader.get(_GLANCE_S)
            now_s = time.monotonic()
            if live is not None:
                if live.place > last:
                    yield _sse(live, sees_all=sees_all)
                    spoke_at_s = now_s
            elif reader.has_lost:
                yield SSEvent(event="resync", data=b"{}")
                return
            if now_s >= metrics_at_s:
                yield await self._readings.event()
                metrics_at_s = spoke_at_s = now_s
                metrics_at_s += _METRICS_EVERY_S
            elif now_s - spoke_at_s >= _COMMENT_EVERY_S:
                yield SSEvent(comment="still here")
                spoke_at_s = now_s


class _Readings:
    """The counts, read once for all streams of this process."""

    def __init__(self, service: MessageService) -> None:
        self._service: Final = service
        self._event = SSEvent(comment="no reading yet")
        self._read_at_s = -_METRICS_EVERY_S

    async def event(self) -> SSEvent:
        """Return a `metrics` event that is at most _METRICS_EVERY_S old, or a comment."""
        now_s = time.monotonic()
        if now_s - self._read_at_s >= _METRICS_EVERY_S * 0.9:
            self._read_at_s = now_s
            try:
                counts: Counts = (await self._service.status()).counts
            except UnavailableError:
                self._event = SSEvent(comment="the database is away")
            else:
                self._event = SSEvent(event="metrics", data=_encode(metrics(counts)))
        return self._event


async def _after(first: SSEvent, stream: AsyncIterator[SSEvent]) -> AsyncIterator[SSEvent]:
    yield first
    async for event in stream:
        yield event


def _sse(live: LiveEvent, *, sees_all: bool) -> SSEvent:
    data = dict(live.event.data)
    if not sees_all:
        data |= {name: None for name in _WORDS_OF_CONSUMERS if name in data}
    return SSEvent(event=live.event.name, event_id=live.offset, data=_encode(data))
