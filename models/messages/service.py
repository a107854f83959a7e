"""What a request does with messages. What a method changed is on disk when it returns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from models.database import Database
from models.events import Arrivals, Event, Publisher
from models.messages import facts, writes
from models.messages.acts import Touched
from models.messages.browsing import Browsing
from models.messages.changes import Changes
from models.messages.dispatcher import Dispatcher
from models.messages.group_commit import GroupCommit
from models.messages.intake import Enqueue
from models.messages.line import Caller, LineKey
from models.messages.mass import Batch
from models.messages.mass_changes import MassChanges
from models.messages.queues import Queues
from models.messages.registry import Registry
from models.messages.rules import (
    ATTEMPTS_DEFAULT,
    LEASE_DEFAULT_MS,
    Enqueued,
    Extension,
    Held,
    Lease,
    LeaseRequest,
    MessageState,
    NewMessage,
    Once,
    QueueStatus,
    Rejection,
    Returned,
    Submission,
)
from models.messages.views import BrowseLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageLimits:
    """How much may be under way in one process."""

    flush_rows_max: int = 500
    flush_waiting_max: int = 10_000
    long_polls_max: int = 10_000
    attempts_default: int = ATTEMPTS_DEFAULT  # where neither message nor queue says
    lease_default_ms: int = LEASE_DEFAULT_MS
    browse: BrowseLimits = field(default_factory=BrowseLimits)


class MessageService:
    """The queue as one process sees it; any number of processes may serve one database."""

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        *,
        clock: Callable[[], int],
        process: int,
        limits: MessageLimits,
    ) -> None:
        """`process` tells apart the processes that write at the same time, best 0..31."""
        self._database: Final = database
        self._publisher: Final = publisher
        shard = process * writes.SHARDS_PER_PROCESS
        rows_max, waiting_max = limits.flush_rows_max, limits.flush_waiting_max

        def group(
            write: writes.ShardedWrite[writes.Item, writes.Outcome],
            committed: Callable[[list[writes.Item], list[writes.Outcome]], None] | None = None,
        ) -> GroupCommit[writes.Item, writes.Outcome]:
            return GroupCommit(
                database,
                write,
                limit_name="flush_waiting_max",
                rows_max=rows_max,
                waiting_max=waiting_max,
                committed=committed,
            )

        self._registry: Final = Registry()
        enqueue = Enqueue(
            shard,
            self._registry,
            attempts_default=limits.attempts_default,
            lease_default_ms=limits.lease_default_ms,
        )
        self._enqueues = group(enqueue, self._tell_enqueued)
        self._acknowledge: Final = writes.Acknowledge(shard + 2)
        self._acks = group(self._acknowledge, self._tell_acknowledged)
        self._nacks = group(writes.Reject(shard + 4, self._registry), self._tell_rejected)
        self._touches = group(writes.Extend())
        self._dispatcher: Final = Dispatcher(
            database,
            clock=clock,
            shard=shard + 6,
            registry=self._registry,
            rows_max=rows_max,
            waiters_max=limits.long_polls_max,
            leased=self._tell_leased,
            lapsed=self._tell_lapsed,
            let_in=self._tell_let_in,
        )
        self.queues: Final = Queues(
            database, self._registry, shard=shard + 7, changed=self._tell_changed
        )
        self.browsing: Final = Browsing(database, limits.browse)
        self.changes: Final = Changes(
            database, shard=shard + 7, edited=self._tell_edited, deleted=self._tell_deleted
        )
        self.mass: Final = MassChanges(
            database, clock=clock, shard=shard + 7, told=self._tell_changed_many
        )

    @property
    def waiting_consumers(self) -> int:
        """Return how many consumers wait in this process."""
        return self._dispatcher.waiter_count

    async def enqueue(
        self, messages: Sequence[NewMessage], *, now_ms: int, once: Once | None = None
    ) -> Enqueued:
        """Store messages, all or none, in order; what was stored `once` is not stored again.

        Raises QueueNotFoundError, QueueFullError, KeyReusedError, or LimitError when too many rows
        wait to be written.
        """
        submission = Submission(messages, once)
        return await self._enqueues.submit(submission, now_ms=now_ms, weight=len(messages))

    async def lease(
        self, request: LeaseRequest, *, timeout_s: float, caller: Caller
    ) -> Lease | None:
        """Give the next message to a consumer, waiting up to `timeout_s`; None if there is none.

        Priority first, then age. A lease that ran out can be given again at once. While the queue
        is paused there is none. Raises QueueNotFoundError.
        """
        leases = await self._dispatcher.lease([request], timeout_s=timeout_s, caller=caller)
        return leases[0] if leases else None

    async def lease_many(
        self, requests: Sequence[LeaseRequest], *, timeout_s: float, caller: Caller
    ) -> list[Lease]:
        """Give the next messages to a consumer, at most one for each request, in one claim.

        All requests are for the same queue and type, each with a token of its own. Waits up to
        `timeout_s` for the first message, and not for more.
        """
        return await self._dispatcher.lease(requests, timeout_s=timeout_s, caller=caller)

    async def give_back(self, leases: Sequence[Lease]) -> None:
        """Undo leases that could not be delivered: same places, and the attempts not counted."""
        await self._dispatcher.give_back(leases)

    async def acknowledge(self, held: Held, *, now_ms: int) -> int:
        """End a lease with success; return when that was: a repeat returns the first moment.

        Raises MessageNotFoundError, LockLostError or InvalidStateError.
        """
        return await self._acks.submit(held, now_ms=now_ms)

    async def acknowledge_many(
        self, helds: Sequence[Held], *, now_ms: int
    ) -> list[int | Exception]:
        """End leases with success, each for itself: a moment, or the error that refuses it."""
        return await self._acks.submit_many(helds, now_ms=now_ms)

    async def reject(
        self, held: Held, error: str | None, *, now_ms: int, delay_ms: int | None = None
    ) -> Returned:
        """Give a message back: it waits again at its old place, or is dead after its last attempt.

        Nobody gets it before `delay_ms` are over; None leaves that to the queue.

        Raises MessageNotFoundError, LockLostError or InvalidStateError.
        """
        return await self._nacks.submit(Rejection(held, error, delay_ms), now_ms=now_ms)

    async def reject_many(
        self, rejections: Sequence[Rejection], *, now_ms: int
    ) -> list[Returned | Exception]:
        """Give messages back, each for itself: where it is now, or the error that refuses it."""
        return await self._nacks.submit_many(rejections, now_ms=now_ms)

    async def extend(self, held: Held, extend_ms: int | None, *, now_ms: int) -> int:
        """Let a lease end `extend_ms` from now, or after its own length; return that moment.

        Raises MessageNotFoundError, LockLostError or InvalidStateError.
        """
        return await self._touches.submit(Extension(held, extend_ms), now_ms=now_ms)

    async def extend_many(
        self, extensions: Sequence[Extension], *, now_ms: int
    ) -> list[int | Exception]:
        """Extend leases, each for itself: its new end, or the error that refuses it."""
        return await self._touches.submit_many(extensions, now_ms=now_ms)

    async def status(self, queue: str | None = None) -> QueueStatus:
        """Return the counts and the ends of the line, as of one moment; of one queue or of all.

        Raises QueueNotFoundError.
        """
        return await self._database.read(lambda connection: writes.read_status(connection, queue))

    def wake(self, arrived: Arrivals | None) -> None:
        """Try the waiting consumers: another process has put messages in.

        None says that anything may have changed, the settings of queues too.
        """
        if arrived is None:
            self._registry.forget()
        self._dispatcher.wake(arrived)

    def set_recheck(self, recheck_s: float) -> None:
        """Set how often waiting consumers are tried without a wake-up."""
        self._dispatcher.recheck_s = recheck_s

    def drain(self) -> None:
        """Answer every waiting consumer with "nothing", and let none wait any more."""
        self._dispatcher.drain()

    async def close(self) -> None:
        """Finish what is under way."""
        await self._dispatcher.close()
        for group in (self._enqueues, self._acks, self._nacks, self._touches):
            await group.close()

    # --- Telling, after the commit ---

    def _tell_changed(self) -> None:
        self._dispatcher.wake(None)
        self._publisher.wake(facts.DOMAIN, None)

    def _tell_let_in(self) -> None:
        self._publisher.wake(facts.DOMAIN, None)

    def _tell(self, events: list[Event], arrived: dict[LineKey, int]) -> None:
        if arrived:
            self._dispatcher.wake(arrived)
            self._publisher.wake(facts.DOMAIN, arrived)
        self._publisher.publish(facts.DOMAIN, events)

    def _tell_enqueued(self, submissions: list[Submission], stored: list[Enqueued]) -> None:
        new = facts.stored_messages(submissions, stored)
        self._tell(facts.enqueued(new), facts.arrivals(new))

    def _tell_leased(self, leases: Sequence[Lease]) -> None:
        self._tell(facts.leased(leases), {})

    def _tell_acknowledged(self, helds: list[Held], _moments: list[int]) -> None:
        waiting = self._acknowledge.freed
        freed = [waiting.popleft() for _ in range(len(waiting))]
        for message in freed:
            self._dispatcher.note_back(message.queue, message.id)
        self._tell(facts.acknowledged(helds), facts.frees(freed))

    def _tell_rejected(self, _rejections: list[Rejection], returned: list[Returned]) -> None:
        for message in returned:
            if message.state is MessageState.QUEUED:
                self._dispatcher.note_back(message.queue, message.id)
            if message.freed is not None:
                self._dispatcher.note_back(message.freed.queue, message.freed.id)
        self._tell(facts.rejected(returned), facts.returns(returned))

    def _tell_edited(self, touched: Touched) -> None:
        self._tell_back(facts.edited(touched), touched)

    def _tell_deleted(self, touched: Touched) -> None:
        self._tell_back(facts.deleted(touched), touched)

    def _tell_changed_many(self, batch: Batch) -> None:
        self._tell_back(facts.changed_many(batch), batch)

    def _tell_back(self, events: list[Event], what: Touched | Batch) -> None:
        """Tell of messages that wait at old places, which others do not look for at once."""
        for queue, message_id in what.first_ids.items():
            self._dispatcher.note_back(queue, message_id)
        if what.arrived:
            self._dispatcher.wake(what.arrived)
            self._publisher.wake(facts.DOMAIN, None if what.first_ids else what.arrived)
        self._publisher.publish(facts.DOMAIN, events)

    def _tell_lapsed(self, returned: Sequence[Returned]) -> None:
        self._tell(facts.lapsed(returned), facts.returns(returned))
