"""What happened to messages, over HTTP: to one, to all, and what each consumer did."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Final

import msgspec
import redis.asyncio
from falcon.asgi import App, Request, Response
from msgspec import Meta, Raw, Struct

from api.messages import bodies as wire
from api.messages.answers import INVALID, KEY, REFUSALS
from api.operations import Answer, operation
from api.reading import Body
from models.errors import InvalidError
from models.events import stream_key
from models.messages.activity import Activity, Consumer, Reading, mean_ms
from models.messages.anomalies import Anomaly
from models.messages.histories import Row, Wanted, Work
from models.messages.lives import Happening, Place
from models.messages.rules import internal_id, public_id
from models.messages.spreads import percentile_ms
from models.redis import RedisAwayError

_WINDOW_DEFAULT_MS: Final = 3_600_000
_WINDOW_MAX_MS: Final = 86_400_000
_P95: Final = 95

Moment = Annotated[datetime, Meta(tz=True, description="ISO 8601 with an offset or Z")]
Cursor = Annotated[str, Meta(pattern=r"^[0-9]{1,15}\.[0-9]{1,18}$", description="`next` before")]
PublicId = Annotated[str, Meta(pattern=r"^msg_[0-7][0-9a-f]{15}$")]
EventName = Annotated[str, Meta(pattern=r"^[a-z_]{1,32}$")]
Detail = Annotated[Raw, Meta(extra_json_schema={"type": "object"})]


class ActivityQuery(Body, frozen=True, kw_only=True):
    """Which lines of the history: all that is given must fit."""

    SPELLINGS: ClassVar[Mapping[str, str]] = {
        "messageId": "message_id",
        "id": "message_id",
        "consumerId": "consumer_id",
    }

    message_id: PublicId | None = None
    type: wire.Name | None = None
    queue: wire.QueueName | None = None
    consumer_id: wire.Name | None = None
    event: EventName | None = None
    since: Moment | None = None
    until: Moment | None = None
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 100
    cursor: Cursor | None = None


class LifeQuery(Body, frozen=True, kw_only=True):
    """Which part of a message's life."""

    limit: Annotated[int, Meta(ge=1, le=1_000)] = 1_000
    cursor: Annotated[str, Meta(pattern=r"^[0-9]{1,18}$")] | None = None


class ConsumersQuery(Body, frozen=True, kw_only=True):
    """Of which time: the last hour, or at most a day; whole minutes."""

    since: Moment | None = None
    until: Moment | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 100


class HistoryView(Struct, frozen=True):
    """How far the history goes; `is_behind` is null while Redis is away."""

    begins_at: str | None
    read_until: str | None
    is_behind: bool | None


class GapView(Struct, frozen=True):
    """Where events were lost before they could be read."""

    since: str
    detail: Detail | None


class ActivityLine(Struct, frozen=True, kw_only=True):
    """One thing that happened; `gap` is of no message: events were lost there."""

    at: str
    event: str
    message_id: str | None
    queue: str | None
    type: str | None
    attempt: int | None
    consumer_id: str | None
    held_seconds: float | None
    detail: Detail | None


class ActivityList(Struct, frozen=True):
    """Lines, newest first; `next` is null on the last page, also when this one is short."""

    activity: list[ActivityLine]
    next: str | None
    history: HistoryView


class LifeLine(Struct, frozen=True, kw_only=True):
    """One thing that happened; `source` is `message` for what only the message itself knows."""

    at: str | None
    event: str
    source: str
    attempt: int | None
    consumer_id: str | None
    held_seconds: float | None
    error: str | None
    detail: Detail | None


class PlaceView(Struct, frozen=True, kw_only=True):
    """Where a message is; `was_touched` says whether its lease was extended."""

    queue: str
    type: str | None
    attempt_count: int
    created_at: str
    consumer_id: str | None
    locked_until: str | None
    was_touched: bool
    due_at: str | None


class LifeView(Struct, frozen=True, kw_only=True):
    """A message's life, oldest first; `state` and `place` are null for one that is gone."""

    id: str
    state: str | None
    place: PlaceView | None
    is_complete: bool | None
    activity: list[LifeLine]
    gaps: list[GapView]
    next: str | None
    history: HistoryView


class WorkView(Struct, frozen=True, kw_only=True):
    """What a consumer did with messages of one queue and type, and what it holds now."""

    queue: str | None
    type: str | None
    leased: int
    acknowledged: int
    given_back: int
    lapsed: int
    held: int
    mean_seconds: float | None
    p95_seconds: float | None


class ConsumerView(Struct, frozen=True, kw_only=True):
    """What a consumer did; `consumer_id` is null for all together that gave no name."""

    consumer_id: str | None
    last_seen: str | None
    leased: int
    acknowledged: int
    given_back: int
    lapsed: int
    held: int
    mean_seconds: float | None
    p95_seconds: float | None
    by_type: list[WorkView]


class ConsumerList(Struct, frozen=True, kw_only=True):
    """Who did what, the last seen first; `has_more`: there are more than `limit`."""

    since: str
    until: str
    consumers: list[ConsumerView]
    has_more: bool
    gaps: list[GapView]
    history: HistoryView


class AnomalyView(Struct, frozen=True, kw_only=True):
    """Something wrong; `amount` has reached `threshold`."""

    kind: str
    since: str
    amount: float
    threshold: float
    message: str
    advice: str
    queue: str | None
    type: str | None
    consumer_ids: list[str]
    message_ids: list[str]


class AnomalyList(Struct, frozen=True, kw_only=True):
    """What is wrong, the worst of each kind first."""

    at: str
    anomalies: list[AnomalyView]
    history: HistoryView


class _ActivityResource:
    """A resource of the history."""

    body_bytes_max = 0

    def __init__(self, activity: Activity, now_ms: Callable[[], int]) -> None:
        self._activity: Final = activity
        self._now_ms: Final = now_ms


class ActivityResource(_ActivityResource):
    """`/api/queue/activity`."""

    @operation(
        "List what happened",
        query=ActivityQuery,
        answers={
            200: Answer(description="Lines of the history", body=ActivityList),
            400: INVALID,
            **REFUSALS,
        },
        security=KEY,
    )
    async def on_get(self, _req: Request, resp: Response, *, query: ActivityQuery) -> None:
        """Return what happened to messages, newest first, a page at a time.

        A page may hold fewer lines than asked for, or none, and still name the next one.
        """
        before = None
        if query.cursor is not None:
            at_ms, _, line_id = query.cursor.partition(".")
            before = (int(at_ms), int(line_id))
        wanted = Wanted(
            message_id=None if query.message_id is None else internal_id(query.message_id),
            type=query.type,
            queue=query.queue,
            consumer_id=query.consumer_id,
            event=query.event,
            since_ms=_milliseconds(query.since),
            until_ms=_milliseconds(query.until),
        )
        page = await self._activity.page(wanted, before=before, count=query.limit)
        resp.data = wire.encode(
            ActivityList(
                activity=[_line(line.row) for line in page.lines],
                next=page.next_place and f"{page.next_place[0]}.{page.next_place[1]}",
                history=_history(page.reading),
            )
        )


class LifeResource(_ActivityResource):
    """`/api/queue/message/{message_id}/activity`."""

    @operation(
        "Tell a message's life",
        query=LifeQuery,
        answers={
            200: Answer(description="What happened to it, oldest first", body=LifeView),
            400: INVALID,
            404: Answer(description="No such message", body=wire.MessagesError),
            **REFUSALS,
        },
        security=KEY,
    )
    async def on_get(
        self, _req: Request, resp: Response, message_id: str, *, query: LifeQuery
    ) -> None:
        """Return what happened to a message, from its history and from where it is now.

        What the history does not know yet, or lost, is told as far as the message itself knows.
        """
        life = await self._activity.life(
            internal_id(message_id), after_id=int(query.cursor or 0), count=query.limit
        )
        resp.data = wire.encode(
            LifeView(
                id=public_id(life.message_id),
                state=None if life.state is None else life.state.value,
                place=None if life.place is None else _place(life.place),
                is_complete=life.is_complete,
                activity=[_life_line(each) for each in life.happenings],
                gaps=[_gap(row) for row in life.gaps],
                next=None if life.next_id is None else str(life.next_id),
                history=_history(life.reading),
            )
        )


class ConsumersResource(_ActivityResource):
    """`/api/queue/consumers`."""

    @operation(
        "List the consumers",
        query=ConsumersQuery,
        answers={
            200: Answer(description="What each did", body=ConsumerList),
            400: INVALID,
            **REFUSALS,
        },
        security=KEY,
    )
    async def on_get(self, _req: Request, resp: Response, *, query: ConsumersQuery) -> None:
        """Return what each consumer did in a time, the last hour by default, and what it holds."""
        until_ms = _milliseconds(query.until) or self._now_ms()
        since_ms = _milliseconds(query.since)
        if since_ms is None:
            since_ms = until_ms - _WINDOW_DEFAULT_MS
        if not 0 <= until_ms - since_ms <= _WINDOW_MAX_MS:
            raise InvalidError({"since": "Expected at most a day before `until`"})
        found = await self._activity.consumers(
            since_ms=since_ms, until_ms=until_ms, count=query.limit
        )
        resp.data = wire.encode(
            ConsumerList(
                since=wire.moment(found.since_ms),
                until=wire.moment(found.until_ms),
                consumers=[_consumer(each) for each in found.consumers],
                has_more=found.has_more,
                gaps=[_gap(row) for row in found.gaps],
                history=_history(found.reading),
            )
        )


class AnomaliesResource(_ActivityResource):
    """`/api/queue/anomalies`."""

    @operation(
        "List what is wrong",
        answers={200: Answer(description="What stands out", body=AnomalyList), **REFUSALS},
        security=KEY,
    )
    async def on_get(self, _req: Request, resp: Response) -> None:
        """Return what is wrong now: what, since when, how much, of whom, and what to do."""
        now_ms = self._now_ms()
        found, reading = await self._activity.anomalies(now_ms=now_ms)
        resp.data = wire.encode(
            AnomalyList(
                at=wire.moment(now_ms),
                anomalies=[_anomaly(each) for each in found],
                history=_history(reading),
            )
        )


def newest_entry_of(
    client: redis.asyncio.Redis, domain: str
) -> Callable[[], Awaitable[str | None]]:
    """Return what asks Redis for the id of the last entry of a stream, see Activity."""

    async def ask() -> str | None:
        try:
            found: Any = await client.xrevrange(stream_key(domain), count=1)
        except RedisAwayError:
            return None
        return found[0][0].decode() if found else ""

    return ask


def add_routes(
    app: App[Any, Any], activity: Activity, *, now_ms: Callable[[], int]
) -> list[tuple[str, object]]:
    """Serve the history; returns the routes for the reference."""
    routes: list[tuple[str, object]] = [
        ("/api/queue/activity", ActivityResource(activity, now_ms)),
        ("/api/queue/message/{message_id}/activity", LifeResource(activity, now_ms)),
        ("/api/queue/consumers", ConsumersResource(activity, now_ms)),
        ("/api/queue/anomalies", AnomaliesResource(activity, now_ms)),
    ]
    for path, resource in routes:
        app.add_route(path, resource)
    return routes


def _line(row: Row) -> ActivityLine:
    return ActivityLine(
        at=wire.moment(row.at_ms),
        event=row.event,
        message_id=None if row.message_id is None else public_id(row.message_id),
        queue=row.queue,
        type=row.type,
        attempt=row.attempt,
        consumer_id=row.consumer_id,
        held_seconds=_seconds(row.held_ms),
        detail=_detail(row.detail),
    )


def _place(place: Place) -> PlaceView:
    return PlaceView(
        queue=place.queue,
        type=place.type,
        attempt_count=place.attempt_count,
        created_at=wire.moment(place.created_at_ms),
        consumer_id=place.consumer_id,
        locked_until=wire.moment_or_none(place.lease_until_ms),
        was_touched=place.was_touched,
        due_at=wire.moment_or_none(place.due_at_ms),
    )


def _life_line(each: Happening) -> LifeLine:
    detail = None if each.detail is None else msgspec.json.decode(each.detail)
    error = each.error if detail is None else detail.pop("error", each.error)
    return LifeLine(
        at=wire.moment_or_none(each.at_ms),
        event=each.event,
        source="message" if each.is_derived else "history",
        attempt=each.attempt,
        consumer_id=each.consumer_id,
        held_seconds=_seconds(each.held_ms),
        error=error,
        detail=Raw(wire.encode(detail)) if detail else None,
    )


def _consumer(consumer: Consumer) -> ConsumerView:
    total = consumer.total
    return ConsumerView(
        consumer_id=consumer.consumer_id or None,
        last_seen=wire.moment_or_none(total.last_at_ms or None),
        leased=total.leased,
        acknowledged=total.acknowledged,
        given_back=total.given_back,
        lapsed=total.lapsed,
        held=consumer.held,
        mean_seconds=_seconds(consumer.mean_ms),
        p95_seconds=_seconds(consumer.p95_ms),
        by_type=[
            _work(queue, type_, done, held)
            for (queue, type_), (done, held) in sorted(consumer.kinds.items())
        ],
    )


def _work(queue: str, type_: str, done: Work, held: int) -> WorkView:
    return WorkView(
        queue=queue or None,
        type=type_ or None,
        leased=done.leased,
        acknowledged=done.acknowledged,
        given_back=done.given_back,
        lapsed=done.lapsed,
        held=held,
        mean_seconds=_seconds(mean_ms(done)),
        p95_seconds=_seconds(percentile_ms(done.spread, _P95)),
    )


def _anomaly(found: Anomaly) -> AnomalyView:
    return AnomalyView(
        kind=found.kind.value,
        since=wire.moment(found.since_ms or 0),
        amount=found.amount,
        threshold=found.threshold,
        message=found.said,
        advice=found.advice,
        queue=found.queue,
        type=found.type,
        consumer_ids=list(found.consumer_ids),
        message_ids=[public_id(each) for each in found.message_ids],
    )


def _gap(row: Row) -> GapView:
    return GapView(since=wire.moment(row.at_ms), detail=_detail(row.detail))


def _history(reading: Reading) -> HistoryView:
    return HistoryView(
        begins_at=wire.moment_or_none(reading.begins_at_ms),
        read_until=wire.moment_or_none(reading.read_until_ms),
        is_behind=reading.is_behind,
    )


def _detail(detail: str | None) -> Raw | None:
    return None if detail is None else Raw(detail.encode())


def _seconds(length_ms: int | None) -> float | None:
    return None if length_ms is None else length_ms / 1000


def _milliseconds(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1000)
