"""What happened to messages, over HTTP: to one, to all, and what each consumer did."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import redis.asyncio
from falcon.asgi import App, Request, Response

from api.messages import bodies as wire
from api.messages.activity_bodies import (
    ActivityList,
    ActivityQuery,
    AnomalyList,
    ConsumerList,
    ConsumersQuery,
    LifeQuery,
    LifeView,
    activity_line,
    anomaly_view,
    consumer_view,
    gap_view,
    history_view,
    life_line,
    milliseconds,
    place_view,
)
from api.messages.answers import INVALID, KEY, REFUSALS
from api.openapi.operations import Answer, operation
from models.errors import InvalidError
from models.events import stream_key
from models.messages.activity import Activity
from models.messages.histories import Wanted
from models.messages.rules import internal_id, public_id
from models.redis import RedisAwayError

_WINDOW_DEFAULT_MS: Final = 3_600_000
_WINDOW_MAX_MS: Final = 86_400_000


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
            since_ms=milliseconds(query.since),
            until_ms=milliseconds(query.until),
        )
        page = await self._activity.page(wanted, before=before, count=query.limit)
        resp.data = wire.encode(
            ActivityList(
                activity=[activity_line(line.row) for line in page.lines],
                next=page.next_place and f"{page.next_place[0]}.{page.next_place[1]}",
                history=history_view(page.reading),
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
                place=None if life.place is None else place_view(life.place),
                is_complete=life.is_complete,
                activity=[life_line(each) for each in life.happenings],
                gaps=[gap_view(row) for row in life.gaps],
                next=None if life.next_id is None else str(life.next_id),
                history=history_view(life.reading),
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
        until_ms = milliseconds(query.until) or self._now_ms()
        since_ms = milliseconds(query.since)
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
                consumers=[consumer_view(each) for each in found.consumers],
                has_more=found.has_more,
                gaps=[gap_view(row) for row in found.gaps],
                history=history_view(found.reading),
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
                anomalies=[anomaly_view(each) for each in found],
                history=history_view(reading),
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
