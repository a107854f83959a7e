"""What goes in and comes out, in Python's words."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypedDict

DEFAULT_QUEUE: Final = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """A message to enqueue; what is None is the server's default."""

    payload: Mapping[str, Any]
    type: str | None = None
    priority: int = 0  # 9 is delivered first
    max_attempts: int | None = None
    ack_timeout_s: int | None = None
    queue: str = DEFAULT_QUEUE
    delay_s: int = 0  # nobody gets it before
    group_key: str | None = None  # those with one key are given out one after the other
    dedup_id: str | None = None  # a repeat under this name is not stored again
    dedup_s: int | None = None  # how long the name is remembered
    dedup_replace: bool = False  # a repeat sets anew what the first one says while it waits


class NewMessageOptions(TypedDict, total=False):
    """The fields of `NewMessage` beside its payload, for those who name them in a call."""

    type: str | None
    priority: int
    max_attempts: int | None
    ack_timeout_s: int | None
    queue: str
    delay_s: int
    group_key: str | None
    dedup_id: str | None
    dedup_s: int | None
    dedup_replace: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """A message that is on disk; `due_at` is when it may be given out, None for at once.

    `is_duplicate` says that it was there before under its `dedup_id`.
    """

    id: str
    created_at: datetime
    due_at: datetime | None = None
    is_duplicate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message in the caller's hands until `locked_until`."""

    id: str
    type: str | None
    payload: dict[str, Any]
    priority: int
    lock_token: str
    locked_until: datetime
    attempt_count: int
    max_attempts: int
    created_at: datetime
    dequeued_at: datetime
    group_key: str | None = None

    @property
    def lease_s(self) -> float:
        """Return how long the lease was when it began."""
        return (self.locked_until - self.dequeued_at).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """A message that was given back: `queued` or `delayed`, or `dead` after its last attempt."""

    id: str
    status: str
    attempt_count: int
    max_attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one message of many: its new `status`, or None and why it was refused."""

    id: str
    status: str | None
    code: str | None = None
    message: str | None = None

    @property
    def is_refused(self) -> bool:
        """Say whether nothing was done."""
        return self.status is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many messages are in each state."""

    queued: int
    processing: int
    acknowledged: int
    dead: int
    archived: int
    delayed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeCounts:
    """How many messages of a type wait or are held."""

    queued: int
    processing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStatus:
    """The queue in detail; messages without a type stand under the empty name."""

    counts: Counts
    by_type: Mapping[str, TypeCounts]
    oldest_queued: datetime | None
    newest_queued: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened; `id` is its offset, None for a reading."""

    id: str | None
    name: str
    data: dict[str, Any]
