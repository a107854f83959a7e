"""Consuming in the background: take messages, and acknowledge or return them, in transactions."""

from collections.abc import Callable, Collection, Sequence
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
    Lease,
    LeaseRequest,
    MessageState,
    Rejection,
    Returned,
)
from models.messages.statements import counts
from models.messages.statements.lease import lines_with_messages, queues_with_messages
from models.messages.statements.queues import read_settings
from models.messages.watch import LapseWatch
from models.messages.writes import Acknowledge, Reject

# The shard of its counters; beside those of jobs.
_SHARD: Final = 1_000_002
_ROWS_MAX: Final = 500

Line = tuple[str, str | None]


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
        acknowledge = Acknowledge(_SHARD)
        # Each takes counters and groups in the order of all; in one transaction two could deadlock
        # with another's.
        if done:
            with self._database.begin() as connection:
                acked = acknowledge(connection, done, now_ms=now_ms, slot=0)
        if rejections:
            with self._database.begin() as connection:
                outcomes = self._reject(connection, rejections, now_ms=now_ms, slot=0)
        kept = [held for held, each in zip(done, acked, strict=True) if isinstance(each, int)]
        returned = [each for each in outcomes if isinstance(each, Returned)]
        lost = {held.id for held in done} | {each.held.id for each in rejections}
        lost -= {held.id for held in kept} | {each.id for each in returned}
        return Settled(
            events=facts.acknowledged(kept) + facts.rejected(returned),
            has_arrivals=bool(facts.returns(returned)) or bool(acknowledge.freed),
            lost=sorted(lost),
        )

    def _no_look(self) -> Watches:
        """Return watches that find nothing to look for: `messages.expire` looks each second."""
        leases, delays = LapseWatch(), LapseWatch()
        now_ms = self._clock()
        leases.looked(now_ms, None)
        delays.looked(now_ms, None)
        return Watches(leases, delays)


def find_waiting(database: Database, wanted: Collection[Line]) -> set[Line]:
    """Return those of some lines, (queue, type), in which a consumer might find a message now.

    Type None asks for any. Not a line whose messages all wait behind their groups, or whose queue
    is paused.
    """
    with database.begin() as connection:
        counted: set[Line] = {
            (queue, type_)
            for queue, type_, state, n in counts.read_counters(connection)
            if state == MessageState.QUEUED and n > 0
        }
        counted |= {(queue, None) for queue, _ in counted}
        lines = counted & set(wanted)  # the counters, which are read at once, leave few
        if not lines:
            return set()
        paused = {name for name, each in read_settings(connection).items() if each.paused}
        open_lines = [line for line in lines if line[0] not in paused]
        filled = queues_with_messages(connection, {queue for queue, _ in open_lines})
        found = lines_with_messages(connection, open_lines)
    return {line for line in found if line[0] in filled}
