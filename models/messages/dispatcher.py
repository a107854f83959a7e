"""Giving messages to the consumers that wait in this process.

Waiting costs the database nothing. A consumer is tried when it comes, when a message of its kind
arrives (in this process at once, from others by a wake-up that may get lost), when the next lease
in force ends, and at a slow recheck, which is the truth behind the wake-ups.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import structlog

from models.database import Database
from models.errors import LimitError, UnavailableError
from models.messages.claims import Claim, Claims, Watches
from models.messages.gathering import Gathering
from models.messages.line import DELAYS, Caller, LineKey, Lines, Waiter
from models.messages.marks import Marks
from models.messages.patience import Patience
from models.messages.policies import QueueNotFoundError
from models.messages.registry import Registry
from models.messages.rules import Held, Lease, LeaseRequest, Returned
from models.messages.statements.settle import give_back
from models.messages.watch import LapseWatch

# Of two claims the later may find the earlier message: who came first would be served second.
_FLIGHTS_MAX: Final = 1
# How long to wait before leases that nobody took are given back to a database that was away.
_GIVE_BACK_PAUSES_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)

log: Final = structlog.get_logger(__name__)


class Dispatcher:
    """Gives messages to consumers, first come first served among those who ask for the same.

    `leased` is told of leases after their commit and once somebody takes them, `lapsed` of the
    messages found whose lease had run out, `let_in` that some came into their lines again, since
    their time had come or nobody took them. `recheck_s` may be changed at any time.
    """

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], int],
        shard: int,
        registry: Registry,
        rows_max: int,
        waiters_max: int,
        leased: Callable[[Sequence[Lease]], None],
        lapsed: Callable[[Sequence[Returned]], None],
        let_in: Callable[[], None],
    ) -> None:
        self.recheck_s = 5.0
        self.waiter_count = 0
        self._database: Final = database
        self._clock: Final = clock
        self._shard: Final = shard
        self._rows_max: Final = rows_max
        self._claims: Final = Claims(registry, clock=clock, shard=shard, rows_max=rows_max)
        self._waiters_max: Final = waiters_max
        self._leased: Final = leased
        self._lapsed: Final = lapsed
        self._let_in: Final = let_in
        self._lines: Final = Lines()
        self._marks: Final = Marks()
        self._watch: Final = LapseWatch()
        self._delays = LapseWatch()
        self._free_slots: Final = list(range(_FLIGHTS_MAX))
        self._flights: Final[set[asyncio.Task[None]]] = set()
        self._gathering: Final = Gathering(self._launch)
        self._is_draining = False
        self._next_end_ms: int | None = None  # of the leases this process knows of
        self._next_due_ms: int | None = None  # of delayed messages, as of the last look
        self._next_full_ms: int | None = None  # when to look for what a try may have left out
        self._alarm: asyncio.TimerHandle | None = None

    async def lease(
        self, requests: Sequence[LeaseRequest], *, timeout_s: float, caller: Caller
    ) -> list[Lease]:
        """Return the next messages for a consumer, waiting up to `timeout_s` for the first.

        The requests are of one line, each with a token of its own; as many as there are messages
        are granted, in one claim, none when the time is over. A caller who hung up gets no lease.
        Raises QueueNotFoundError, LimitError with too many waiting already, and UnavailableError
        when the database is away.
        """
        if self.waiter_count >= self._waiters_max:
            raise LimitError("long_polls_max", self._waiters_max)
        waiter = Waiter(requests, caller, waits=timeout_s > 0 and not self._is_draining)
        self.waiter_count += 1
        self._lines.join(waiter)
        self._launch_soon()
        try:
            return await self._wait(waiter, timeout_s)
        finally:
            self.waiter_count -= 1
            waiter.give_up()
            self._lines.leave(waiter)

    async def give_back(self, leases: Sequence[Lease]) -> None:
        """Undo leases that could not be delivered, as if they had never been."""
        await self._give_back(leases)

    def wake(self, arrived: Mapping[LineKey, int] | None) -> None:
        """Try waiting consumers: `arrived` counts new messages by line, None is unknown.

        The line DELAYS says that a message came for later: the next try looks when that is.
        """
        if arrived is not None and DELAYS in arrived:
            # A new watch, so that a look that is under way cannot put this one to rest.
            self._delays = LapseWatch()
            self._lines.ask_all()
        elif arrived is None:
            self._marks.hurry()
            self._lines.ask_all()
        else:
            self._lines.ask(arrived)
        self._launch_soon()

    def note_back(self, queue: str, message_id: int) -> None:
        """Note a message that waits at an old place again: the next look shall find it."""
        self._marks.lower([message_id], queue=queue)

    def drain(self) -> None:
        """Answer everybody who waits; from now on nobody waits."""
        self._is_draining = True
        for waiter in self._lines:
            waiter.give_up()

    async def close(self) -> None:
        """Wait for the transactions under way."""
        self.drain()
        if self._alarm is not None:
            self._alarm.cancel()
        while self._flights:
            await asyncio.wait(set(self._flights))

    async def _wait(self, waiter: Waiter, timeout_s: float) -> list[Lease]:
        if not waiter.waits:
            return await waiter.future
        patience = Patience(waiter, timeout_s)
        try:
            return await waiter.future
        finally:
            patience.end()

    def _launch_soon(self) -> None:
        if self._free_slots:
            self._gathering.note()

    def _launch(self) -> None:
        while self._free_slots and (groups := self._lines.take_off(self._rows_max)):
            flight = asyncio.create_task(self._fly(groups, self._free_slots.pop()))
            self._flights.add(flight)
            flight.add_done_callback(self._flights.discard)

    async def _fly(self, groups: list[list[Waiter]], slot: int) -> None:
        requests = [[one for waiter in group for one in waiter.tried] for group in groups]
        untaken: list[Lease] = []
        watches = Watches(self._watch, self._delays)
        now_ms = self._clock()
        starts = [self._marks.start(group[0].key, now_ms=now_ms) for group in groups]
        try:
            claim = await self._database.run(
                lambda connection: self._claims.take(connection, requests, starts, watches, slot),
                durable=False,
                late=self._undo,
            )
            self._note_looks(claim, watches, now_ms)
            untaken = self._hand_out(groups, claim)
        except Exception as error:  # noqa: BLE001 -- it is handed to those who wait for it
            for waiter in _all(groups):
                waiter.fail(error)
        for group in groups:
            if self._is_draining:  # they were on their way when the others were told
                for waiter in group:
                    waiter.waits = False
            self._lines.land(group)
        self._free_slots.append(slot)
        self._launch_soon()
        self._set_alarm()
        if untaken:
            await self._give_back(untaken)

    def _undo(self, claim: Claim) -> None:
        """Give back what a claim brought that nobody waited for any more."""
        if claim.leases:
            task = asyncio.create_task(self._give_back(claim.leases))
            self._flights.add(task)
            task.add_done_callback(self._flights.discard)

    def _note_looks(self, claim: Claim, watches: Watches, began_ms: int) -> None:
        """Remember when there is something to look for again, and try those it may concern."""
        if claim.looked is not None:
            watches.leases.looked(*claim.looked, spent_ms=claim.look_ms)
            self._next_end_ms = claim.looked[1]
        if claim.looked_for_due is not None:
            watches.delays.looked(*claim.looked_for_due)
            self._next_due_ms = claim.looked_for_due[1]
        self._note_marks(claim, began_ms)
        if claim.lapsed:
            self._marks.lower([message.id for message in claim.lapsed])
            self._lapsed(claim.lapsed)
        if claim.due:
            self._marks.lower(claim.due)
            self._let_in()
        if claim.first_turn_ms is not None:  # as for any other message that came for later
            self._delays = LapseWatch()
            self._next_due_ms = min(self._next_due_ms or claim.first_turn_ms, claim.first_turn_ms)
        if claim.lapsed or claim.due or claim.is_unfinished:
            self._lines.ask_all()

    def _note_marks(self, claim: Claim, began_ms: int) -> None:
        now_ms = self._clock()
        moments = [self._marks.note(look, began_ms=began_ms, now_ms=now_ms) for look in claim.looks]
        if later := [moment_ms for moment_ms in moments if moment_ms is not None]:
            self._next_full_ms = min(self._next_full_ms or later[0], *later)

    def _hand_out(self, groups: Sequence[Sequence[Waiter]], claim: Claim) -> list[Lease]:
        """Answer the waiters that got a message; return the leases that nobody takes."""
        by_token = {given.lock_token: given for given in claim.leases}
        taken: list[Lease] = []
        untaken: list[Lease] = []
        for waiter in _all(groups):
            if waiter.key[0] in claim.unknown:
                waiter.fail(QueueNotFoundError(waiter.key[0]))
                continue
            tokens = [request.lock_token for request in waiter.tried]
            given = [by_token[token] for token in tokens if token in by_token]
            if not given:
                continue
            if waiter.future.done() or waiter.caller.has_hung_up():
                waiter.waits = False
                untaken += given
            else:
                taken += given
                waiter.answer(given)
        if taken:
            first_end_ms = min(given.lease_until_ms for given in taken)
            self._next_end_ms = min(self._next_end_ms or first_end_ms, first_end_ms)
            self._leased(taken)
        return untaken

    async def _give_back(self, untaken: Sequence[Lease]) -> None:
        """Undo leases that nobody takes, as if they had never been."""
        helds = [Held(given.id, given.lock_token) for given in untaken]
        for pause_s in _GIVE_BACK_PAUSES_S:
            try:
                await self._database.run(
                    lambda connection: give_back(connection, helds, shard=self._shard),
                    durable=False,
                )
            except UnavailableError as error:
                log.warning("lease_not_given_back", count=len(helds), reason=str(error))
                if self._is_draining:
                    break  # they lapse instead
                await asyncio.sleep(pause_s)
            else:
                break
        self._marks.lower([given.id for given in untaken])
        self._try_all()
        self._let_in()  # whoever waits in another process found nothing meanwhile

    def _set_alarm(self) -> None:
        """Arrange the next try of those who wait: at the end of a lease, or at the recheck."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self.waiter_count == 0:
            return
        delay_s = self.recheck_s
        for moment_ms in (self._next_end_ms, self._next_due_ms, self._next_full_ms):
            if moment_ms is not None:
                # A millisecond later, since a lease has ended at its end and a timer may be early.
                delay_s = min(delay_s, max(0, moment_ms - self._clock() + 1) / 1000)
        self._alarm = asyncio.get_running_loop().call_later(delay_s, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        now_ms = self._clock()
        self._next_end_ms = _unless_past(self._next_end_ms, now_ms)
        self._next_full_ms = _unless_past(self._next_full_ms, now_ms)
        self._lines.probe()
        self._launch_soon()

    def _try_all(self) -> None:
        self._lines.ask_all()
        self._launch_soon()


def _unless_past(moment_ms: int | None, now_ms: int) -> int | None:
    return None if moment_ms is None or moment_ms <= now_ms else moment_ms


def _all(groups: Iterable[Iterable[Waiter]]) -> Iterable[Waiter]:
    return (waiter for group in groups for waiter in group)
