"""The wire of batches: many messages out at once, many acks and nacks in."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

from msgspec import UNSET, Meta, Struct, UnsetType

from api.http.errors import phrase, sentence_of, status_of
from api.http.reading import Body
from api.messages import bodies as wire
from models.errors import StanchionError
from models.messages.rules import Lease, Returned

_ITEMS = Meta(min_length=1, max_length=10_000)


class BatchDequeueQuery(wire.DequeueQuery, frozen=True):
    """How to wait for messages, and for how many at most."""

    count: Annotated[int, Meta(ge=1, le=10_000, description="messages at most")] = 10


class AckBatchBody(Body, frozen=True):
    """Messages that were dealt with; a bare array is understood too."""

    BARE_ARRAY: ClassVar[str] = "messages"

    messages: Annotated[list[wire.HeldBody], _ITEMS]


class NackItem(wire.NackBody, frozen=True, kw_only=True):
    """One message that is given back."""

    id: str


class NackBatchBody(Body, frozen=True):
    """Messages that are given back; a bare array is understood too."""

    BARE_ARRAY: ClassVar[str] = "messages"

    messages: Annotated[list[NackItem], _ITEMS]


class LeasedBatch(Struct, frozen=True):
    """Messages in the hands of their consumer, in order of delivery; none if none came in time."""

    count: int
    messages: list[wire.LeasedMessage]


class _Outcome(Struct, frozen=True, kw_only=True):
    """What became of one item: `status`, or `error`, `message` and `code` as of a request."""

    id: str
    status: str | UnsetType = UNSET
    error: str | UnsetType = UNSET
    message: str | UnsetType = UNSET
    code: str | UnsetType = UNSET


class AckOutcome(_Outcome, frozen=True, kw_only=True):
    """What became of one ack: `status` or `error`."""

    acknowledged_at: str | UnsetType = UNSET


class NackOutcome(_Outcome, frozen=True, kw_only=True):
    """What became of one nack: `status` or `error`."""

    attempt_count: int | UnsetType = UNSET
    max_attempts: int | UnsetType = UNSET
    due_at: str | UnsetType = UNSET


class AckOutcomes(Struct, frozen=True):
    """What became of each item, in the order they were sent; `failed` counts the refused ones."""

    count: int
    failed: int
    messages: list[AckOutcome]


class NackOutcomes(Struct, frozen=True):
    """What became of each item, in the order they were sent; `failed` counts the refused ones."""

    count: int
    failed: int
    messages: list[NackOutcome]


def leased_batch(leases: Sequence[Lease]) -> LeasedBatch:
    """Answer a dequeue of many."""
    return LeasedBatch(len(leases), [wire.leased_message(lease) for lease in leases])


def ack_outcomes(
    items: Sequence[wire.HeldBody], outcomes: Sequence[int | StanchionError]
) -> AckOutcomes:
    """Answer acks."""
    return AckOutcomes(
        len(items),
        _count_refused(outcomes),
        [_ack_outcome(item.id, outcome) for item, outcome in zip(items, outcomes, strict=True)],
    )


def nack_outcomes(
    items: Sequence[NackItem], outcomes: Sequence[Returned | StanchionError]
) -> NackOutcomes:
    """Answer nacks."""
    return NackOutcomes(
        len(items),
        _count_refused(outcomes),
        [_nack_outcome(item.id, outcome) for item, outcome in zip(items, outcomes, strict=True)],
    )


def _ack_outcome(message_id: str, outcome: int | StanchionError) -> AckOutcome:
    if isinstance(outcome, StanchionError):
        error, message, code = _refusal(outcome)
        return AckOutcome(id=message_id, error=error, message=message, code=code)
    return AckOutcome(id=message_id, status="acknowledged", acknowledged_at=wire.moment(outcome))


def _nack_outcome(message_id: str, outcome: Returned | StanchionError) -> NackOutcome:
    if isinstance(outcome, StanchionError):
        error, message, code = _refusal(outcome)
        return NackOutcome(id=message_id, error=error, message=message, code=code)
    return NackOutcome(
        id=message_id,
        status=outcome.state.value,
        attempt_count=outcome.attempt_count,
        max_attempts=outcome.max_attempts,
        due_at=wire.moment_or_unset(outcome.due_at_ms),
    )


def _refusal(error: StanchionError) -> tuple[str, str, str]:
    return phrase(status_of(error)), sentence_of(error), error.code


def _count_refused(outcomes: Sequence[object]) -> int:
    return sum(isinstance(outcome, StanchionError) for outcome in outcomes)
