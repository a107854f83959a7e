"""Named queues: made, listed, changed, emptied, deleted."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from models.database import Database
from models.messages.policies import (
    NO_SETTINGS,
    QueueExistsError,
    QueueInUseError,
    QueueNotEmptyError,
    QueueNotFoundError,
    QueueSettings,
    changed,
    check_queue_name,
)
from models.messages.registry import Registry
from models.messages.rules import DEFAULT_QUEUE, Counts, MessageState, Tally
from models.messages.statements import counts, queues, rates

T = TypeVar("T")

_ROWS_MAX: Final = 500
# So many batches of a type are put aside at once when it is paused, the rest as consumers come.
_ASIDE_BATCHES_MAX: Final = 20
# A message may go from one state to another behind the back of one pass, not of two.
_QUIET_PASSES: Final = 2
_WAITING: Final = frozenset({MessageState.QUEUED, MessageState.DELAYED})
_ALL: Final = frozenset(MessageState)
# What keeps a queue from being deleted; those acknowledged have had their time.
_KEPT: Final = ("queued", "delayed", "processing", "dead")


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A queue with its settings and what is in it; the one that is always there has no age."""

    name: str
    settings: QueueSettings
    counts: Counts
    created_at_ms: int | None
    updated_at_ms: int | None


class Queues:
    """The queues of one database. What a method changed is on disk when it returns.

    This process follows a change at once, others within a second. `changed` is called after the
    commit, to tell them and to try those who wait.
    """

    def __init__(
        self,
        database: Database,
        registry: Registry,
        *,
        shard: int,
        changed: Callable[[], None],
    ) -> None:
        self._database: Final = database
        self._registry: Final = registry
        self._shard: Final = shard
        self._changed: Final = changed

    async def create(self, name: str, settings: QueueSettings, *, now_ms: int) -> None:
        """Make a queue; raises InvalidError for the name, or QueueExistsError."""
        check_queue_name(name)
        if name == DEFAULT_QUEUE:
            raise QueueExistsError(name)
        try:
            await self._database.run(
                lambda connection: queues.create(connection, name, settings, now_ms=now_ms)
            )
        except IntegrityError:
            raise QueueExistsError(name) from None
        self._tell()

    async def put(self, name: str, settings: QueueSettings, *, now_ms: int) -> bool:
        """Make a queue, or set all settings of the one that is there; say whether it was made.

        Raises InvalidError for the name.
        """
        check_queue_name(name)

        def write(connection: Connection) -> bool:
            is_new = queues.lock(connection, name) is None
            (queues.create if is_new else queues.store)(connection, name, settings, now_ms=now_ms)
            return is_new

        is_new = await self._write(write)
        await self._apply_pauses(name)
        self._tell()
        return is_new and name != DEFAULT_QUEUE

    async def list(self) -> list[Queue]:
        """Return all queues with their counts, by name."""
        return await self._database.read(_read_queues)

    async def get(self, name: str) -> Queue:
        """Return one queue; raises QueueNotFoundError."""
        for queue in await self.list():
            if queue.name == name:
                return queue
        raise QueueNotFoundError(name)

    async def patch(self, name: str, changes: dict[str, object], *, now_ms: int) -> QueueSettings:
        """Set some settings anew, None for the default, and return them all.

        Raises InvalidError that names a wrong setting, or QueueNotFoundError.
        """

        def write(connection: Connection) -> QueueSettings:
            current = queues.lock(connection, name)
            if current is None and name != DEFAULT_QUEUE:
                raise QueueNotFoundError(name)
            settings = changed(current or NO_SETTINGS, changes)
            if current is None:
                queues.create(connection, name, settings, now_ms=now_ms)
            else:
                queues.store(connection, name, settings, now_ms=now_ms)
            return settings

        settings = await self._write(write)
        await self._apply_pauses(name)
        self._tell()
        return settings

    async def purge(self, name: str, *, states: frozenset[MessageState] = _WAITING) -> int:
        """Delete a queue's messages of some states, in batches; return how many went.

        Messages that come in meanwhile may go too. Raises QueueNotFoundError.
        """
        await self.get(name)
        removed = 0
        while batch := await self._purge_once(name, states):
            removed += batch
        return removed

    async def _purge_once(self, name: str, states: frozenset[MessageState]) -> int:
        """Delete what is in one state after the other.

        Not in all at once: to find nothing reads all of a table, and should not with each batch.
        """
        removed = 0
        for state in sorted(states):
            remove = partial(self._remove_batch, name=name, states=frozenset({state}))
            while batch := await self._database.run(remove):
                removed += batch
        return removed

    async def delete(self, name: str, *, force: bool = False) -> int:
        """Delete a queue and return how many messages went with it.

        Without `force` only when nothing waits, is held or is dead. Raises QueueNotFoundError,
        QueueNotEmptyError, or QueueInUseError for the queue that is always there.
        """
        if name == DEFAULT_QUEUE:
            raise QueueInUseError(name)
        found = await self.get(name)
        kept = sum(getattr(found.counts, state) for state in _KEPT)
        if kept and not force:
            raise QueueNotEmptyError(name, kept)
        # What is acknowledged, and by force all the rest, goes in batches; the last transaction
        # has little left to do.
        states = _ALL if force else frozenset({MessageState.ACKNOWLEDGED})
        removed = await self.purge(name, states=states)
        removed += await self._database.run(
            lambda connection: self._remove_queue(connection, name, force=force)
        )
        self._tell()
        return removed

    async def _write(self, write: Callable[[Connection], T]) -> T:
        try:
            return await self._database.run(write)
        except IntegrityError:  # somebody stored the first settings of this queue just now
            return await self._database.run(write)

    async def _apply_pauses(self, name: str) -> None:
        """Let messages into their lines that no pause holds any more, and take others out."""

        def release(connection: Connection) -> int:
            # Held, so that whoever pauses again waits for it.
            settings = queues.hold(connection, [name]).get(name, NO_SETTINGS)
            return len(rates.release(connection, name, settings, count=_ROWS_MAX))

        def set_aside(connection: Connection) -> int:
            settings = queues.hold(connection, [name]).get(name, NO_SETTINGS)
            if not settings.paused_types:
                return 0
            return rates.set_aside(connection, name, settings, count=_ROWS_MAX)

        while await self._database.run(release) == _ROWS_MAX:
            pass
        for _ in range(_ASIDE_BATCHES_MAX):
            if await self._database.run(set_aside) < _ROWS_MAX:
                return

    def _remove_batch(
        self, connection: Connection, name: str, states: frozenset[MessageState]
    ) -> int:
        tally = Tally()
        removed = queues.remove_messages(
            connection, name, states=states, count=_ROWS_MAX, tally=tally
        )
        counts.bump(connection, self._shard, tally)
        return removed

    def _remove_queue(self, connection: Connection, name: str, *, force: bool) -> int:
        """Delete the row first: then nothing comes in, and what came in before is seen."""
        if queues.lock(connection, name) is None:
            raise QueueNotFoundError(name)
        queues.remove(connection, name)
        removed, passes = 0, 0
        tally = Tally()
        while passes < _QUIET_PASSES:
            batch = queues.remove_messages(
                connection, name, states=_ALL, count=_ROWS_MAX, tally=tally
            )
            removed += batch
            passes = 0 if batch else passes + 1
        kept = -sum(n for (_, _, state), n in tally.changes() if state in _KEPT)
        if kept and not force:
            raise QueueNotEmptyError(name, kept)
        counts.bump(connection, self._shard, tally)
        return removed

    def _tell(self) -> None:
        self._registry.forget()
        self._changed()


def _read_queues(connection: Connection) -> list[Queue]:
    numbers: dict[str, dict[str, int]] = {}
    for name, _type, state, n in counts.read_counters(connection):
        of_queue = numbers.setdefault(name, {})
        of_queue[state] = of_queue.get(state, 0) + n
    rows: dict[str, tuple[QueueSettings, int | None, int | None]] = {
        DEFAULT_QUEUE: (NO_SETTINGS, None, None)
    }
    for name, settings, created_at_ms, updated_at_ms in queues.read_queues(connection):
        rows[name] = (settings, created_at_ms, updated_at_ms)
    return [
        Queue(
            name=name,
            settings=settings,
            counts=Counts(**numbers.get(name, {})),
            created_at_ms=created_at_ms,
            updated_at_ms=updated_at_ms,
        )
        for name, (settings, created_at_ms, updated_at_ms) in sorted(rows.items())
    ]
