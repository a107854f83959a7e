"""What happens to messages, told while it happens: `/api/queue/events` and the channel `/messages`.

The stream of Server-Sent Events is the contract's: open to everybody, who without a key gets no
words of consumers. The channel needs a key wherever one exists, and knows a room for each type.
"""

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec
from falcon.asgi import Request, Response
from msgspec import Meta, Struct

from api.auth.callers import Caller
from api.auth.guard import Guard
from api.auth.table import MESSAGES_SOCKET
from api.live.channel import Admission, Channel, Reply
from api.live.channel import Request as Asked
from api.live.sse import EventStreams
from api.live.tail import StreamTail, place_of
from api.messages.bodies import metrics
from api.openapi.operations import Answer, operation
from models.errors import InvalidError, UnavailableError
from models.events import Event
from models.messages import facts
from models.messages.service import MessageService

_METRICS_EVERY_S: Final = 5.0
# A reading serves all who are due within this time of it.
_FRESH_S: Final = 4.5
# What consumers said, which those who show no key do not hear.
_WORDS_OF_CONSUMERS: Final = ("error", "consumer_id")
_EVERYTHING: Final = "everything"
_UNTYPED: Final = "untyped"
_TYPES_MAX: Final = 100
_TYPE_LENGTH_MAX: Final = 255


# Returns what a caller may know of the house as a whole, besides its messages.
House = Callable[[Request], Awaitable[Sequence[Event]]]


class EventsQuery(Struct, frozen=True):
    """What comes beside the messages."""

    house: Annotated[bool, Meta(description="`health` and `now` with each `metrics`")] = False


class Readings:
    """The counts of the queue, read once for all who listen to this process."""

    def __init__(self, service: MessageService) -> None:
        self._service: Final = service
        self._reading: Final = asyncio.Lock()
        self._event: Event | None = None
        self._read_at_s = -_METRICS_EVERY_S

    async def event(self) -> Event | None:
        """Return `metrics`, at most _METRICS_EVERY_S old; None while the database is away."""
        if time.monotonic() - self._read_at_s < _FRESH_S and not self._reading.locked():
            return self._event
        async with self._reading:
            now_s = time.monotonic()
            if now_s - self._read_at_s >= _FRESH_S:
                self._read_at_s = now_s
                try:
                    counts = (await self._service.status()).counts
                except UnavailableError:
                    self._event = None
                else:
                    self._event = Event("metrics", msgspec.to_builtins(metrics(counts)))
            return self._event


class EventsResource:
    """The stream of Server-Sent Events, one for each client."""

    body_bytes_max = 0

    def __init__(
        self,
        readings: Readings,
        tail: StreamTail,
        guard: Guard,
        draining: asyncio.Event,
        *,
        house: House,
        recheck_s: float,
    ) -> None:
        self._guard: Final = guard
        self._house: Final = house
        self._streams: Final = EventStreams(
            tail,
            draining,
            reading=readings.event,
            reading_every_s=_METRICS_EVERY_S,
            recheck_s=recheck_s,
        )

    @operation(
        "Follow the queue",
        query=EventsQuery,
        answers={
            200: Answer(
                description=(
                    "enqueue, dequeue, ack, nack, expire, dead, edit, delete, move, redrive,"
                    " metrics, resync; with `house` health and now too"
                ),
                media_type="text/event-stream",
            )
        },
    )
    async def on_get(self, req: Request, resp: Response, *, query: EventsQuery) -> None:
        """Send events as they happen; `Last-Event-ID` replays what was missed."""
        offset = req.get_header("Last-Event-ID") or None
        if offset is not None:
            try:
                place_of(offset)
            except ValueError:
                raise InvalidError({"Last-Event-ID": "Expected an id of this stream"}) from None
        resp.set_header("Cache-Control", "no-store")
        resp.set_header("X-Accel-Buffering", "no")  # nginx shall not hold events back
        house = functools.partial(self._house, req) if query.house else None
        if await self._guard.sees_everything(req):
            may = functools.partial(self._guard.sees_everything, req)
            resp.sse = await self._streams.open(offset, _whole, may, house)
        else:
            resp.sse = await self._streams.open(offset, _without_words, _everybody_may, house)


def channel(readings: Readings) -> Channel:
    """Return the live channel of messages, for Socket.IO and WebSockets."""

    async def initial(_admission: Admission) -> Sequence[Event]:
        event = await readings.event()
        if event is None:
            raise UnavailableError("database", "there is no initial state")
        return [event]

    async def state(_room: str) -> Event | None:
        return await readings.event()

    return Channel(
        domain=facts.DOMAIN,
        at=MESSAGES_SOCKET,
        admit=_admit,
        rejoin=_rejoin,
        initial=initial,
        rooms_of=_rooms_of,
        state=state,
        state_every_s=_METRICS_EVERY_S,
        handlers={"subscribe": _subscribe, "unsubscribe": _unsubscribe},
    )


async def _admit(_caller: Caller, asked: Mapping[str, Any]) -> Admission:
    return Admission(rooms=_rooms(asked.get("types")))


async def _rejoin(_caller: Caller, _admission: Admission, chosen: frozenset[str]) -> frozenset[str]:
    return chosen  # whoever may watch at all may follow each type


async def _subscribe(asked: Asked) -> Reply:
    """Follow these types instead of what was followed before; events without a type come too."""
    types = asked.data.get("types") if isinstance(asked.data, dict) else None
    return Reply("subscribed", {"types": _types(types)}, rooms=_rooms(types))


async def _unsubscribe(_asked: Asked) -> Reply:
    """Follow everything again."""
    return Reply("unsubscribed", {"types": []}, rooms=_rooms(None))


def _rooms_of(event: Event) -> Sequence[str]:
    kind = event.data.get("type")
    # Only `enqueue` names a type; what else happens to a message is told by its id.
    return (_EVERYTHING, _UNTYPED if kind is None else f"type:{kind}")


def _rooms(types: Any) -> frozenset[str]:
    named = _types(types)
    if not named:
        return frozenset({_EVERYTHING})
    return frozenset({_UNTYPED, *(f"type:{kind}" for kind in named)})


def _types(types: Any) -> list[str]:
    """Return the types that a client names, in a list or with commas; raises InvalidError."""
    if types is None:
        return []
    named = types.split(",") if isinstance(types, str) else types
    if (
        not isinstance(named, list)
        or len(named) > _TYPES_MAX
        or not all(isinstance(kind, str) and 0 < len(kind) <= _TYPE_LENGTH_MAX for kind in named)
    ):
        raise InvalidError({"types": f"Expected up to {_TYPES_MAX} types of messages"})
    return sorted(set(named))


async def _everybody_may() -> bool:
    return True


def _whole(event: Event) -> Event:
    return event


def _without_words(event: Event) -> Event:
    hidden = {name: None for name in _WORDS_OF_CONSUMERS if name in event.data}
    return Event(event.name, {**event.data, **hidden}) if hidden else event
