"""What an admin asks about rooms, over HTTP: statistics, history, who is inside; ends sessions."""

from datetime import datetime
from typing import Any, Final

from falcon.asgi import App, Request, Response

from api.openapi.operations import Answer, answered, operation
from api.rooms import bodies as wire
from api.rooms import report_bodies as bodies
from api.rooms.admin import ADMIN, INVALID, NO_ROOM, REFUSALS, AdminResource, Office

_HOUR_MS: Final = 3_600_000


class StatsResource(AdminResource):
    """`/api/v1/admin/queues/{queue_id}/stats`."""

    @operation(
        "Show how a room fares",
        answers=answered("Now and today", bodies.RoomStatsView, {404: NO_ROOM, **REFUSALS}),
        security=ADMIN,
    )
    async def on_get(self, _req: Request, resp: Response, queue_id: str) -> None:
        """Return who waits and is inside, and what happened on this day of UTC."""
        room, stats = await self._reports.stats(queue_id, now_ms=self._now_ms())
        resp.data = wire.encode(bodies.stats_view(room, stats))


class HistoryResource(AdminResource):
    """`/api/v1/admin/queues/{queue_id}/history`."""

    @operation(
        "Show what a room was like",
        query=bodies.RoomHistoryQuery,
        answers=answered(
            "A point for each step",
            bodies.RoomHistoryView,
            {400: INVALID, 404: NO_ROOM, **REFUSALS},
        ),
        security=ADMIN,
    )
    async def on_get(
        self, _req: Request, resp: Response, queue_id: str, *, query: bodies.RoomHistoryQuery
    ) -> None:
        """Return at most 2,000 points, as JSON, or with `format=csv` as a table."""
        until_ms = self._now_ms() if query.until is None else _ms(query.until)
        since_ms = until_ms - _HOUR_MS if query.since is None else _ms(query.since)
        step_ms, points = await self._reports.history(
            queue_id,
            since_ms=since_ms,
            until_ms=until_ms,
            step_ms=None if query.step is None else query.step * 1000,
        )
        shown = bodies.history_view(queue_id, step_ms, points)
        if query.format == "csv":
            resp.text = bodies.history_csv(shown)
            resp.content_type = "text/csv; charset=utf-8; header=present"
        else:
            resp.data = wire.encode(shown)


class SessionListResource(AdminResource):
    """`/api/v1/admin/queues/{queue_id}/sessions`."""

    @operation(
        "List who is inside",
        query=bodies.RoomSessionsQuery,
        answers=answered(
            "A page of sessions", bodies.RoomSessionList, {400: INVALID, 404: NO_ROOM, **REFUSALS}
        ),
        security=ADMIN,
    )
    async def on_get(
        self, _req: Request, resp: Response, queue_id: str, *, query: bodies.RoomSessionsQuery
    ) -> None:
        """Return sessions that are under way, those that end first first."""
        total, insiders = await self._inside.page(queue_id, offset=query.offset, count=query.limit)
        shown = bodies.session_list(queue_id, total, insiders, offset=query.offset)
        resp.data = wire.encode(shown)


class SessionResource(AdminResource):
    """`/api/v1/admin/sessions/{session_id}`."""

    @operation(
        "End a session",
        body=bodies.TerminateBody,
        body_example={"reason": "abuse_detected"},
        body_reader=wire.reader_of(bodies.TerminateBody),
        answers={
            200: Answer(description="It is over", body=bodies.Terminated),
            400: INVALID,
            404: Answer(description="No such session is under way", body=wire.RoomsError),
            **REFUSALS,
        },
        security=ADMIN,
    )
    async def on_delete(
        self, req: Request, resp: Response, session_id: str, *, body: bodies.TerminateBody
    ) -> None:
        """End a session at once: its place is free, and its token is answered with 410."""
        ended = await self._inside.end(
            session_id, body.reason, self._actor(req), now_ms=self._now_ms()
        )
        resp.data = wire.encode(bodies.terminated(ended))


def add_routes(app: App[Any, Any], office: Office) -> list[tuple[str, object]]:
    """Serve what is known about rooms; returns the routes for the reference."""
    path = "/api/v1/admin/queues/{queue_id}"
    routes: list[tuple[str, object]] = [
        (f"{path}/stats", StatsResource(office)),
        (f"{path}/history", HistoryResource(office)),
        (f"{path}/sessions", SessionListResource(office)),
        ("/api/v1/admin/sessions/{session_id}", SessionResource(office)),
    ]
    for at, resource in routes:
        app.add_route(at, resource)
    return routes


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
