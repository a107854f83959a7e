"""The requests and what their answers mean; how they travel is each client's business."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Generic, TypedDict, TypeVar

from stanchion_client.facts import (
    DEFAULT_QUEUE,
    Counts,
    Message,
    NewMessage,
    Outcome,
    Queued,
    QueueStatus,
    Returned,
    TypeCounts,
)

Result = TypeVar("Result")

WAIT_DEFAULT_S: Final = 30
EVENTS_PATH: Final = "/api/queue/events"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[Result]):
    """One request: `read` makes the result of its answer."""

    method: str
    path: str
    read: Callable[[Any], Result]
    query: Mapping[str, str | int] = field(default_factory=dict)
    body: Any = None
    waits_s: float = 0  # how long the server may take on purpose
    is_none: str | None = None  # the code of a refusal that stands for "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How to wait for messages."""

    timeout_s: int = WAIT_DEFAULT_S
    type: str | None = None
    consumer_id: str | None = None
    ack_timeout_s: int | None = None
    queue: str = DEFAULT_QUEUE

    @property
    def query(self) -> dict[str, str | int]:
        """Return the parameters of a dequeue."""
        return _given(
            timeout=self.timeout_s,
            type=self.type,
            consumer_id=self.consumer_id,
            ack_timeout_seconds=self.ack_timeout_s,
            queue=_other_queue(self.queue),
        )


class WishOptions(TypedDict, total=False):
    """The fields of `Wish`, for those who name them in a call."""

    timeout_s: int
    type: str | None
    consumer_id: str | None
    ack_timeout_s: int | None
    queue: str


def enqueue(message: NewMessage) -> Call[Queued]:
    """Store a message."""
    return Call(method="POST", path="/api/queue/message", body=_new(message), read=_read_queued)


def enqueue_many(messages: Sequence[NewMessage]) -> Call[list[str]]:
    """Store messages, all or none."""
    return Call(
        method="POST",
        path="/api/queue/batch",
        body={"messages": [_new(each) for each in messages]},
        read=lambda told: [each["id"] for each in told["messages"]],
    )


def receive(wish: Wish) -> Call[Message | None]:
    """Lease the next message; None if none comes in time."""
    return Call(
        method="GET",
        path="/api/queue/message",
        query=wish.query,
        read=_read_message,
        waits_s=wish.timeout_s,
        is_none="NO_MESSAGES",
    )


def receive_many(count: int, wish: Wish) -> Call[list[Message]]:
    """Lease the next messages, at most `count`."""
    return Call(
        method="GET",
        path="/api/queue/messages/batch",
        query={"count": count, **wish.query},
        read=lambda told: [_read_message(each) for each in told["messages"]],
        waits_s=wish.timeout_s,
    )


def ack(message: Message) -> Call[datetime]:
    """End a lease with success."""
    return Call(
        method="POST",
        path="/api/queue/ack",
        body=_held(message),
        read=lambda told: _moment(told["acknowledged_at"]),
    )


def ack_next(message: Message, wish: Wish) -> Call[Message | None]:
    """End a lease with success, and lease the next message; None if none comes in time."""
    return Call(
        method="POST",
        path="/api/queue/ack",
        body={**_held(message), "next": wish.query},
        read=lambda told: None if told["next"] is None else _read_message(told["next"]),
        waits_s=wish.timeout_s,
    )


def ack_many(messages: Sequence[Message]) -> Call[list[Outcome]]:
    """End leases with success, each for itself."""
    return Call(
        method="POST",
        path="/api/queue/ack/batch",
        body={"messages": [_held(each) for each in messages]},
        read=_read_outcomes,
    )


def nack(message: Message, error: str | None, delay_s: int | None = None) -> Call[Returned]:
    """Give a message back."""
    return Call(
        method="POST",
        path=f"/api/queue/message/{message.id}/nack",
        body={
            "lock_token": message.lock_token,
            **_given(error=error, delay_seconds=delay_s),
        },
        read=lambda told: Returned(
            id=told["id"],
            status=told["status"],
            attempt_count=told["attempt_count"],
            max_attempts=told["max_attempts"],
        ),
    )


def nack_many(
    messages: Sequence[Message], error: str | None, delay_s: int | None = None
) -> Call[list[Outcome]]:
    """Give messages back, each for itself."""
    said = _given(error=error, delay_seconds=delay_s)
    return Call(
        method="POST",
        path="/api/queue/nack/batch",
        body={"messages": [{**_held(each), **said} for each in messages]},
        read=_read_outcomes,
    )


def touch(message: Message, extend_s: int | None) -> Call[datetime]:
    """Let a lease end later."""
    return Call(
        method="PUT",
        path=f"/api/queue/message/{message.id}/touch",
        body={"lock_token": message.lock_token, **_given(extend_seconds=extend_s)},
        read=lambda told: _moment(told["locked_until"]),
    )


def status(queue: str | None) -> Call[QueueStatus]:
    """Ask for one queue, or all together, in detail."""
    query = _given(queue=queue)
    return Call(method="GET", path="/api/queue/status", query=query, read=_read_status)


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _new(message: NewMessage) -> dict[str, Any]:
    return _given(
        payload=message.payload,
        type=message.type,
        priority=message.priority,
        max_attempts=message.max_attempts,
        ack_timeout_seconds=message.ack_timeout_s,
        queue=_other_queue(message.queue),
        delay_seconds=message.delay_s or None,
        group_key=message.group_key,
        dedup_id=message.dedup_id,
        dedup_seconds=message.dedup_s,
        dedup_replace=message.dedup_replace or None,
    )


def _other_queue(name: str) -> str | None:
    """Return what is said of a queue: nothing of the default, as before there were others."""
    return None if name == DEFAULT_QUEUE else name


def _held(message: Message) -> dict[str, str]:
    return {"id": message.id, "lock_token": message.lock_token}


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _read_queued(told: Any) -> Queued:
    due_at = told.get("due_at")
    return Queued(
        id=told["id"],
        created_at=_moment(told["created_at"]),
        due_at=None if due_at is None else _moment(due_at),
        is_duplicate=told.get("duplicate", False),
    )


def _read_message(told: Any) -> Message:
    return Message(
        id=told["id"],
        type=told["type"],
        payload=told["payload"],
        priority=told["priority"],
        lock_token=told["lock_token"],
        locked_until=_moment(told["locked_until"]),
        attempt_count=told["attempt_count"],
        max_attempts=told["max_attempts"],
        created_at=_moment(told["created_at"]),
        dequeued_at=_moment(told["dequeued_at"]),
        group_key=told.get("group_key"),
    )


def _read_outcomes(told: Any) -> list[Outcome]:
    return [
        Outcome(
            id=each["id"],
            status=each.get("status"),
            code=each.get("code"),
            message=each.get("message"),
        )
        for each in told["messages"]
    ]


def _read_status(told: Any) -> QueueStatus:
    counts, oldest, newest = told["counts"], told["oldest_queued"], told["newest_queued"]
    return QueueStatus(
        counts=Counts(
            queued=counts["queued"],
            processing=counts["processing"],
            acknowledged=counts["acknowledged"],
            dead=counts["dead"],
            archived=counts["archived"],
            delayed=counts.get("delayed", 0),
        ),
        by_type={
            name: TypeCounts(queued=each["queued"], processing=each["processing"])
            for name, each in told["by_type"].items()
        },
        oldest_queued=None if oldest is None else _moment(oldest),
        newest_queued=None if newest is None else _moment(newest),
    )
