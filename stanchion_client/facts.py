"""What goes in and comes out, in Python's words."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """A message to enqueue; what is None is the server's default."""

    payload: Mapping[str, Any]
    type: str | None = None
    priority: int = 0  # 9 is delivered first
    max_attempts: int | None = None
    ack_timeout_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """A message that is on disk."""

    id: str
    created_at: datetime


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

    @property
    def lease_s(self) -> float:
        """Return how long the lease was when it began."""
        return (self.locked_until - self.dequeued_at).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """A message that was given back: `queued` again, or `dead` after its last attempt."""

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
