"""Many messages at once over HTTP: moved, deleted, redriven; seen before it is done."""

from collections.abc import Callable, Mapping
from typing import Annotated, ClassVar, Final, Literal

from falcon.asgi import Request, Response
from msgspec import UNSET, Meta, Struct, UnsetType

from api.auth.trail import signature_of
from api.http.reading import Body
from api.messages import bodies as wire
from api.messages.answers import INVALID, KEY, NO_QUEUE, REFUSALS, MessagesResource
from api.messages.bounds import MessageBounds
from api.messages.views import FilterQuery, filter_of
from api.openapi.operations import Answer, operation
from models.errors import InvalidError
from models.messages.filters import MessageFilter
from models.messages.mass import (
    Act,
    Done,
    Pace,
    Preview,
    deleting,
    moving,
    redriving,
)
from models.messages.mass_changes import MassChanges
from models.messages.rules import (
    MessageNotFoundError,
    MessageState,
    internal_id,
    priority_of,
    public_id,
)
from models.messages.service import MessageService

# The program behind the contract says `main` for what waits.
Status = Literal["queued", "delayed", "processing", "dead", "acknowledged", "archived", "main"]
Limit = Annotated[int, Meta(ge=1, le=1_000_000, description="most messages in this request")]
Rows = Annotated[int, Meta(ge=1, le=5_000, description="most messages in one transaction")]
Rate = Annotated[float, Meta(ge=0.001, le=10_000, description="due so many a second")]
Reason = Annotated[str, Meta(min_length=1, max_length=1_000, pattern=r"^[^\x00]+$")]
_MAIN: Final = frozenset({MessageState.QUEUED, MessageState.DELAYED})


class MessageReference(Struct, frozen=True):
    """A message by its id; what else is said of it is not read."""

    id: str


class FilterBody(FilterQuery, frozen=True, kw_only=True):
    """Messages for which all of this is true; an empty filter is all of them."""

    SPELLINGS: ClassVar[Mapping[str, str]] = {**FilterQuery.SPELLINGS, "state": "status"}

    status: Status | list[Status] | None = None


class ManyBody(Body, frozen=True, kw_only=True):
    """Which messages: named by `ids`, or by a `filter`, which a preview comes before."""

    SPELLINGS: ClassVar[Mapping[str, str]] = {
        "messageIds": "ids",
        "messages": "ids",
        "fromQueue": "status",
        "toQueue": "to",
        "errorReason": "reason",
        "error_reason": "reason",
        "resetAttempts": "reset_attempts",
        "ratePerSecond": "rate_per_second",
        "rowsPerTransaction": "rows_per_transaction",
    }

    ids: Annotated[list[str | MessageReference], Meta(min_length=1, max_length=10_000)] | None = (
        None
    )
    filter: FilterBody | None = None
    preview: bool = False
    confirm: Annotated[str, Meta(max_length=200)] | None = None
    limit: Limit = 100_000
    rows_per_transaction: Rows = 500


class MoveBody(ManyBody, frozen=True, kw_only=True):
    """Where to: another `queue`, another state (`to`), or both; `status` is where they are now."""

    queue: wire.QueueName | None = None
    to: Literal["queued", "dead", "main"] | None = None
    reason: Reason | None = None
    status: Status | None = None


class DeleteManyBody(ManyBody, frozen=True, kw_only=True):
    """What to delete; messages that are held only with `force`."""

    force: bool = False


class DeleteManyQuery(Body, frozen=True):
    """In which state the messages are that are named."""

    SPELLINGS: ClassVar[Mapping[str, str]] = {"queueType": "status"}

    status: Status | None = None


class RedriveBody(ManyBody, frozen=True, kw_only=True):
    """Which dead messages wait again, where and how fast."""

    queue: wire.QueueName | None = None
    reset_attempts: bool = True
    rate_per_second: Rate | None = None


class SampleMessage(Struct, frozen=True, kw_only=True):
    """One of the messages that an act is for."""

    id: str
    queue: str
    type: str | None
    status: str
    priority: int
    attempt_count: int
    max_attempts: int
    created_at: str
    last_error: str | None


class Skipped(Struct, frozen=True):
    """A named message that was left alone, and its state; null: there is none of this id."""

    id: str
    status: str | None


class ManyAnswer(Struct, frozen=True, kw_only=True):
    """How many it would be and some of them, or how many it were and how many are left.

    `confirm` is what the same request brings next to be done, or to go on.
    """

    preview: bool
    count: int
    confirm: str | UnsetType = UNSET
    left: int | UnsetType = UNSET
    sample: list[SampleMessage] | UnsetType = UNSET
    skipped: list[Skipped] | UnsetType = UNSET


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
        act, chosen, now_ms = _within(act, body.filter), _chosen(body.filter), self._now_ms()
        if body.preview:
            return _preview(await self._mass.preview(act, chosen, now_ms=now_ms))
        if body.confirm is None:
            raise InvalidError({"confirm": "Required with a filter: that of a preview"})
        done = await self._mass.act(
            act, chosen, body.confirm, signature_of(req), pace=_pace(body), now_ms=now_ms
        )
        return _done(done)

    async def _answer_named(self, req: Request, act: Act, body: ManyBody) -> ManyAnswer:
        assert body.ids is not None
        self._bounds.check_length("ids", body.ids)
        ids = list(dict.fromkeys(_id(index, each) for index, each in enumerate(body.ids)))
        if body.preview:
            return _preview(await self._mass.preview_named(act, ids))
        done = await self._mass.act_named(
            act, ids, signature_of(req), pace=_pace(body), now_ms=self._now_ms()
        )
        return _done(done)


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
        resp.data = wire.encode(await self._answer(req, _in(act, body.status), body))


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
        act = _in(deleting(force=body.force), query.status)
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


def _chosen(body: FilterBody) -> MessageFilter:
    try:
        return filter_of(body)
    except InvalidError as error:
        raise InvalidError(
            {f"filter.{name}": said for name, said in error.details.items()}
        ) from None


def _within(act: Act, body: FilterBody) -> Act:
    """Return an act for the states that a filter names."""
    named = [body.status] if isinstance(body.status, str) else body.status
    if not named:
        return act.unless_said
    return act.within(frozenset().union(*map(_states, named)), "filter.status")


def _in(act: Act, status: Status | None) -> Act:
    """Return an act for messages in one state only."""
    return act if status is None else act.within(_states(status), "status")


def _states(status: Status) -> frozenset[MessageState]:
    return _MAIN if status == "main" else frozenset({MessageState(status)})


def _pace(body: ManyBody) -> Pace:
    return Pace(messages_max=body.limit, rows_per_transaction=body.rows_per_transaction)


def _id(index: int, given: str | MessageReference) -> int:
    try:
        return internal_id(given if isinstance(given, str) else given.id)
    except MessageNotFoundError:
        raise InvalidError({f"ids[{index}]": f"Expected an id such as {public_id(1)}"}) from None


def _preview(found: Preview) -> ManyAnswer:
    return ManyAnswer(
        preview=True,
        count=found.count,
        confirm=found.confirm or UNSET,
        sample=[
            SampleMessage(
                id=public_id(row["id"]),
                queue=row["queue"],
                type=row["type"],
                status=state.value,
                priority=priority_of(row["lane"]),
                attempt_count=row["attempt_count"],
                max_attempts=row["max_attempts"],
                created_at=wire.moment(row["created_at_ms"]),
                last_error=row["last_error"],
            )
            for state, row in found.sample
        ],
    )


def _done(done: Done) -> ManyAnswer:
    return ManyAnswer(
        preview=False,
        count=done.count,
        left=done.left,
        confirm=done.confirm or UNSET,
        skipped=[
            Skipped(public_id(message_id), None if state is None else state.value)
            for message_id, state in done.skipped.items()
        ]
        or UNSET,
    )
