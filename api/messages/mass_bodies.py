"""The wire of many messages at once: what is chosen, what was done or would be."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from api.http.reading import Body
from api.messages import bodies as wire
from api.messages.views import FilterQuery, filter_of
from models.errors import InvalidError
from models.messages.filters import MessageFilter
from models.messages.mass import Act, Done, Pace, Preview
from models.messages.rules import (
    MessageNotFoundError,
    MessageState,
    internal_id,
    priority_of,
    public_id,
)

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


def chosen_by(body: FilterBody) -> MessageFilter:
    """Return what a filter asks for; raises InvalidError with the names of `filter`'s fields."""
    try:
        return filter_of(body)
    except InvalidError as error:
        raise InvalidError(
            {f"filter.{name}": said for name, said in error.details.items()}
        ) from None


def within(act: Act, body: FilterBody) -> Act:
    """Return an act for the states that a filter names."""
    named = [body.status] if isinstance(body.status, str) else body.status
    if not named:
        return act.unless_said
    return act.within(frozenset().union(*map(_states, named)), "filter.status")


def act_in(act: Act, status: Status | None) -> Act:
    """Return an act for messages in one state only."""
    return act if status is None else act.within(_states(status), "status")


def _states(status: Status) -> frozenset[MessageState]:
    return _MAIN if status == "main" else frozenset({MessageState(status)})


def pace_of(body: ManyBody) -> Pace:
    """Return how many messages at most, in how many transactions."""
    return Pace(messages_max=body.limit, rows_per_transaction=body.rows_per_transaction)


def id_of(index: int, given: str | MessageReference) -> int:
    """Return the id that an item of `ids` names; raises InvalidError with its place."""
    try:
        return internal_id(given if isinstance(given, str) else given.id)
    except MessageNotFoundError:
        raise InvalidError({f"ids[{index}]": f"Expected an id such as {public_id(1)}"}) from None


def preview_answer(found: Preview) -> ManyAnswer:
    """Return what would be done, and the `confirm` that does it."""
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


def done_answer(done: Done) -> ManyAnswer:
    """Return what was done, and what was left alone."""
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
