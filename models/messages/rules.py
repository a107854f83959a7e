"""Values and arithmetic of the messages queue; no I/O, no clock, no randomness."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from msgspec import Struct

from models.errors import ConflictError, NotFoundError

PRIORITY_MAX: Final = 9
ATTEMPTS_DEFAULT: Final = 3
LEASE_DEFAULT_MS: Final = 30_000
# No lease is shorter, so whoever looked for lapsed leases need not look again within this time.
LEASE_MIN_MS: Final = 1_000
DEFAULT_QUEUE: Final = "default"
LAPSED: Final = "lease expired"
NO_REASON: Final = "given back without a reason"
# What a consumer says about a failure is for people to read; the rest of a long trace is cut off.
ERROR_CHARACTERS_MAX: Final = 10_000

_PUBLIC_ID: Final = re.compile(r"msg_[0-9a-f]{16}")


class MessageState(StrEnum):
    """Where a message is; the words of the wire."""

    QUEUED = "queued"
    DELAYED = "delayed"
    PROCESSING = "processing"
    ACKNOWLEDGED = "acknowledged"
    DEAD = "dead"
    ARCHIVED = "archived"


class WaitsFor(StrEnum):
    """What a message that was put aside waits for."""

    GROUP = "group"  # the messages of its group that came before
    PAUSE = "pause"  # the end of a pause of its type or its group


@dataclass(frozen=True, slots=True)
class Once:
    """A name under which something is stored once: whoever repeats it in time gets the first."""

    key: str
    keep_ms: int  # from the first
    fingerprint: str = ""  # of what was sent; another one under the same name is refused
    # A repeat sets the first anew while that waits, and its time begins again.
    replaces: bool = False


class NewMessage(Struct, frozen=True):
    """A message on its way in. `payload` is JSON text, kept to the letter."""

    payload: str
    type: str | None = None
    priority: int = 0
    max_attempts: int | None = None  # None: the queue's, else the server's
    lease_ms: int | None = None
    queue: str = DEFAULT_QUEUE
    delay_ms: int = 0  # how long nobody gets it
    group_key: str | None = None  # of those with one key each waits for the one before
    once: Once | None = None  # within its queue


class Submission(Struct, frozen=True):
    """Messages that are stored together, all or none; `once` is about all of them."""

    messages: Sequence[NewMessage]
    once: Once | None = None


class Enqueued(Struct, frozen=True):
    """Messages that were stored together, by id in the order they were sent.

    `repeated` are the places of those that were there before; all are if the whole was a repeat.
    """

    ids: list[int]
    created_at_ms: int
    repeated: frozenset[int] = frozenset()
    is_repeat: bool = False


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """One consumer's wish for one message. `lease_ms` overrides the message's own."""

    consumer_id: str
    lock_token: str
    type: str | None = None
    lease_ms: int | None = None
    queue: str = DEFAULT_QUEUE


@dataclass(frozen=True, slots=True)
class Lease:
    """A message in the hands of a consumer; moments are Unix milliseconds."""

    id: int
    type: str | None
    payload: str
    priority: int
    attempt_count: int
    max_attempts: int
    created_at_ms: int
    leased_at_ms: int
    lease_until_ms: int
    lock_token: str
    consumer_id: str
    group_key: str | None = None


class Held(Struct, frozen=True):
    """A message and the token that is said to hold it."""

    id: int
    lock_token: str


@dataclass(frozen=True, slots=True)
class Rejection:
    """A consumer gives a message back; None leaves it to the queue for how long nobody gets it."""

    held: Held
    error: str | None
    delay_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Extension:
    """A consumer needs more time: `extend_ms` from now, or the lease's own length."""

    held: Held
    extend_ms: int | None


@dataclass(frozen=True, slots=True)
class Freed:
    """A message that came into its line because the one before it in its group left for good."""

    id: int
    queue: str
    type: str | None


@dataclass(frozen=True, slots=True)
class Returned:
    """A message that left its consumer without being acknowledged."""

    id: int
    queue: str
    type: str | None
    state: MessageState  # QUEUED, or DEAD when it had its last attempt
    attempt_count: int
    max_attempts: int
    error: str | None
    due_at_ms: int | None = None  # of a delayed one
    freed: Freed | None = None  # the next message of its group


@dataclass(frozen=True, slots=True)
class Counts:
    """How many messages are in each state."""

    queued: int = 0
    processing: int = 0
    acknowledged: int = 0
    dead: int = 0
    archived: int = 0
    delayed: int = 0

    @property
    def total(self) -> int:
        """Return how many messages there are in all."""
        taken = self.processing + self.acknowledged + self.dead + self.archived
        return self.queued + self.delayed + taken


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """A picture of the queue; types without a waiting or leased message are left out."""

    counts: Counts
    by_type: dict[str, Counts]
    oldest_queued_at_ms: int | None
    newest_queued_at_ms: int | None
    oldest_queue: str | None = None  # in which the oldest waits


class MessageNotFoundError(NotFoundError):
    """No message has this id, or it was deleted after its time in the archive."""

    code = "NOT_FOUND"

    def __init__(self, message_id: str) -> None:
        super().__init__(message_id)
        self.message_id = message_id

    def __str__(self) -> str:
        return f"message {self.message_id} does not exist"


class KeyReusedError(ConflictError):
    """The name under which this was sent stands for something else that was sent before."""

    code = "IDEMPOTENCY_KEY_REUSED"

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key

    def __str__(self) -> str:
        return f"Idempotency-Key {self.key} was used for another request"


class LockLostError(ConflictError):
    """The token does not hold the message: the lease ran out or another consumer has it."""

    code = "LOCK_LOST"

    def __init__(self, message_id: str) -> None:
        super().__init__(message_id)
        self.message_id = message_id

    def __str__(self) -> str:
        return "Lock token mismatch - message may have been requeued"


class InvalidStateError(ConflictError):
    """The message is in a state in which nobody can hold it, or it cannot be changed so."""

    code = "INVALID_STATE"

    def __init__(self, message_id: str, state: str, expected: str = "processing") -> None:
        super().__init__(message_id, state, expected)
        self.message_id = message_id
        self.state = state
        self.expected = expected

    def __str__(self) -> str:
        return f"message {self.message_id} is {self.state}, expected {self.expected}"

    @property
    def details(self) -> dict[str, str]:
        """Return what a program may want to know."""
        return {"status": self.state}


def lane_of(priority: int) -> int:
    """Return the lane of a priority: lane 0 goes first, so that indexes run in order of claim."""
    return PRIORITY_MAX - priority


def priority_of(lane: int) -> int:
    """Return the priority whose messages wait in a lane."""
    return PRIORITY_MAX - lane


def public_id(message_id: int) -> str:
    """Return the id on the wire; ids sort as the messages came in. Source: ADR 0005."""
    return f"msg_{message_id:016x}"


def internal_id(public: str) -> int:
    """Return the number behind an id of the wire; raises MessageNotFoundError if none can be."""
    if not _PUBLIC_ID.fullmatch(public) or public[4] > "7":
        raise MessageNotFoundError(public)
    return int(public[4:], 16)


def state_after_failure(attempt_count: int, max_attempts: int) -> MessageState:
    """Say what becomes of a message whose attempt failed."""
    return MessageState.DEAD if attempt_count >= max_attempts else MessageState.QUEUED


def cut_error(error: str | None) -> str | None:
    """Shorten what a consumer said about a failure, and take out what no database can keep."""
    if error is None:
        return None
    error = error.replace("\0", "\N{REPLACEMENT CHARACTER}")
    if len(error) <= ERROR_CHARACTERS_MAX:
        return error
    return error[: ERROR_CHARACTERS_MAX - 1] + "…"


class Tally:
    """How a transaction changes the number of messages by queue, type and state."""

    def __init__(self) -> None:
        self._changes: dict[tuple[str, str, str], int] = {}

    def move(
        self,
        queue: str,
        type_: str | None,
        *,
        source: MessageState | None = None,
        target: MessageState | None = None,
        count: int = 1,
    ) -> None:
        """Note that `count` messages left `source` (None: new) for `target` (None: gone)."""
        for state, change in ((source, -count), (target, count)):
            if state is not None:
                key = (queue, type_ or "", state.value)
                self._changes[key] = self._changes.get(key, 0) + change

    def changes(self) -> Iterator[tuple[tuple[str, str, str], int]]:
        """Yield (queue, type, state) and its change, in one order for all: no two deadlock."""
        return ((key, n) for key, n in sorted(self._changes.items()) if n)
