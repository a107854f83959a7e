"""Webhooks over HTTP: consumers that Stanchion runs; made, changed, tested, looked at."""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from falcon.asgi import App, Request, Response

from api.auth.callers import actor_of
from api.http.caller import Proxies
from api.http.paging import cut
from api.messages import bodies as wire
from api.messages.answers import INVALID, NO_QUEUE, REFUSALS
from api.openapi.operations import Answer, answered, operation
from api.webhooks import bodies
from models.audit import Actor
from models.messages.queues import Queues
from models.webhooks.service import WebhookService

_ADMIN: Final = ("Session", "Bearer", "AdminKey")
_NO_WEBHOOK: Final = Answer(description="No such webhook", body=wire.MessagesError)
_SHOWN: Final = Answer(description="The webhook", body=bodies.WebhookView)
_MADE: Final = Answer(
    description="It was made; the secret is not shown again", body=bodies.WebhookMade
)
_EXAMPLE: Final = {
    "url": "https://example.com/hooks/orders",
    "queue": "default",
    "type": "order",
    "headers": {"Authorization": "Bearer …"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Room:
    """What the resources of webhooks stand on."""

    service: WebhookService
    queues: Queues
    proxies: Proxies
    body_bytes_max: int
    now_ms: Callable[[], int]


class _WebhooksResource:
    """A resource of webhooks."""

    def __init__(self, room: _Room) -> None:
        self.body_bytes_max = room.body_bytes_max
        self._service: Final = room.service
        self._queues: Final = room.queues
        self._proxies: Final = room.proxies
        self._now_ms: Final = room.now_ms

    def _actor(self, req: Request) -> Actor:
        return actor_of(req, self._proxies)


class WebhookListResource(_WebhooksResource):
    """`/api/queue/webhooks`."""

    @operation(
        "List the webhooks",
        query=bodies.PageQuery,
        answers=answered("A page of them", bodies.WebhookList, {400: INVALID, **REFUSALS}),
        security=_ADMIN,
    )
    async def on_get(self, _req: Request, resp: Response, *, query: bodies.PageQuery) -> None:
        """Return webhooks by name, with how they fare; header values are not shown."""
        found = await self._service.page(after=query.after, count=query.limit + 1)
        shown, last = cut(found, query.limit)
        now_ms = self._now_ms()
        resp.data = wire.encode(
            bodies.WebhookList(
                webhooks=[bodies.view(each, now_ms=now_ms) for each in shown],
                next=None if last is None else last.name,
            )
        )

    @operation(
        "Make a webhook",
        body=bodies.NewWebhookBody,
        body_example={"name": "orders", **_EXAMPLE},
        answers={
            201: _MADE,
            400: INVALID,
            404: NO_QUEUE,
            409: Answer(description="The name is taken", body=wire.MessagesError),
            **REFUSALS,
        },
        security=_ADMIN,
    )
    async def on_post(self, req: Request, resp: Response, *, body: bodies.NewWebhookBody) -> None:
        """Make a webhook; from now on messages of its queue and type are sent to its address."""
        bodies.check_name(body.name)
        await self._queues.get(body.queue)
        now_ms = self._now_ms()
        made = await self._service.create(
            body.name,
            body.settings(),
            self._actor(req),
            paused=body.paused,
            secret=body.secret,
            now_ms=now_ms,
        )
        resp.status = HTTPStatus.CREATED
        resp.data = wire.encode(bodies.view_with_secret(made, now_ms=now_ms))


class WebhookResource(_WebhooksResource):
    """`/api/queue/webhooks/{name}`."""

    @operation(
        "Show a webhook",
        answers={200: _SHOWN, 404: _NO_WEBHOOK, **REFUSALS},
        security=_ADMIN,
    )
    async def on_get(self, _req: Request, resp: Response, name: str) -> None:
        """Return a webhook and how it fares."""
        found = await self._service.get(name)
        resp.data = wire.encode(bodies.view(found, now_ms=self._now_ms()))

    @operation(
        "Make or set a webhook",
        body=bodies.WebhookBody,
        body_example=_EXAMPLE,
        answers={200: _SHOWN, 201: _MADE, 400: INVALID, 404: NO_QUEUE, **REFUSALS},
        security=_ADMIN,
    )
    async def on_put(
        self, req: Request, resp: Response, name: str, *, body: bodies.WebhookBody
    ) -> None:
        """Make a webhook, or give the one of this name these settings and no others.

        One that is there keeps its secret, unless the body has one.
        """
        bodies.check_name(name)
        await self._queues.get(body.queue)
        now_ms = self._now_ms()
        found, is_new = await self._service.put(
            name,
            body.settings(),
            self._actor(req),
            paused=body.paused,
            secret=body.secret,
            now_ms=now_ms,
        )
        resp.status = HTTPStatus.CREATED if is_new else HTTPStatus.OK
        show = bodies.view_with_secret if is_new else bodies.view
        resp.data = wire.encode(show(found, now_ms=now_ms))

    @operation(
        "Change a webhook",
        body=bodies.WebhookChangeBody,
        body_example={"paused": True},
        answers={200: _SHOWN, 400: INVALID, 404: _NO_WEBHOOK, **REFUSALS},
        security=_ADMIN,
    )
    async def on_patch(
        self, req: Request, resp: Response, name: str, *, body: bodies.WebhookChangeBody
    ) -> None:
        """Change some settings; `paused: false` forgets failures and sends again at once."""
        if isinstance(body.queue, str):
            await self._queues.get(body.queue)
        now_ms = self._now_ms()
        found = await self._service.patch(
            name,
            body.changes(),
            self._actor(req),
            paused=body.paused if isinstance(body.paused, bool) else None,
            now_ms=now_ms,
        )
        resp.data = wire.encode(bodies.view(found, now_ms=now_ms))

    @operation(
        "Delete a webhook",
        answers=answered("It is gone", bodies.Deleted, {404: _NO_WEBHOOK, **REFUSALS}),
        security=_ADMIN,
    )
    async def on_delete(self, req: Request, resp: Response, name: str) -> None:
        """Delete a webhook; messages stay in their queue, for other consumers."""
        await self._service.delete(name, self._actor(req), now_ms=self._now_ms())
        resp.data = wire.encode(bodies.Deleted(name))


class RotateResource(_WebhooksResource):
    """`/api/queue/webhooks/{name}/rotate`."""

    @operation(
        "Give a webhook a new secret",
        body=bodies.RotateBody,
        body_example={"overlap_seconds": 86_400},
        body_reader=bodies.read_rotate_body,
        answers=answered(
            "The new secret", bodies.WebhookMade, {400: INVALID, 404: _NO_WEBHOOK, **REFUSALS}
        ),
        security=_ADMIN,
    )
    async def on_post(
        self, req: Request, resp: Response, name: str, *, body: bodies.RotateBody
    ) -> None:
        """Make a new secret and show it once; the old one signs along for `overlap_seconds`.

        Without a body that is a day. A second rotation within that time ends the oldest secret.
        """
        now_ms = self._now_ms()
        found = await self._service.rotate(
            name, self._actor(req), overlap_ms=body.overlap_seconds * 1000, now_ms=now_ms
        )
        resp.data = wire.encode(bodies.view_with_secret(found, now_ms=now_ms))


class TestResource(_WebhooksResource):
    """`/api/queue/webhooks/{name}/test`."""

    @operation(
        "Test a webhook",
        answers=answered(
            "What the receiver answered", bodies.TestView, {404: _NO_WEBHOOK, **REFUSALS}
        ),
        security=_ADMIN,
    )
    async def on_post(self, req: Request, resp: Response, name: str) -> None:
        """Send one signed request of type `stanchion.test` and show what came of it.

        It carries no message and changes nothing, and is sent for a webhook that is paused too.
        """
        trial = await self._service.test(
            name, self._actor(req), now_ms=self._now_ms(), clock=self._now_ms
        )
        resp.data = wire.encode(bodies.trial_view(trial))


class DeliveriesResource(_WebhooksResource):
    """`/api/queue/webhooks/{name}/deliveries`."""

    @operation(
        "Show what a webhook sent",
        query=bodies.DeliveriesQuery,
        answers=answered(
            "The last requests", bodies.DeliveryList, {400: INVALID, 404: _NO_WEBHOOK, **REFUSALS}
        ),
        security=_ADMIN,
    )
    async def on_get(
        self, _req: Request, resp: Response, name: str, *, query: bodies.DeliveriesQuery
    ) -> None:
        """Return the last requests, the newest first; no more than 100 are kept."""
        found = await self._service.deliveries(name, count=query.limit)
        resp.data = wire.encode(bodies.DeliveryList([bodies.delivery_view(each) for each in found]))


def add_routes(
    app: App[Any, Any],
    service: WebhookService,
    queues: Queues,
    proxies: Proxies,
    *,
    body_bytes_max: int,
    now_ms: Callable[[], int],
) -> list[tuple[str, object]]:
    """Serve webhooks; returns the routes for the reference."""
    room = _Room(
        service=service,
        queues=queues,
        proxies=proxies,
        body_bytes_max=body_bytes_max,
        now_ms=now_ms,
    )
    path = "/api/queue/webhooks"
    routes: list[tuple[str, object]] = [
        (path, WebhookListResource(room)),
        (f"{path}/{{name}}", WebhookResource(room)),
        (f"{path}/{{name}}/rotate", RotateResource(room)),
        (f"{path}/{{name}}/test", TestResource(room)),
        (f"{path}/{{name}}/deliveries", DeliveriesResource(room)),
    ]
    for at, resource in routes:
        app.add_route(at, resource)
    return routes
