"""The messages queue over HTTP. Source: the messages contract; docs/messages.md for the rest."""

import secrets
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from falcon.asgi import App, Request, Response

from api import message_bodies as wire
from api.caller import HttpCaller
from api.message_bounds import MessageBounds
from api.operations import Answer, operation
from models.errors import NotFoundError
from models.messages.rules import Held, LeaseRequest, internal_id
from models.messages.service import MessageService

_KEY: Final = ("ApiKey",)
_INVALID: Final = Answer(description="A field is wrong", body=wire.MessagesError)
_UNKNOWN: Final = Answer(description="No such message", body=wire.MessagesError)
_LOST: Final = Answer(
    description="The lock token does not hold the message", body=wire.MessagesError
)
_REFUSALS: Final = {
    401: Answer(description="The API key is missing or wrong", body=wire.MessagesError),
    413: Answer(description="The body is too large", body=wire.MessagesError),
    429: Answer(description="Too much is under way; try again", body=wire.MessagesError),
    503: Answer(description="The database is away; try again", body=wire.MessagesError),
}


class NoMessagesError(NotFoundError):
    """No message waited, or came in time."""

    code = "NO_MESSAGES"

    def __str__(self) -> str:
        return "No messages available"


class _Resource:
    def __init__(
        self, service: MessageService, bounds: MessageBounds, now_ms: Callable[[], int]
    ) -> None:
        self.body_bytes_max = bounds.body_bytes_max
        self._service: Final = service
        self._bounds: Final = bounds
        self._now_ms: Final = now_ms


class MessageResource(_Resource):
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
            201: Answer(description="It is on disk", body=wire.QueuedMessage),
            400: _INVALID,
            **_REFUSALS,
        },
        security=_KEY,
    )
    async def on_post(self, _req: Request, resp: Response, *, body: wire.NewMessageBody) -> None:
        """Store one message; 201 means that it is on disk."""
        new = self._bounds.new_message(body)
        stored = await self._service.enqueue([new], now_ms=self._now_ms())
        resp.status = HTTPStatus.CREATED
        resp.data = wire.encode(wire.queued_message(stored, body))

    @operation(
        "Dequeue a message",
        query=wire.DequeueQuery,
        answers={
            200: Answer(description="A message, leased to the caller", body=wire.LeasedMessage),
            400: _INVALID,
            404: Answer(description="No message came in time", body=wire.MessagesError),
            **_REFUSALS,
        },
        security=_KEY,
    )
    async def on_get(self, req: Request, resp: Response, *, query: wire.DequeueQuery) -> None:
        """Lease the next message, waiting for one up to `timeout` seconds.

        Highest priority first, then oldest. The lease lasts `ack_timeout_seconds`: the query's,
        else the message's. A message whose lease runs out can be leased again.
        """
        timeout_s = self._bounds.timeout_s(query.timeout)
        request = LeaseRequest(
            consumer_id=query.consumer_id or f"consumer_{secrets.token_hex(4)}",
            lock_token=f"lt_{secrets.token_urlsafe(16)}",
            type=query.type,
            lease_ms=self._bounds.lease_ms("ack_timeout_seconds", query.ack_timeout_seconds),
        )
        lease = await self._service.lease(request, timeout_s=timeout_s, caller=HttpCaller(req))
        if lease is None:
            raise NoMessagesError
        resp.data = wire.encode(wire.leased_message(lease))


class BatchResource(_Resource):
    """`/api/queue/batch`."""

    def __init__(
        self, service: MessageService, bounds: MessageBounds, now_ms: Callable[[], int]
    ) -> None:
        super().__init__(service, bounds, now_ms)
        self.body_bytes_max = bounds.batch_body_bytes_max

    @operation(
        "Enqueue many messages",
        body=wire.BatchBody,
        body_example={
            "messages": [
                {"type": "email", "payload": {"to": "a@example.com"}},
                {"type": "email", "payload": {"to": "b@example.com"}},
            ]
        },
        answers={
            201: Answer(description="All are on disk", body=wire.QueuedBatch),
            400: _INVALID,
            **_REFUSALS,
        },
        security=_KEY,
    )
    async def on_post(self, _req: Request, resp: Response, *, body: wire.BatchBody) -> None:
        """Store messages, all or none, in the order they are sent."""
        messages = self._bounds.new_messages(body.messages)
        stored = await self._service.enqueue(messages, now_ms=self._now_ms())
        resp.status = HTTPStatus.CREATED
        resp.data = wire.encode(wire.queued_batch(stored))


class AckResource(_Resource):
    """`/api/queue/ack`."""

    @operation(
        "Acknowledge a message",
        body=wire.AckBody,
        answers={
            200: Answer(description="It is done", body=wire.Acknowledged),
            400: _INVALID,
            404: _UNKNOWN,
            409: _LOST,
            **_REFUSALS,
        },
        security=_KEY,
    )
    async def on_post(self, _req: Request, resp: Response, *, body: wire.AckBody) -> None:
        """End a lease with success; a repeat with the same token gets the same answer."""
        held = Held(internal_id(body.id), body.lock_token)
        at_ms = await self._service.acknowledge(held, now_ms=self._now_ms())
        resp.data = wire.encode(wire.Acknowledged(body.id, "acknowledged", wire.moment(at_ms)))


class NackResource(_Resource):
    """`/api/queue/message/{message_id}/nack`."""

    @operation(
        "Give a message back",
        body=wire.NackBody,
        answers={
            200: Answer(description="It waits again, or is dead", body=wire.Rejected),
            400: _INVALID,
            404: _UNKNOWN,
            409: _LOST,
            **_REFUSALS,
        },
        security=_KEY,
    )
    async def on_post(
        self, _req: Request, resp: Response, message_id: str, *, body: wire.NackBody
    ) -> None:
        """Let a message wait again at its old place; after its last attempt it is dead."""
        held = Held(internal_id(message_id), body.lock_token)
        returned = await self._service.reject(held, body.error, now_ms=self._now_ms())
        resp.data = wire.encode(wire.rejected(returned))


class TouchResource(_Resource):
    """`/api/queue/message/{message_id}/touch`."""

    @operation(
        "Extend a lease",
        body=wire.TouchBody,
        answers={
            200: Answer(description="The lease has a new end", body=wire.Touched),
            400: _INVALID,
            404: _UNKNOWN,
            409: _LOST,
            **_REFUSALS,
        },
        security=_KEY,
    )
    async def on_put(
        self, _req: Request, resp: Response, message_id: str, *, body: wire.TouchBody
    ) -> None:
        """Let a lease end `extend_seconds` from now; by default after its own length."""
        extend_ms = self._bounds.lease_ms("extend_seconds", body.extend_seconds)
        held = Held(internal_id(message_id), body.lock_token)
        until_ms = await self._service.extend(held, extend_ms, now_ms=self._now_ms())
        resp.data = wire.encode(wire.Touched(message_id, wire.moment(until_ms)))


class MetricsResource(_Resource):
    """`/api/queue/metrics`."""

    @operation(
        "Count messages",
        answers={200: Answer(description="The counts", body=wire.Metrics), **_REFUSALS},
        security=_KEY,
    )
    async def on_get(self, _req: Request, resp: Response) -> None:
        """Return how many messages are in each state."""
        resp.data = wire.encode(wire.metrics((await self._service.status()).counts))


class StatusResource(_Resource):
    """`/api/queue/status`."""

    @operation(
        "Describe the queue",
        answers={200: Answer(description="The queue", body=wire.Status), **_REFUSALS},
        security=_KEY,
    )
    async def on_get(self, _req: Request, resp: Response) -> None:
        """Return the counts, by type too, and the age of what waits."""
        resp.data = wire.encode(wire.status(await self._service.status()))


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
        ("/api/queue/batch", BatchResource(service, bounds, now_ms)),
        ("/api/queue/ack", AckResource(service, bounds, now_ms)),
        ("/api/queue/message/{message_id}/nack", NackResource(service, bounds, now_ms)),
        ("/api/queue/message/{message_id}/touch", TouchResource(service, bounds, now_ms)),
        ("/api/queue/metrics", MetricsResource(service, bounds, now_ms)),
        ("/api/queue/status", StatusResource(service, bounds, now_ms)),
    ]
    for path, resource in routes:
        app.add_route(path, resource)
    return routes
