"""The wire of the history: what is asked of it, and what is told."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, ClassVar, Final

import msgspec
from msgspec import Meta, Raw, Struct

from api.http.reading import Body
from api.messages import bodies as wire
from models.messages.activity import Consumer, Reading, mean_ms
from models.messages.anomalies import Anomaly
from models.messages.histories import Row, Work
from models.messages.lives import Happening, Place
from models.messages.rules import public_id
from models.messages.spreads import percentile_ms

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


def activity_line(row: Row) -> ActivityLine:
    """Write a line of the history."""
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


def place_view(place: Place) -> PlaceView:
    """Write where a message is now."""
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


def life_line(each: Happening) -> LifeLine:
    """Write what happened to a message; the error of an attempt stands beside its detail."""
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


def consumer_view(consumer: Consumer) -> ConsumerView:
    """Write what a consumer did, of all types and of each."""
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


def anomaly_view(found: Anomaly) -> AnomalyView:
    """Write what is wrong, and what helps."""
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


def gap_view(row: Row) -> GapView:
    """Write from when on the history knows nothing."""
    return GapView(since=wire.moment(row.at_ms), detail=_detail(row.detail))


def history_view(reading: Reading) -> HistoryView:
    """Write how far the history reaches."""
    return HistoryView(
        begins_at=wire.moment_or_none(reading.begins_at_ms),
        read_until=wire.moment_or_none(reading.read_until_ms),
        is_behind=reading.is_behind,
    )


def _detail(detail: str | None) -> Raw | None:
    return None if detail is None else Raw(detail.encode())


def _seconds(length_ms: int | None) -> float | None:
    return None if length_ms is None else length_ms / 1000


def milliseconds(moment: datetime | None) -> int | None:
    """Return the Unix time of a moment, in milliseconds."""
    return None if moment is None else round(moment.timestamp() * 1000)
