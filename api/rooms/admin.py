"""Rooms as their admin sees them, over HTTP: made, changed, deleted. Source: the rooms contract."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from falcon.asgi import App, Request, Response

from api.auth.callers import actor_of
from api.http.caller import Proxies
from api.http.paging import cut
from api.openapi.operations import Answer, answered, operation
from api.rooms import admin_bodies as bodies
from api.rooms import bodies as wire
from models.audit import Actor
from models.rooms.administration import Administration
from models.rooms.inside import Inside
from models.rooms.reports import Reports

ADMIN: Final = ("AdminKey", "ApiKey", "Session", "Bearer")
INVALID: Final = Answer(description="A field is wrong", body=wire.RoomsError)
NO_ROOM: Final = Answer(description="No such room", body=wire.RoomsError)
REFUSALS: Final[Mapping[int, Answer]] = {
    401: Answer(description="The session or token is over", body=wire.RoomsError),
    403: Answer(description="The admin key is missing or wrong", body=wire.RoomsError),
    429: Answer(description="Too many requests; see Retry-After", body=wire.RoomsError),
    503: Answer(description="The store is away; see Retry-After", body=wire.RoomsError),
}
_EXAMPLE: Final = {
    "id": "concert-tickets",
    "name": "Concert Ticket Sale",
    "target_url": "https://example.com/checkout",
    "max_active_users": 1000,
    "max_queue_size": 50000,
    "admission_rate": 10,
    "session_timeout_seconds": 3600,
    "heartbeat_interval_seconds": 10,
    "heartbeat_timeout_seconds": 60,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """What the resources of the admin stand on."""

    administration: Administration
    reports: Reports
    inside: Inside
    proxies: Proxies
    body_bytes_max: int
    now_ms: Callable[[], int]


class AdminResource:
    """A resource of the admin."""

    def __init__(self, office: Office) -> None:
        self.body_bytes_max = office.body_bytes_max
        self._rooms: Final = office.administration
        self._reports: Final = office.reports
        self._inside: Final = office.inside
        self._proxies: Final = office.proxies
        self._now_ms: Final = office.now_ms

    def _actor(self, req: Request) -> Actor:
        return actor_of(req, self._proxies)


class RoomListResource(AdminResource):
    """`/api/v1/admin/queues`."""

    @operation(
        "List the rooms",
        query=bodies.RoomsQuery,
        answers=answered("A page of them", bodies.RoomList, {400: INVALID, **REFUSALS}),
        security=ADMIN,
    )
    async def on_get(self, _req: Request, resp: Response, *, query: bodies.RoomsQuery) -> None:
        """Return rooms by id, with all their settings."""
        found = await self._rooms.page(after=query.after, count=query.limit + 1)
        shown, last = cut(found, query.limit)
        next_id = None if last is None else last.id
        resp.data = wire.encode(bodies.RoomList([bodies.view(each) for each in shown], next_id))

    @operation(
        "Make a room",
        body=bodies.RoomBody,
        body_example=_EXAMPLE,
        answers={
            201: Answer(description="It was made", body=bodies.RoomMade),
            400: INVALID,
            409: Answer(description="There is one of this id", body=wire.RoomsError),
            **REFUSALS,
        },
        security=ADMIN,
    )
    async def on_post(self, req: Request, resp: Response, *, body: bodies.RoomBody) -> None:
        """Make a room; visitors can join it at once, unless its status says otherwise."""
        with bodies.wire_names():
            room = await self._rooms.create(body.room(), self._actor(req), now_ms=self._now_ms())
        resp.status = HTTPStatus.CREATED
        resp.data = wire.encode(bodies.made(room))


class RoomResource(AdminResource):
    """`/api/v1/admin/queues/{queue_id}`."""

    @operation(
        "Show a room",
        answers=answered("The room", bodies.RoomView, {404: NO_ROOM, **REFUSALS}),
        security=ADMIN,
    )
    async def on_get(self, _req: Request, resp: Response, queue_id: str) -> None:
        """Return a room with all its settings."""
        resp.data = wire.encode(bodies.view(await self._rooms.get(queue_id)))

    @operation(
        "Change a room",
        body=bodies.RoomChangeBody,
        body_example={"admission_rate": 20, "max_active_users": 2000, "status": "paused"},
        answers=answered(
            "What was given, as it is now",
            bodies.RoomChanged,
            {400: INVALID, 404: NO_ROOM, **REFUSALS},
        ),
        security=ADMIN,
    )
    async def on_patch(
        self, req: Request, resp: Response, queue_id: str, *, body: bodies.RoomChangeBody
    ) -> None:
        """Change settings or the status: active, paused, maintenance, closed.

        Paused, visitors join and nobody is admitted. In maintenance nobody joins or is admitted,
        places are kept and nobody expires. Closed, nobody joins or is admitted.
        """
        with bodies.wire_names():
            room = await self._rooms.change(
                queue_id, body.changes(), self._actor(req), now_ms=self._now_ms()
            )
        resp.data = wire.encode(bodies.changed(room, body.given))

    @operation(
        "Delete a room",
        answers=answered("It is gone", bodies.RoomDeleted, {404: NO_ROOM, **REFUSALS}),
        security=ADMIN,
    )
    async def on_delete(self, req: Request, resp: Response, queue_id: str) -> None:
        """Delete a room with its line, its sessions and its history; all its tokens are void."""
        now_ms = self._now_ms()
        await self._rooms.delete(queue_id, self._actor(req), now_ms=now_ms)
        resp.data = wire.encode(bodies.deleted(queue_id, now_ms=now_ms))


def add_routes(app: App[Any, Any], office: Office) -> list[tuple[str, object]]:
    """Serve the admin of rooms; returns the routes for the reference."""
    path = "/api/v1/admin/queues"
    routes: list[tuple[str, object]] = [
        (path, RoomListResource(office)),
        (f"{path}/{{queue_id}}", RoomResource(office)),
    ]
    for at, resource in routes:
        app.add_route(at, resource)
    return routes
