"""Schedules over HTTP: messages that are put in at set moments; made, changed, run, looked at."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from falcon.asgi import App, Request, Response

from api.http.paging import cut
from api.messages import bodies as wire
from api.messages.answers import INVALID, KEY, NO_QUEUE, REFUSALS
from api.messages.bounds import MessageBounds
from api.openapi.operations import Answer, answered, operation
from api.schedules import bodies
from models.schedules import plans
from models.schedules.service import ScheduleService

_NO_SCHEDULE: Final = Answer(description="No such schedule", body=wire.MessagesError)
_NEITHER: Final = Answer(description="No such schedule, or no such queue", body=wire.MessagesError)
_SHOWN: Final = Answer(description="The schedule", body=bodies.ScheduleView)
_MADE: Final = Answer(description="The schedule was made", body=bodies.ScheduleView)
_EXAMPLE: Final = {
    "cron": "0 7 * * MON-FRI",
    "timezone": "Europe/Berlin",
    "message": {"payload": {"report": "sales"}, "type": "report"},
}


class _SchedulesResource:
    """A resource of schedules."""

    def __init__(
        self, service: ScheduleService, bounds: MessageBounds, now_ms: Callable[[], int]
    ) -> None:
        self.body_bytes_max = bounds.body_bytes_max
        self._service: Final = service
        self._bounds: Final = bounds
        self._now_ms: Final = now_ms


class ScheduleListResource(_SchedulesResource):
    """`/api/queue/schedules`."""

    @operation(
        "List the schedules",
        query=bodies.SchedulePageQuery,
        answers=answered("A page of them", bodies.ScheduleList, {400: INVALID, **REFUSALS}),
        security=KEY,
    )
    async def on_get(
        self, _req: Request, resp: Response, *, query: bodies.SchedulePageQuery
    ) -> None:
        """Return schedules by name, with how they fare and without their messages."""
        found = await self._service.page(after=query.after, count=query.limit + 1)
        shown, last = cut(found, query.limit)
        resp.data = wire.encode(
            bodies.ScheduleList(
                schedules=[bodies.view(each, in_list=True) for each in shown],
                next=None if last is None else last.name,
            )
        )

    @operation(
        "Make a schedule",
        body=bodies.NewScheduleBody,
        body_example={"name": "daily-report", **_EXAMPLE},
        answers={
            201: _MADE,
            400: INVALID,
            404: NO_QUEUE,
            409: Answer(description="The name is taken", body=wire.MessagesError),
            **REFUSALS,
        },
        security=KEY,
    )
    async def on_post(self, _req: Request, resp: Response, *, body: bodies.NewScheduleBody) -> None:
        """Make a schedule: its message is put in once at each of its moments from now on."""
        plan = body.plan(self._bounds)
        made = await self._service.create(body.name, plan, now_ms=self._now_ms())
        resp.status = HTTPStatus.CREATED
        resp.data = wire.encode(bodies.view(made))


class ScheduleResource(_SchedulesResource):
    """`/api/queue/schedules/{name}`."""

    @operation(
        "Show a schedule",
        answers={200: _SHOWN, 404: _NO_SCHEDULE, **REFUSALS},
        security=KEY,
    )
    async def on_get(self, _req: Request, resp: Response, name: str) -> None:
        """Return a schedule, its message, and how it fares."""
        resp.data = wire.encode(bodies.view(await self._service.get(name)))

    @operation(
        "Make or set a schedule",
        body=bodies.ScheduleBody,
        body_example=_EXAMPLE,
        answers={200: _SHOWN, 201: _MADE, 400: INVALID, 404: NO_QUEUE, **REFUSALS},
        security=KEY,
    )
    async def on_put(
        self, _req: Request, resp: Response, name: str, *, body: bodies.ScheduleBody
    ) -> None:
        """Make a schedule, or let the one of this name be this and nothing else.

        A repeat changes nothing. A moment that is due runs unless the timing changes.
        """
        plan = body.plan(self._bounds)
        schedule, is_new = await self._service.put(name, plan, now_ms=self._now_ms())
        resp.status = HTTPStatus.CREATED if is_new else HTTPStatus.OK
        resp.data = wire.encode(bodies.view(schedule))

    @operation(
        "Change a schedule",
        body=bodies.ScheduleChangeBody,
        body_example={"paused": True},
        answers={200: _SHOWN, 400: INVALID, 404: _NEITHER, **REFUSALS},
        security=KEY,
    )
    async def on_patch(
        self, _req: Request, resp: Response, name: str, *, body: bodies.ScheduleChangeBody
    ) -> None:
        """Change some fields, such as `paused`; a schedule that goes on makes up for nothing."""
        changes = body.changes(self._bounds)
        changed = await self._service.patch(name, changes, now_ms=self._now_ms())
        resp.data = wire.encode(bodies.view(changed))

    @operation(
        "Delete a schedule",
        answers=answered("It is gone", bodies.ScheduleDeleted, {404: _NO_SCHEDULE, **REFUSALS}),
        security=KEY,
    )
    async def on_delete(self, _req: Request, resp: Response, name: str) -> None:
        """Delete a schedule; messages that it put in stay."""
        await self._service.delete(name)
        resp.data = wire.encode(bodies.ScheduleDeleted(name))


class RunResource(_SchedulesResource):
    """`/api/queue/schedules/{name}/run`."""

    @operation(
        "Run a schedule now",
        answers={
            201: Answer(description="Its message is on disk", body=wire.QueuedMessage),
            404: _NEITHER,
            **REFUSALS,
        },
        security=KEY,
    )
    async def on_post(self, _req: Request, resp: Response, name: str) -> None:
        """Put the message of a schedule in once, paused or not; its moments stay as they are."""
        schedule, stored = await self._service.run(name, now_ms=self._now_ms())
        body = bodies.message_body(schedule.plan.message)
        resp.status = HTTPStatus.CREATED
        resp.data = wire.encode(wire.queued_message(stored, body))


class NextResource(_SchedulesResource):
    """`/api/queue/schedules/{name}/next`."""

    @operation(
        "Show when a schedule runs",
        query=bodies.ScheduleNextQuery,
        answers=answered(
            "Its next moments", bodies.NextMoments, {400: INVALID, 404: _NO_SCHEDULE, **REFUSALS}
        ),
        security=KEY,
    )
    async def on_get(
        self, _req: Request, resp: Response, name: str, *, query: bodies.ScheduleNextQuery
    ) -> None:
        """Return the next moments, in UTC and as clocks show them in the schedule's zone."""
        schedule = await self._service.get(name)
        found = plans.upcoming(schedule, count=query.count, now_ms=self._now_ms())
        resp.data = wire.encode(bodies.next_moments(schedule, found))


def add_routes(
    app: App[Any, Any],
    service: ScheduleService,
    bounds: MessageBounds,
    *,
    now_ms: Callable[[], int],
) -> list[tuple[str, object]]:
    """Serve schedules; returns the routes for the reference."""
    routes: list[tuple[str, object]] = [
        ("/api/queue/schedules", ScheduleListResource(service, bounds, now_ms)),
        ("/api/queue/schedules/{name}", ScheduleResource(service, bounds, now_ms)),
        ("/api/queue/schedules/{name}/run", RunResource(service, bounds, now_ms)),
        ("/api/queue/schedules/{name}/next", NextResource(service, bounds, now_ms)),
    ]
    for path, resource in routes:
        app.add_route(path, resource)
    return routes
