"""Operations: one action on one or many messages, cut into chunks that each go to one host."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from models.audit import Entry
from models.errors import LateError, NotFoundError
from models.mail.rules import Action, Outcome, Result
from models.mail.views import HostedMail, Spot

CHUNK_MESSAGES_MAX: Final = 250
# A bounce is a message of its own, some 20 ms each: a chunk takes no longer than one of the others.
# Of deliveries that somebody follows so many at a time cannot be called off any more.
_ATTEMPTS_MAX: Final = 25
# Nobody waits that long for an answer.
_ANSWER_MS_MAX: Final = 60_000
# So many chunks of one operation are under way on a host: two to four processes are the fastest.
CHUNKS_AT_ONCE: Final = 4
# What was sent and is not settled by then is sent again; that is harmless.
RESEND_MS: Final = 15_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """An action that somebody asked for, and how far it is.

    What has not begun when it expires is not done.
    """

    id: str
    action: Action
    addresses: tuple[str, ...] = ()  # of an edit
    actor: str
    messages: int
    settled: int = 0
    succeeded: int = 0
    created_at_ms: int
    expires_at_ms: int
    finished_at_ms: int | None = None
    cancelled_at_ms: int | None = None

    @property
    def is_followed(self) -> bool:
        """Say whether somebody looks on while it lasts, rather than waits for an answer."""
        return self.expires_at_ms - self.created_at_ms > _ANSWER_MS_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Messages of one queue of one host, that one task acts on."""

    operation_id: str
    number: int
    host: str
    queue: str
    message_ids: tuple[str, ...]
    sends: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A chunk with all that a host needs to know to act on it."""

    chunk: Chunk
    action: Action
    addresses: tuple[str, ...] = ()
    expires_at_ms: int
    is_followed: bool = False
    is_called_off: bool = False  # only what has begun is finished, and told of

    def left_s(self, *, now_ms: int) -> float:
        """Return for how long it is still worth carrying out; a moment at the least."""
        return max((self.expires_at_ms - now_ms) / 1000, 0.001)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What came of one message, on which host; no host if none had it."""

    host: str
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What somebody did to a message, and what came of it, as far as that is known and kept."""

    entry: Entry
    settled: Settled | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How far an operation is, and what came of its messages; two hosts may have one id."""

    operation: Operation
    settled: Sequence[Settled]

    @property
    def outcomes(self) -> dict[str, Settled]:
        """Return what came of each message, by its id, where no id is on several hosts."""
        return {each.outcome.message_id: each for each in self.settled}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What an action on a filter would be done to: how many, some of them, and what confirms it."""

    count: int
    sample: Sequence[HostedMail]
    confirm: str


class OperationNotFoundError(NotFoundError):
    """There is no operation of this id."""

    code = "mail_operation_not_found"

    def __init__(self, operation_id: str) -> None:
        super().__init__(operation_id)
        self.operation_id = operation_id

    def __str__(self) -> str:
        return f"operation {self.operation_id} is unknown"


class OperationLateError(LateError):
    """A mail host did not answer in time; what it has not begun is called off."""

    code = "mail_operation_late"

    def __init__(self, operation_id: str) -> None:
        super().__init__(operation_id)
        self.operation_id = operation_id

    def __str__(self) -> str:
        return f"operation {self.operation_id} got no answer in time"


def order_of(operation: Operation, chunk: Chunk) -> Order:
    """Return what a host is told about a chunk."""
    return Order(
        chunk=chunk,
        action=operation.action,
        addresses=operation.addresses,
        expires_at_ms=operation.expires_at_ms,
        is_followed=operation.is_followed,
        is_called_off=operation.cancelled_at_ms is not None,
    )


def cut(operation: Operation, spots: Sequence[Spot]) -> list[Chunk]:
    """Cut messages into chunks of one host and queue each, in their order."""
    is_followed = operation.action is Action.DELIVER and operation.is_followed
    is_small = is_followed or operation.action is Action.BOUNCE
    size = _ATTEMPTS_MAX if is_small else CHUNK_MESSAGES_MAX
    places: dict[tuple[str, str], list[str]] = {}
    for host, queue, message_id in spots:
        places.setdefault((host, queue), []).append(message_id)
    pieces = [
        (place, ids[first : first + size])
        for place, ids in places.items()
        for first in range(0, len(ids), size)
    ]
    return [
        Chunk(
            operation_id=operation.id,
            number=number,
            host=host,
            queue=queue,
            message_ids=tuple(ids),
        )
        for number, ((host, queue), ids) in enumerate(pieces, start=1)
    ]


def first_of(chunks: Sequence[Chunk]) -> list[Chunk]:
    """Return those that are sent at once: a few of each host, so that none waits for another."""
    begun: Counter[str] = Counter()
    first: list[Chunk] = []
    for each in chunks:
        begun[each.host] += 1
        if begun[each.host] <= CHUNKS_AT_ONCE:
            first.append(each)
    return first


def called_off(chunk: Chunk) -> list[Outcome]:
    """Return the outcomes of a chunk that was not begun."""
    said = "called off before it began"
    return [
        Outcome(message_id=each, result=Result.CANCELLED, said=said) for each in chunk.message_ids
    ]
