"""Many messages moved, deleted or redriven at once, in transactions of a bounded size."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection

from models.audit import Signature, sign
from models.database import Database
from models.messages import mass as acts
from models.messages.filters import MessageFilter
from models.messages.line import DELAYS, LineKey
from models.messages.mass import Act, ActKind, Batch, Confirmation, Done, Pace, Preview
from models.messages.policies import QueueFullError, QueueNotFoundError, QueueSettings
from models.messages.rules import DEFAULT_QUEUE, MessageState, Tally, public_id
from models.messages.statements import counts, mass, queues
from models.messages.statements.mass import Chosen
from models.messages.statements.place import Placed, Turns, leave, place

_SAMPLE_MAX: Final = 10
# A request that takes longer than that ends with what it has done, and says what is left.
_REQUEST_MAX_MS: Final = 20_000
_NOTED_IDS_MAX: Final = 100
_WAITING: Final = frozenset({MessageState.QUEUED, MessageState.DELAYED})


@dataclass(slots=True, kw_only=True)
class _Run:
    """A request on its way through its batches."""

    act: Act
    chosen: Chosen
    signature: Signature
    details: Mapping[str, Any]
    start_ms: int
    messages_max: int
    done: int = 0
    after: dict[str, int] = field(default_factory=dict)
    has_freed: bool = False  # since the last look from the start


class MassChanges:
    """Changes many messages of one database; `told` is called after each commit.

    Each transaction moves what it takes, its counters and its row in the audit log together. A
    request that is cut off has done whole transactions, and a repeat goes on with the rest.
    """

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], int],
        shard: int,
        told: Callable[[Batch], None],
    ) -> None:
        self._database: Final = database
        self._clock: Final = clock
        self._shard: Final = shard
        self._told: Final = told

    async def preview(self, act: Act, chosen: MessageFilter, *, now_ms: int) -> Preview:
        """Say what an act would do to the messages that fit a filter, and how to confirm it.

        Raises InvalidError, or QueueNotFoundError for a queue to go to.
        """

        def look(connection: Connection) -> Preview:
            _target(connection, act, lock=False)
            rows = _chosen(act, chosen, now_ms)
            count = mass.count(connection, rows)
            acts.check_rate(act, count)
            confirmed = Confirmation(as_of_ms=now_ms, count=count)
            return Preview(
                count=count,
                sample=mass.sample(connection, rows, count=_SAMPLE_MAX),
                confirm=confirmed.text(act, chosen),
            )

        return await self._database.read(look)

    async def preview_named(self, act: Act, ids: Sequence[int]) -> Preview:
        """Say what an act would do to named messages; nothing confirms it, as nothing has to."""
        rows = Chosen(states=act.sources, ids=ids, queue=act.queue, state=act.state)

        def look(connection: Connection) -> Preview:
            _target(connection, act, lock=False)
            sample = mass.sample(connection, rows, count=_SAMPLE_MAX)
            return Preview(count=mass.count(connection, rows), sample=sample, confirm="")

        return await self._database.read(look)

    async def act(
        self,
        act: Act,
        chosen: MessageFilter,
        confirm: str,
        signature: Signature,
        *,
        pace: Pace,
        now_ms: int,
    ) -> Done:
        """Do to the messages that fit a filter what was confirmed; some may be left.

        None that was not there at the preview is touched. Raises UnconfirmedError,
        ChangedCountError, QueueNotFoundError, or QueueFullError if nothing found room.
        """
        confirmed = acts.confirmation_of(confirm, act, chosen)
        rows = _chosen(act, chosen, confirmed.as_of_ms)
        count = await self._database.read(lambda connection: mass.count(connection, rows))
        acts.check_count(act, confirmed, count)
        run = _Run(
            act=act,
            chosen=rows,
            signature=signature,
            details={"filter": acts.facts_of(act, chosen)},
            start_ms=max(now_ms, confirmed.start_ms),
            messages_max=min(pace.messages_max, count),
        )
        await self._run(run, pace, now_ms)
        left = await self._database.read(lambda connection: mass.count(connection, rows))
        if not left:
            return Done(count=run.done)
        start_ms = 0 if act.rate_per_s is None else act.due_at_ms(run.start_ms, run.done)
        rest = Confirmation(as_of_ms=confirmed.as_of_ms, count=left, start_ms=start_ms)
        return Done(count=run.done, left=left, confirm=rest.text(act, chosen))

    async def act_named(
        self, act: Act, ids: Sequence[int], signature: Signature, *, pace: Pace, now_ms: int
    ) -> Done:
        """Do something to named messages; those in other states are skipped, and named with it.

        A state of None is that of a message that does not exist. Raises QueueNotFoundError, or
        QueueFullError if nothing found room.
        """
        acts.check_rate(act, len(ids))
        rows = Chosen(states=act.sources, ids=ids, queue=act.queue, state=act.state)
        run = _Run(
            act=act,
            chosen=rows,
            signature=signature,
            details={},
            start_ms=now_ms,
            messages_max=len(ids),
        )
        done = await self._run(run, pace, now_ms)
        rest = [message_id for message_id in ids if message_id not in done]

        def look(connection: Connection) -> dict[int, MessageState | None]:
            found = counts.find(connection, rest)
            return {
                each: MessageState(found[each].state) if each in found else None for each in rest
            }

        skipped = await self._database.read(look) if rest else {}
        return Done(count=run.done, skipped=skipped)

    async def _run(self, run: _Run, pace: Pace, now_ms: int) -> set[int]:
        """Do batch after batch; return the ids that were named and are done."""
        named: set[int] = set()
        until_ms = now_ms + _REQUEST_MAX_MS
        while run.done < run.messages_max and self._clock() < until_ms:
            rows_max = min(pace.rows_per_transaction, run.messages_max - run.done)
            try:
                batch = await self._batch(run, rows_max, now_ms)
            except QueueFullError:
                if not run.done:
                    raise
                break  # what found room is done; the answer says what is left
            if not batch.ids:
                if not run.has_freed:
                    break
                # Groups went on to messages that were passed by while they waited behind others.
                run.has_freed = False
                run.after.clear()
                continue
            run.done += len(batch.ids)
            if run.chosen.ids is not None:
                named.update(batch.ids)
            self._told(batch)
        return named

    async def _batch(self, run: _Run, rows_max: int, now_ms: int) -> Batch:
        return await self._database.run(
            lambda connection: self._write(connection, run, rows_max, now_ms)
        )

    def _write(self, connection: Connection, run: _Run, rows_max: int, now_ms: int) -> Batch:
        act, tally, batch = run.act, Tally(), Batch(run.act)
        settings = _target(connection, act, lock=True)
        taken = mass.take(connection, run.chosen, run.after, count=rows_max, tally=tally)
        if not taken:
            return batch
        _check_room(connection, act, settings, len(taken))
        batch.ids = [row["id"] for _, row in taken]
        if act.kind is ActKind.DELETE:
            placed = Placed()
            leave(connection, taken, placed)
        else:
            turns = Turns(act, run.start_ms, run.done)
            placed = place(connection, turns, taken, now_ms=now_ms, tally=tally)
        batch.arrived, batch.first_ids = _arrivals(placed), placed.first_ids
        run.has_freed = run.has_freed or placed.freed > 0
        counts.bump(connection, self._shard, tally)
        self._note(connection, run, batch, now_ms)
        return batch

    def _note(self, connection: Connection, run: _Run, batch: Batch, now_ms: int) -> None:
        act = run.act
        details: dict[str, Any] = {
            **run.details,
            "count": len(batch.ids),
            "queue": act.queue,
            "status": act.state,
            "rate_per_second": act.rate_per_s,
        }
        if run.chosen.ids is not None:
            details["ids"] = [public_id(each) for each in batch.ids[:_NOTED_IDS_MAX]]
        details = {name: value for name, value in details.items() if value is not None}
        target = act.queue or (run.chosen.filter and run.chosen.filter.queue) or ""
        sign(connection, run.signature, target=target, details=details, now_ms=now_ms)


def _arrivals(placed: Placed) -> dict[LineKey, int]:
    lines: dict[LineKey, int] = dict(placed.lines)
    return {**lines, DELAYS: placed.later} if placed.later else lines


def _chosen(act: Act, chosen: MessageFilter, as_of_ms: int) -> Chosen:
    return Chosen(
        states=act.sources, filter=chosen, as_of_ms=as_of_ms, queue=act.queue, state=act.state
    )


def _target(connection: Connection, act: Act, *, lock: bool) -> QueueSettings | None:
    """Return the settings of the queue to go to; nobody deletes it meanwhile if `lock`."""
    if act.queue is None:
        return None
    is_held = lock and act.queue != DEFAULT_QUEUE
    settings = queues.hold(connection, [act.queue]) if is_held else queues.read_settings(connection)
    if act.queue not in settings and act.queue != DEFAULT_QUEUE:
        raise QueueNotFoundError(act.queue)
    return settings.get(act.queue)


def _check_room(
    connection: Connection, act: Act, settings: QueueSettings | None, count: int
) -> None:
    """Raise QueueFullError when the queue to go to has no room for so many more that wait."""
    if act.queue is None or settings is None or settings.waiting_max is None:
        return
    if act.state not in {None, *_WAITING}:
        return
    if counts.waiting(connection, act.queue) + count > settings.waiting_max:
        raise QueueFullError(act.queue, settings.waiting_max)
