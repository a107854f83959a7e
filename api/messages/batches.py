"""Many messages in one request: enqueue, dequeue, ack and nack, each one transaction."""

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Final, TypeVar

from falcon.asgi import Request, Response

from api.http.caller import HttpCaller
from api.messages import batch_bodies as batches
from api.messages import bodies as wire
from api.messages.answers import (
    INVALID,
    KEY,
    KEY_REUSED,
    NO_QUEUE,
    REFUSALS,
    BatchesResource,
    MessagesResource,
    note_repeat,
)
from api.openapi.operations import Answer, operation
from models.errors import StanchionError
from models.messages.rules import Held, MessageNotFoundError, Rejection, internal_id

Item = TypeVar("Item", wire.HeldBody, batches.NackItem)
Wanted = TypeVar("Wanted")
Outcome = TypeVar("Outcome")
_HELD_EXAMPLE: Final = {"id": "msg_0000000000000001", "lock_token": "lt_xyz789"}


class EnqueueBatchResource(BatchesResource):
    """`/api/queue/batch`."""

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
            400: INVALID,
            404: NO_QUEUE,
            409: KEY_REUSED,
            **REFUSALS,
        },
        security=KEY,
    )
    async def on_post(self, req: Request, resp: Response, *, body: wire.BatchBody) -> None:
        """Store messages, all or none, in the order they are sent.

        A request repeated with the same `Idempotency-Key` header is answered as the first one was.
        """
        messages = self._bounds.new_messages(body.messages)
        once = self._bounds.once(req, messages)
        stored = await self._service.enqueue(messages, now_ms=self._now_ms(), once=once)
        note_repeat(resp, stored)
        resp.status = HTTPStatus.CREATED
        resp.data = wire.encode(wire.queued_batch(stored, body.messages))


class DequeueBatchResource(MessagesResource):
    """`/api/queue/messages/batch`."""

    @operation(
        "Dequeue many messages",
        query=batches.BatchDequeueQuery,
        answers={
            200: Answer(description="Messages, leased to the caller", body=batches.LeasedBatch),
            400: INVALID,
            404: NO_QUEUE,
            **REFUSALS,
        },
        security=KEY,
    )
    async def on_get(
        self, req: Request, resp: Response, *, query: batches.BatchDequeueQuery
    ) -> None:
        """Lease up to `count` messages, waiting up to `timeout` seconds for the first.

        What waits is given at once, also when it is less; an empty list says that nothing came in
        time. Each message has a token of its own and is acknowledged for itself.
        """
        self._bounds.check_count("count", query.count)
        wish = self._bounds.wish(query, count=query.count)
        leases = await self._service.lease_many(
            wish.requests, timeout_s=wish.timeout_s, caller=HttpCaller(req)
        )
        resp.data = wire.encode(batches.leased_batch(leases))


class AckBatchResource(BatchesResource):
    """`/api/queue/ack/batch`."""

    @operation(
        "Acknowledge many messages",
        body=batches.AckBatchBody,
        body_example={"messages": [_HELD_EXAMPLE]},
        answers={
            200: Answer(description="An outcome for each", body=batches.AckOutcomes),
            400: INVALID,
            **REFUSALS,
        },
        security=KEY,
    )
    async def on_post(self, _req: Request, resp: Response, *, body: batches.AckBatchBody) -> None:
        """End leases with success, in one transaction; one that is refused fails alone."""
        self._bounds.check_length("messages", body.messages)
        outcomes = await _settle(
            body.messages,
            lambda _item, held: held,
            lambda helds: self._service.acknowledge_many(helds, now_ms=self._now_ms()),
        )
        resp.data = wire.encode(batches.ack_outcomes(body.messages, outcomes))


class NackBatchResource(BatchesResource):
    """`/api/queue/nack/batch`."""

    @operation(
        "Give many messages back",
        body=batches.NackBatchBody,
        body_example={"messages": [{**_HELD_EXAMPLE, "error": "Connection timeout"}]},
        answers={
            200: Answer(description="An outcome for each", body=batches.NackOutcomes),
            400: INVALID,
            **REFUSALS,
        },
        security=KEY,
    )
    async def on_post(self, _req: Request, resp: Response, *, body: batches.NackBatchBody) -> None:
        """Let messages wait again or die, in one transaction; one that is refused fails alone."""
        self._bounds.check_length("messages", body.messages)
        outcomes = await _settle(
            body.messages,
            lambda item, held: Rejection(held, item.error, wire.milliseconds(item.delay_seconds)),
            lambda rejections: self._service.reject_many(rejections, now_ms=self._now_ms()),
        )
        resp.data = wire.encode(batches.nack_outcomes(body.messages, outcomes))


async def _settle(
    items: Sequence[Item],
    wanted_of: Callable[[Item, Held], Wanted],
    submit: Callable[[Sequence[Wanted]], Awaitable[Sequence[Outcome | Exception]]],
) -> list[Outcome | StanchionError]:
    """Submit what the items want and return an outcome for each, in order.

    An id that no message can have is refused like one that none has, without asking. A fault is
    no refusal: it rises, although items that were settled stay so; a repeat settles the rest.
    """
    wanted: list[Wanted] = []
    unknown: dict[int, StanchionError] = {}
    for index, item in enumerate(items):
        try:
            wanted.append(wanted_of(item, Held(internal_id(item.id), item.lock_token)))
        except MessageNotFoundError as error:
            unknown[index] = error
    settled = iter(await submit(wanted))
    outcomes: list[Outcome | StanchionError] = []
    for index in range(len(items)):
        outcome = unknown[index] if index in unknown else next(settled)
        if isinstance(outcome, Exception) and not isinstance(outcome, StanchionError):
            raise outcome
        outcomes.append(outcome)
    return outcomes
