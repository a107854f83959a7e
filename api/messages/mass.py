"""Many messages at once over HTTP: moved, deleted, redriven; seen before it is done."""

from collections.abc import Callable, Mapping
from typing import Final

from falcon.asgi import Request, Response

from api.auth.trail import signature_of
from api.messages import bodies as wire
from api.messages.answers import INVALID, KEY, NO_QUEUE, REFUSALS, MessagesResource
from api.messages.bounds import MessageBounds
from api.messages.mass_bodies import (
    DeleteManyBody,
    DeleteManyQuery,
    ManyAnswer,
    ManyBody,
    MoveBody,
    RedriveBody,
    act_in,
    chosen_by,
    done_answer,
    id_of,
    pace_of,
    preview_answer,
    within,
)
from api.openapi.operations import Answer, operation
from models.errors import InvalidError
from models.messages.mass import Act, deleting, moving, redriving
from models.messages.mass_changes import MassChanges
from models.messages.rules import MessageState, public_id
from models.messages.service import MessageService

_ANSWERS: Final[Mapping[int, Answer]] = {
    200: Answer(description="It is done, or what would be", body=ManyAnswer),
    400: INVALID,
    404: NO_QUEUE,
    409: Answer(
        description="`confirm` is of another request, or of another number of messages",
        body=wire.MessagesError,
    ),
    **REFUSALS,
}
_EXAMPLE: Final = {"filter": {"queue": "default", "type": "email_send"}, "preview": True}


class _ManyResource(MessagesResource):
    """Acts on many messages."""

    def __init__(
        self, service: MessageService, bounds: MessageBounds, now_ms: Callable[[], int]
    ) -> None:
        super().__init__(service, bounds, now_ms)
        self._mass: Final[MassChanges] = service.mass

    async def _answer(self, req: Request, act: Act, body: ManyBody) -> ManyAnswer:
        """Show or do what a body asks for."""
        if (body.ids is None) == (body.filter is None):
            raise InvalidError({"ids": "Expected either `ids` or a `filter`"})
        if body.ids is not None:
            return await self._answer_named(req, act, body)
        assert body.filter is not None
        act, chosen, now_ms = within(act, body.filter), chosen_by(body.filter), self._now_ms()
        if body.preview:
            return preview_answer(await self._mass.preview(act, chosen, now_ms=now_ms))
        if body.confirm is None:
            raise InvalidError({"confirm": "Required with a filter: that of a preview"})
        done = await self._mass.act(
            act, chosen, body.confirm, signature_of(req), pace=pace_of(body), now_ms=now_ms
        )
        return done_answer(done)

    async def _answer_named(self, req: Request, act: Act, body: ManyBody) -> ManyAnswer:
        assert body.ids is not None
        self._bounds.check_length("ids", body.ids)
        ids = list(dict.fromkeys(id_of(index, each) for index, each in enumerate(body.ids)))
        if body.preview:
            return preview_answer(await self._mass.preview_named(act, ids))
        done = await self._mass.act_named(
            act, ids, signature_of(req), pace=pace_of(body), now_ms=self._now_ms()
        )
        return done_answer(done)


class MoveResource(_ManyResource):
    """`/api/queue/move`."""

    @operation(
        "Move messages",
        body=MoveBody,
        body_example={"ids": [public_id(1)], "queue": "default", "to": "queued"},
        answers=_ANSWERS,
        security=KEY,
    )
    async def on_post(self, req: Request, resp: Response, *, body: MoveBody) -> None:
        """Move messages to another queue, or from delayed or dead to waiting, or to the dead.

        Without `to` each keeps its state and its due time. Named ones are moved at once; by a
        filter first comes a request with `preview`, then the same with its `confirm`.
        """
        state = MessageState.QUEUED if body.to == "main" else body.to
        act = moving(
            queue=body.queue,
            state=None if state is None else MessageState(state),
            reason=body.reason,
        )
        resp.data = wire.encode(await self._answer(req, act_in(act, body.status), body))


class DeleteManyResource(_ManyResource):
    """`/api/queue/messages/delete`."""

    @operation(
        "Delete messages",
        body=DeleteManyBody,
        body_example=_EXAMPLE,
        query=DeleteManyQuery,
        answers=_ANSWERS,
        security=KEY,
    )
    async def on_post(
        self, req: Request, resp: Response, *, body: DeleteManyBody, query: DeleteManyQuery
    ) -> None:
        """Delete messages; a filter without a state is for those that wait, are delayed or dead.

        Named ones go at once; by a filter first comes a request with `preview`, then the same
        with its `confirm`.
        """
        act = act_in(deleting(force=body.force), query.status)
        resp.data = wire.encode(await self._answer(req, act, body))


class RedriveResource(_ManyResource):
    """`/api/queue/dead/redrive`."""

    @operation(
        "Redrive dead messages",
        body=RedriveBody,
        body_example={**_EXAMPLE, "rate_per_second": 50},
        answers=_ANSWERS,
        security=KEY,
    )
    async def on_post(self, req: Request, resp: Response, *, body: RedriveBody) -> None:
        """Let dead messages wait again, in their queue or another, at their old places.

        With `rate_per_second` each is delayed until its turn. Their attempts begin anew unless
        `reset_attempts` is false: then each has one more. Named ones go at once; by a filter first
        comes a request with `preview`, then the same with its `confirm`.
        """
        act = redriving(
            queue=body.queue,
            resets_attempts=body.reset_attempts,
            rate_per_s=body.rate_per_second,
        )
        resp.data = wire.encode(await self._answer(req, act, body))


def routes_of(
    service: MessageService, bounds: MessageBounds, now_ms: Callable[[], int]
) -> list[tuple[str, object]]:
    """Return what answers for many messages, by path."""
    return [
        ("/api/queue/move", MoveResource(service, bounds, now_ms)),
        ("/api/queue/messages/delete", DeleteManyResource(service, bounds, now_ms)),
        ("/api/queue/dead/redrive", RedriveResource(service, bounds, now_ms)),
    ]
