"""The wire of messages: what comes in, what goes out. Source: the messages contract."""

import functools
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Final

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from api.http.reading import Body
from models.clock import iso_utc
from models.messages.policies import QUEUE_NAME_PATTERN
from models.messages.rules import (
    DEFAULT_QUEUE,
    Counts,
    Enqueued,
    Lease,
    QueueStatus,
    Returned,
    public_id,
)

Name = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
Token = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")]
Seconds = Annotated[int, Meta(ge=1, le=31_536_000)]
Delay = Annotated[int, Meta(ge=0, le=31_536_000, description="seconds in which nobody gets it")]
Timeout = Annotated[int, Meta(ge=0, le=3_600, description="seconds to wait; 0 does not wait")]
QueueName = Annotated[str, Meta(pattern=QUEUE_NAME_PATTERN, description="a queue that was made")]
GroupKey = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=255,
        pattern=r"^[^\x00-\x1f\x7f]+$",
        description="messages of a queue with the same key are delivered one after the other",
    ),
]
DedupId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=255,
        pattern=r"^[^\x00-\x1f\x7f]+$",
        description="a repeat with the same name, within its time, is not stored again",
    ),
]
DedupSeconds = Annotated[
    int, Meta(ge=1, le=604_800, description="how long a `dedup_id` is remembered")
]
Priority = Annotated[int, Meta(ge=0, le=9, description="9 is delivered first")]
Attempts = Annotated[int, Meta(ge=1, le=10_000)]
Payload = Annotated[
    Raw, Meta(description="echoed to the letter", extra_json_schema={"type": "object"})
]
# The messages of one commit share their moments, and those of a moment ago come back soon.
moment: Final = functools.lru_cache(maxsize=4096)(iso_utc)
_MESSAGE_SPELLINGS = {
    "maxAttempts": "max_attempts",
    "ackTimeout": "ack_timeout_seconds",
    "groupKey": "group_key",
    "dedupId": "dedup_id",
}


class NewMessageBody(Body, frozen=True):
    """A message to enqueue."""

    SPELLINGS: ClassVar[Mapping[str, str]] = _MESSAGE_SPELLINGS

    payload: Payload
    type: Name | None = None
    priority: Priority = 0
    max_attempts: Attempts | None = None
    ack_timeout_seconds: Seconds | None = None
    queue: QueueName = DEFAULT_QUEUE
    delay_seconds: Delay = 0
    group_key: GroupKey | None = None
    dedup_id: DedupId | None = None
    dedup_seconds: DedupSeconds | None = None
    dedup_replace: bool = False


class BatchBody(Body, frozen=True):
    """Messages to enqueue together; a bare array is understood too."""

    BARE_ARRAY: ClassVar[str] = "messages"

    messages: Annotated[list[NewMessageBody], Meta(min_length=1, max_length=10_000)]


class DequeueQuery(Body, frozen=True):
    """How to wait for a message."""

    SPELLINGS: ClassVar[Mapping[str, str]] = {
        "consumerId": "consumer_id",
        "ackTimeout": "ack_timeout_seconds",
    }

    timeout: Timeout | None = None
    type: Name | None = None
    consumer_id: Name | None = None
    ack_timeout_seconds: Seconds | None = None
    queue: QueueName = DEFAULT_QUEUE


class CountQuery(Body, frozen=True):
    """Which messages to count: those of one queue, or all."""

    queue: QueueName | None = None


class HeldBody(Body, frozen=True):
    """A message and the token that holds it."""

    SPELLINGS: ClassVar[Mapping[str, str]] = {"lockToken": "lock_token"}

    id: str
    lock_token: Token


class AckBody(HeldBody, frozen=True):
    """Which message was dealt with, and, with `next`, how to wait for the next one."""

    next: DequeueQuery | None = None


class NackBody(Body, frozen=True):
    """Why a message is given back."""

    SPELLINGS: ClassVar[Mapping[str, str]] = {
        "lockToken": "lock_token",
        "errorReason": "error",
        "error_reason": "error",
    }

    lock_token: Token
    error: str | None = None
    delay_seconds: Delay | None = None


class TouchBody(Body, frozen=True):
    """How much longer a message is needed."""

    SPELLINGS: ClassVar[Mapping[str, str]] = {
        "lockToken": "lock_token",
        "extendSeconds": "extend_seconds",
    }

    lock_token: Token
    extend_seconds: Seconds | None = None


class QueuedMessage(Struct, frozen=True):
    """A message that is on disk; `delayed` until `due_at`, if that is asked for, else `queued`.

    `duplicate` says that it was there before under its `dedup_id`: `id` is the first one's.
    """

    id: str
    type: str | None
    payload: Payload
    priority: int
    status: str
    created_at: str
    due_at: str | UnsetType = UNSET
    duplicate: bool | UnsetType = UNSET


class LeasedMessage(Struct, frozen=True):
    """A message in the hands of its consumer."""

    id: str
    type: str | None
    payload: Payload
    priority: int
    status: str
    lock_token: str
    locked_until: str
    attempt_count: int
    max_attempts: int
    created_at: str
    dequeued_at: str
    group_key: str | UnsetType = UNSET


class QueuedItem(Struct, frozen=True):
    """One of a batch that is on disk; `duplicate` says that it was there before."""

    id: str
    status: str
    duplicate: bool | UnsetType = UNSET


class QueuedBatch(Struct, frozen=True):
    """A batch that is on disk, in the order it was sent."""

    count: int
    messages: list[QueuedItem]


class Acknowledged(Struct, frozen=True):
    """A message that was dealt with; `next` is there if it was asked for."""

    id: str
    status: str
    acknowledged_at: str
    next: LeasedMessage | UnsetType | None = UNSET


class Rejected(Struct, frozen=True):
    """A message that waits again (`queued`, `delayed`) or had its last attempt (`dead`)."""

    id: str
    status: str
    attempt_count: int
    max_attempts: int
    due_at: str | UnsetType = UNSET


class Touched(Struct, frozen=True):
    """A lease with its new end."""

    id: str
    locked_until: str


class Metrics(Struct, frozen=True):
    """How many messages are in each state; `delayed` only while there are any."""

    queued: int
    processing: int
    acknowledged: int
    dead: int
    archived: int
    total: int
    delayed: int | UnsetType = UNSET


class StateCounts(Struct, frozen=True):
    """How many messages are in each state; `delayed` only while there are any."""

    queued: int
    processing: int
    acknowledged: int
    dead: int
    archived: int
    delayed: int | UnsetType = UNSET


class TypeCounts(Struct, frozen=True):
    """How many messages of a type wait or are held."""

    queued: int
    processing: int


class Status(Struct, frozen=True):
    """The queue in detail; messages without a type stand under the empty name."""

    counts: StateCounts
    by_type: dict[str, TypeCounts]
    oldest_queued: str | None
    newest_queued: str | None


class MessagesError(Struct, frozen=True, omit_defaults=True):
    """Why a request was refused."""

    error: str
    message: str | UnsetType = UNSET
    code: str | UnsetType = UNSET
    details: dict[str, str] | UnsetType = UNSET


def queued_message(stored: Enqueued, body: NewMessageBody) -> QueuedMessage:
    """Answer an enqueue."""
    return QueuedMessage(
        id=public_id(stored.ids[0]),
        type=body.type,
        payload=body.payload,
        priority=body.priority,
        status=_status(body),
        created_at=moment(stored.created_at_ms),
        due_at=(
            moment(stored.created_at_ms + body.delay_seconds * 1000)
            if body.delay_seconds
            else UNSET
        ),
        duplicate=True if stored.repeated else UNSET,
    )


def _status(body: NewMessageBody) -> str:
    return "delayed" if body.delay_seconds else "queued"


def queued_batch(stored: Enqueued, bodies: Sequence[NewMessageBody]) -> QueuedBatch:
    """Answer an enqueue of many."""
    items = [
        QueuedItem(public_id(message_id), _status(body), True if turn in stored.repeated else UNSET)
        for turn, (message_id, body) in enumerate(zip(stored.ids, bodies, strict=True))
    ]
    return QueuedBatch(len(items), items)


def leased_message(lease: Lease) -> LeasedMessage:
    """Answer a dequeue."""
    return LeasedMessage(
        id=public_id(lease.id),
        type=lease.type,
        payload=Raw(lease.payload.encode()),
        priority=lease.priority,
        status="processing",
        lock_token=lease.lock_token,
        locked_until=moment(lease.lease_until_ms),
        attempt_count=lease.attempt_count,
        max_attempts=lease.max_attempts,
        created_at=moment(lease.created_at_ms),
        dequeued_at=moment(lease.leased_at_ms),
        group_key=UNSET if lease.group_key is None else lease.group_key,
    )


def milliseconds(seconds: int | None) -> int | None:
    """Return a length of time as services take it; None stays none."""
    return None if seconds is None else seconds * 1000


def rejected(returned: Returned) -> Rejected:
    """Answer a nack."""
    return Rejected(
        id=public_id(returned.id),
        status=returned.state.value,
        attempt_count=returned.attempt_count,
        max_attempts=returned.max_attempts,
        due_at=moment_or_unset(returned.due_at_ms),
    )


def metrics(counts: Counts) -> Metrics:
    """Answer how many there are."""
    return Metrics(**_numbers(counts), total=counts.total, delayed=counts.delayed or UNSET)


def status(of: QueueStatus) -> Status:
    """Answer in detail."""
    return Status(
        counts=state_counts(of.counts),
        by_type={
            type_: TypeCounts(queued=counts.queued, processing=counts.processing)
            for type_, counts in sorted(of.by_type.items())
        },
        oldest_queued=moment_or_none(of.oldest_queued_at_ms),
        newest_queued=moment_or_none(of.newest_queued_at_ms),
    )


def moment_or_unset(at_ms: int | None) -> str | UnsetType:
    """Return a moment as the wire writes it, and nothing for none."""
    return UNSET if at_ms is None else moment(at_ms)


def state_counts(counts: Counts) -> StateCounts:
    """Answer how many there are in each state."""
    return StateCounts(**_numbers(counts), delayed=counts.delayed or UNSET)


def _numbers(counts: Counts) -> dict[str, int]:
    names = ("queued", "processing", "acknowledged", "dead", "archived")
    return {name: getattr(counts, name) for name in names}


def moment_or_none(at_ms: int | None) -> str | None:
    """Return a moment as the wire writes it."""
    return None if at_ms is None else moment(at_ms)


encode = msgspec.json.Encoder().encode
