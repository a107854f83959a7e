"""Consuming in the background: take messages, and acknowledge or return them, in transactions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from models.database import Database
from models.errors import StanchionError
from models.events import Event
from models.messages import facts
from models.messages.claims import Claims, Watches
from models.messages.marks import FROM_THE_START
from models.messages.policies import QueueNotFoundError
from models.messages.registry import Registry
from models.messages.rules import (
    Held,
    LapseWatch,
    Lease,
    LeaseRequest,
    MessageState,
    Rejection,
    Returned,
)
from models.messages.statements import counts
from models.messages.statements.queues import read_settings
from models.messages.writes import Acknowledge, Reject

# The shard of its counters; beside those of jobs.
_SHARD: Final = 1_000_002
_ROWS_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of messages: events to publish, and whether somebody may have one to take.

    `lost` are those whose lease was over.
    """

    events: list[Event]
    has_arrivals: bool
    lost: list[int]


class Consumer:
    """Takes messages of any queue for consumers in this process; safe in several threads."""

    def __init__(self, database: Database, *, clock: Callable[[], int]) -> None:
        self._database: Final = database
        self._clock: Final = clock
        registry = Registry()
        self._claims: Final = Claims(registry, clock=clock, shard=_SHARD, rows_max=_ROWS_MAX)
        self._acknowledge: Final = Acknowledge(_SHARD)
        self._reject: Final = Reject(_SHARD, registry)

    def take(self, requests: Sequence[LeaseRequest]) -> tuple[list[Lease], list[Event]]:
        """Lease messages for requests of one queue and type; return them and what to publish.

        Raises QueueNotFoundError.
        """
        with self._database.begin() as connection:
            claim = self._claims.take(connection, [requests], [FROM_THE_START], self._no_look(), 0)
        if claim.unknown:
            raise QueueNotFoundError(requests[0].queue)
        return claim.leases, facts.leased(claim.leases)

    def settle(self, done: Sequence[Held], rejections: Sequence[Rejection]) -> Settled:
        """Acknowledge and give back; what the tokens do not hold any more is left alone."""
        now_ms = self._clock()
        acked: Sequence[int | StanchionError] = []
        outcomes: Sequence[Returned | StanchionError] = []
        with self._database.begin() as connection:
            if done:
                acked = self._acknowledge(connection, done, now_ms=now_ms, slot=0)
            if rejections:
                outcomes = self._reject(connection, rejections, now_ms=now_ms, slot=0)
        kept = [held for held, each in zip(done, acked, strict=True) if isinstance(each, int)]
        returned = [each for each in outcomes if isinstance(each, Returned)]
        lost = {held.id for held in done} | {each.held.id for each in rejections}
        lost -= {held.id for held in kept} | {each.id for each in returned}
        return Settled(
            events=facts.acknowledged(kept) + facts.rejected(returned),
            has_arrivals=bool(facts.returns(returned)) or self._has_freed(),
            lost=sorted(lost),
        )

    def _has_freed(self) -> bool:
        """Say whether somebody is next in a group; whoever asks first tells of it."""
        freed = self._acknowledge.freed
        count = len(freed)
        freed.clear()
        return count > 0

    def _no_look(self) -> Watches:
        """Return watches that find nothing to look for: `messages.expire` looks each second."""
        leases, delays = LapseWatch(), LapseWatch()
        now_ms = self._clock()
        leases.looked(now_ms, None)
        delays.looked(now_ms, None)
        return Watches(leases, delays)


def find_waiting(database: Database) -> set[tuple[str, str]]:
    """Return the queues and types ("" for none) of messages that a consumer might get."""
    with database.begin() as connection:
        waiting = {
            (queue, type_)
            for queue, type_, state, n in counts.read_counters(connection)
            if state == MessageState.QUEUED and n > 0
        }
        settings = read_settings(connection) if waiting else {}
    paused = {name for name, of_queue in settings.items() if of_queue.paused}
    return {(queue, type_) for queue, type_ in waiting if queue not in paused}
