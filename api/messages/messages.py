"""The messages queue over HTTP. Source: the messages contract; docs/messages.md for the rest."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from falcon.asgi import App, Request, Response
from msgspec import UNSET

from api.http.caller import HttpCaller
from api.messages import bodies as wire
from api.messages import browsing, importing, mass, queues
from api.messages.answers import (
    INVALID,
    KEY,
    KEY_REUSED,
    NO_QUEUE,
    NOT_HELD,
    REFUSALS,
    MessagesResource,
    NoMessagesError,
    note_repeat,
)
from api.messages.batches import (
    AckBatchResource,
    DequeueBatchResource,
    EnqueueBatchResource,
    NackBatchResource,
)
from api.messages.bounds import MessageBounds, Wish
from api.messages.stream import StreamResource
from api.openapi.operations import Answer, operation
from models.errors import LimitError, UnavailableError
from models.messages.rules import Held, internal_id
from models.messages.service import MessageService


class MessageResource(MessagesResource):
    """`/api/queue/message`: in at one end, out at the other."""

    @operation(
        "Enqueue a message",
        body=wire.NewMessageBody,
        body_example={
            "type": "email_send",
            "payload": {"to": "user@example.com", "subject": "Welcome!"},
            "priority": 5,
        },
        answers={
            200: Answer(description="It was there before", body=wire.QueuedMessage),
            201: Answer(description="It is on disk", body=wire.QueuedMessage),
            400: INVALID,
            404: NO_QUEUE,
            409: KEY_REUSED,
            **REFUSALS,
        },
        security=KEY,
    )
    async def on_post(self, req: Request, resp: Response, *, body: wire.NewMessageBody) -> None:
        """Store one message; 201 means that it is on disk.

        200 with `duplicate` says that it was there before under its `dedup_id`. A request repeated
        with the same `Idempotency-Key` header is answered as the first one was.
        """
        new = [self._bounds.new_message(body)]
        once = self._bounds.once(req, new)
        stored = await self._service.enqueue(new, now_ms=self._now_ms(), once=once)
        note_repeat(resp, stored)
        resp.status = HTTPStatus.OK if stored.repeated else HTTPStatus.CREATED
        resp.data = wire.encode(wire.queued_message(stored, body))

    @operation(
        "Dequeue a message",
        query=wire.DequeueQuery,
        answers={
            200: Answer(description="A message, leased to the caller", body=wire.LeasedMessage),
            400: INVALID,
            404: Answer(
                description="No message came in time, or there is no such queue",
                body=wire.MessagesError,
            ),
            **REFUSALS,
        },
        security=KEY,
    )
    async def on_get(self, req: Request, resp: Response, *, query: wire.DequeueQuery) -> None:
        """Lease the next message, waiting for one up to `timeout` seconds.

        Highest priority first, then oldest. The lease lasts `ack_timeout_seconds`: the query's,
        else the message's. A message whose lease runs out can be leased again.
        """
        wish = self._bounds.wish(query)
        leases = await self._service.lease_many(
            wish.requests, timeout_s=wish.timeout_s, caller=HttpCaller(req)
        )
        if not leases:
            raise NoMessagesError
        resp.data = wire.encode(wire.leased_message(leases[0]))


class AckResource(MessagesResource):
    """`/api/queue/ack`."""

    @operation(
        "Acknowledge a message",
        body=wire.AckBody,
        answers={
            200: Answer(description="It is done", body=wire.Acknowledged),
            **NOT_HELD,
        },
        security=KEY,
    )
    async def on_post(self, req: Request, resp: Response, *, body: wire.AckBody) -> None:
        """End a lease with success; a repeat with the same token gets the same answer.

        With `next` the caller waits for its next message in the same request: `next` of the answer
        is that message, or null if none came in time. The ack is on disk before the wait begins.
        """
        held = Held(internal_id(body.id), body.lock_token)
        wish = None if body.next is None else self._bounds.wish(body.next, "next.")
        at_ms = await self._service.acknowledge(held, now_ms=self._now_ms())
        follower = UNSET if wish is None else await self._next(wish, HttpCaller(req))
        moment = wire.moment(at_ms)
        resp.data = wire.encode(wire.Acknowledged(body.id, "acknowledged", moment, follower))

    async def _next(self, wish: Wish, caller: HttpCaller) -> wire.LeasedMessage | None:
        try:
            leases = await self._service.lease_many(
                wish.requests, timeout_s=wish.timeout_s, caller=caller
            )
        except (LimitError, UnavailableError):
            return None  # the ack is done all the same; who asks again hears the reason
        return wire.leased_message(leases[0]) if leases else None


class NackResource(MessagesResource):
    """`/api/queue/message/{message_id}/nack`."""

    @operation(
        "Give a message back",
        body=wire.NackBody,
        answers={
            200: Answer(description="It waits again, or is dead", body=wire.Rejected),
            **NOT_HELD,
        },
        security=KEY,
    )
    async def on_post(
        self, _req: Request, resp: Response, message_id: str, *, body: wire.NackBody
    ) -> None:
        """Let a message wait again at its old place; after its last attempt it is dead.

        Nobody gets it before `delay_seconds` are over; without it the queue decides.
        """
        held = Held(internal_id(message_id), body.lock_token)
        returned = await self._service.reject(
            held, body.error, now_ms=self._now_ms(), delay_ms=wire.milliseconds(body.delay_seconds)
        )
        resp.data = wire.encode(wire.rejected(returned))


class TouchResource(MessagesResource):
    """`/api/queue/message/{message_id}/touch`."""

    @operation(
        "Extend a lease",
        body=wire.TouchBody,
        answers={
            200: Answer(description="The lease has a new end", body=wire.Touched),
            **NOT_HELD,
        },
        security=KEY,
    )
    async def on_put(
        self, _req: Request, resp: Response, message_id: str, *, body: wire.TouchBody
    ) -> None:
        """Let a lease end `extend_seconds` from now; by default after its own length."""
        extend_ms = self._bounds.lease_ms("extend_seconds", body.extend_seconds)
        held = Held(internal_id(message_id), body.lock_token)
        until_ms = await self._service.extend(held, extend_ms, now_ms=self._now_ms())
        resp.data = wire.encode(wire.Touched(message_id, wire.moment(until_ms)))


class MetricsResource(MessagesResource):
    """`/api/queue/metrics`."""

    @operation(
        "Count messages",
        query=wire.CountQuery,
        answers={
            200: Answer(description="The counts", body=wire.Metrics),
            400: INVALID,
            404: NO_QUEUE,
            **REFUSALS,
        },
        security=KEY,
    )
    async def on_get(self, _req: Request, resp: Response, *, query: wire.CountQuery) -> None:
        """Return how many messages are in each state, in one queue or in all."""
        resp.data = wire.encode(wire.metrics((await self._service.status(query.queue)).counts))


class StatusResource(MessagesResource):
    """`/api/queue/status`."""

    @operation(
        "Describe the queue",
        query=wire.CountQuery,
        answers={
            200: Answer(description="The queue", body=wire.Status),
            400: INVALID,
            404: NO_QUEUE,
            **REFUSALS,
        },
        security=KEY,
    )
    async def on_get(self, _req: Request, resp: Response, *, query: wire.CountQuery) -> None:
        """Return the counts, by type too, and the age of what waits, in one queue or in all."""
        resp.data = wire.encode(wire.status(await self._service.status(query.queue)))


def add_routes(
    app: App[Any, Any],
    service: MessageService,
    bounds: MessageBounds,
    *,
    now_ms: Callable[[], int],
) -> list[tuple[str, object]]:
    """Serve the queue; returns the routes for the reference."""
    routes: list[tuple[str, object]] = [
        ("/api/queue/message", MessageResource(service, bounds, now_ms)),
        ("/api/queue/batch", EnqueueBatchResource(service, bounds, now_ms)),
        ("/api/queue/messages/batch", DequeueBatchResource(service, bounds, now_ms)),
        ("/api/queue/ack", AckResource(service, bounds, now_ms)),
        ("/api/queue/ack/batch", AckBatchResource(service, bounds, now_ms)),
        ("/api/queue/nack/batch", NackBatchResource(service, bounds, now_ms)),
        ("/api/queue/message/{message_id}/nack", NackResource(service, bounds, now_ms)),
        ("/api/queue/message/{message_id}/touch", TouchResource(service, bounds, now_ms)),
        ("/api/queue/metrics", MetricsResource(service, bounds, now_ms)),
        ("/api/queue/status", StatusResource(service, bounds, now_ms)),
        ("/api/queue/stream", StreamResource()),
        *queues.routes_of(service, bounds, now_ms),
        *browsing.routes_of(service, bounds, now_ms),
        *importing.routes_of(service, bounds, now_ms),
        *mass.routes_of(service, bounds, now_ms),
    ]
    for path, resource in routes:
        app.add_route(path, resource)
    return routes
