"""Whole steps of a message's life, each within one transaction: statements, rules and counters.

Services run them in groups, jobs run them in batches. The classes are what a group commit writes:
an outcome for each item, in order, which may be the error that refuses it.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

from sqlalchemy import Connection, Row

from models.errors import StanchionError
from models.messages.policies import NO_SETTINGS, QueueNotFoundError, QueueSettings, backoff_ms
from models.messages.registry import Registry
from models.messages.rules import (
    DEFAULT_QUEUE,
    NO_REASON,
    PRIORITY_MAX,
    Counts,
    Extension,
    Freed,
    Held,
    InvalidStateError,
    LockLostError,
    MessageNotFoundError,
    MessageState,
    QueueStatus,
    Rejection,
    Returned,
    Tally,
    cut_error,
    public_id,
)
from models.messages.statements import counts, settle
from models.messages.statements.queues import read_settings

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
ItemIn_contra = TypeVar("ItemIn_contra", contravariant=True)
OutcomeOut_co = TypeVar("OutcomeOut_co", covariant=True)

# Enqueue, ack, nack and lease, each with two transactions under way at most.
SHARDS_PER_PROCESS: Final = 8


class ShardedWrite(Protocol[ItemIn_contra, OutcomeOut_co]):
    """What a group does to the database; `slot` tells apart transactions under way together."""

    def __call__(
        self, connection: Connection, items: Sequence[ItemIn_contra], *, now_ms: int, slot: int
    ) -> Sequence[OutcomeOut_co | StanchionError]:
        """Write the items."""


class Acknowledge:
    """Acknowledge messages; the outcome is the moment it was first done.

    `freed` gathers the messages that are next in their groups, for whoever wakes consumers after
    the commit; one from a commit that failed does no harm.
    """

    def __init__(self, shard: int) -> None:
        self._shard: Final = shard
        self.freed: Final[deque[Freed]] = deque()

    def __call__(
        self, connection: Connection, items: Sequence[Held], *, now_ms: int, slot: int
    ) -> list[int | StanchionError]:
        """Write the items."""
        tally = Tally()
        done, freed = settle.acknowledge(connection, items, now_ms=now_ms, tally=tally)
        self.freed.extend(freed)
        counts.bump(connection, self._shard + slot, tally)
        found = _find_missing(connection, [held for held in items if held not in done])
        return [
            now_ms if held in done else _acknowledged_before(held, found.get(held.id))
            for held in items
        ]


class Reject:
    """Take messages back from consumers that failed."""

    def __init__(self, shard: int, registry: Registry) -> None:
        self._shard: Final = shard
        self._registry: Final = registry

    def __call__(
        self, connection: Connection, items: Sequence[Rejection], *, now_ms: int, slot: int
    ) -> list[Returned | StanchionError]:
        """Write the items."""
        tally = Tally()
        settings = self._registry.settings(connection, now_ms=now_ms)
        taken = {
            Held(row["id"], row["lock_token"]): row
            for row in settle.take_back(connection, [item.held for item in items])
        }
        failures: dict[int, settle.Failure] = {}
        for place, item in enumerate(items):
            row = taken.pop(item.held, None)  # the second of two equal ones finds nothing
            if row is not None:
                failures[place] = _failure(row, item, settings)
        returned = settle.put_back(connection, failures.values(), now_ms=now_ms, tally=tally)
        counts.bump(connection, self._shard + slot, tally)
        outcomes = dict(zip(failures, returned, strict=True))
        refused = [item.held for place, item in enumerate(items) if place not in outcomes]
        found = _find_missing(connection, refused)
        return [
            outcomes.get(place) or _refusal(item.held, found.get(item.held.id))
            for place, item in enumerate(items)
        ]


class Extend:
    """Move the ends of leases; the outcome is the new end."""

    def __call__(
        self, connection: Connection, items: Sequence[Extension], *, now_ms: int, slot: int
    ) -> list[int | StanchionError]:
        """Write the items."""
        del slot  # it changes no counter
        ends: dict[int, int | None] = {}
        # In the order in which others lock leases, so that no two deadlock.
        for place, item in sorted(enumerate(items), key=lambda each: each[1].held.id):
            ends[place] = settle.extend(connection, item.held, item.extend_ms, now_ms=now_ms)
        found = _find_missing(
            connection, [item.held for place, item in enumerate(items) if ends[place] is None]
        )
        return [
            _refusal(item.held, found.get(item.held.id)) if (end := ends[place]) is None else end
            for place, item in enumerate(items)
        ]


def read_status(connection: Connection, of_queue: str | None = None) -> QueueStatus:
    """Read the counters and the ends of the line; raises QueueNotFoundError."""
    if of_queue not in {None, DEFAULT_QUEUE} and of_queue not in read_settings(connection):
        raise QueueNotFoundError(of_queue or "")
    total: dict[str, int] = {}
    by_type: dict[str, dict[str, int]] = {}
    waiting: set[str] = set()
    for queue, type_, state, n in counts.read_counters(connection):
        if of_queue not in {None, queue}:
            continue
        total[state] = total.get(state, 0) + n
        if state == MessageState.QUEUED:
            waiting.add(queue)
        if state in {MessageState.QUEUED, MessageState.PROCESSING}:
            of_type = by_type.setdefault(type_, {})
            of_type[state] = of_type.get(state, 0) + n
    ends = [
        (*end, queue)
        for queue in sorted(waiting)
        for lane in range(PRIORITY_MAX + 1)
        if (end := counts.ends_of_lane(connection, queue, lane))
    ]
    oldest = min(ends, key=lambda end: end[0], default=None)
    return QueueStatus(
        counts=Counts(**total),
        by_type={type_: Counts(**numbers) for type_, numbers in by_type.items()},
        oldest_queued_at_ms=oldest and oldest[0],
        newest_queued_at_ms=max((newest for _, newest, _ in ends), default=None),
        oldest_queue=oldest and oldest[2],
    )


def _failure(
    row: Mapping[Any, Any], item: Rejection, settings: Mapping[str, QueueSettings]
) -> settle.Failure:
    error = cut_error(item.error)
    delay_ms = item.delay_ms
    if delay_ms is None:
        of_queue = settings.get(row["queue"], NO_SETTINGS)
        delay_ms = backoff_ms(of_queue, row["attempt_count"], row["id"])
    return settle.Failure(row, error or NO_REASON, error, delay_ms)


def _find_missing(connection: Connection, helds: Sequence[Held]) -> Mapping[int, Row[Any]]:
    return counts.find(connection, [held.id for held in helds]) if helds else {}


def _acknowledged_before(held: Held, row: Row[Any] | None) -> int | StanchionError:
    """Recognise an ack whose answer was lost: the same token acknowledged the message."""
    if (
        row is not None
        and row.state == MessageState.ACKNOWLEDGED
        and row.lock_token == held.lock_token
    ):
        return int(row.acknowledged_at_ms)
    return _refusal(held, row)


def _refusal(held: Held, row: Row[Any] | None) -> StanchionError:
    """Say why a token does not hold its message."""
    message_id = public_id(held.id)
    if row is None:
        return MessageNotFoundError(message_id)
    was_leased = row.state == MessageState.PROCESSING or (
        row.state in {MessageState.QUEUED, MessageState.DELAYED} and row.attempt_count > 0
    )
    return LockLostError(message_id) if was_leased else InvalidStateError(message_id, row.state)
