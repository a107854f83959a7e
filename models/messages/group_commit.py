"""Group commit: single requests that arrive while a transaction is under way share the next one.

No timer: an idle queue commits at once, a busy one in groups that grow with the load.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from models.database import Database
from models.errors import LimitError, StanchionError
from models.messages.gathering import Gathering

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
ItemIn_contra = TypeVar("ItemIn_contra", contravariant=True)
OutcomeOut_co = TypeVar("OutcomeOut_co", covariant=True)


class Write(Protocol[ItemIn_contra, OutcomeOut_co]):
    """What a group does to the database: an outcome for each item, in order.

    An outcome that is an exception refuses its item alone. `slot` tells apart the transactions
    that may be under way at the same time.
    """

    def __call__(
        self, connection: Connection, items: Sequence[ItemIn_contra], *, now_ms: int, slot: int
    ) -> Sequence[OutcomeOut_co | StanchionError]:
        """Write the items."""


@dataclass(slots=True)
class _Entry(Generic[Item, Outcome]):
    """What one caller submitted; an outcome that is an error refuses its item alone."""

    items: Sequence[Item]
    weight: int
    now_ms: int
    future: asyncio.Future[list[Outcome | Exception]]


class GroupCommit(Generic[Item, Outcome]):
    """Gathers items into transactions, of which two are under way at a time, on SQLite one.

    `committed` is told of each group right after its commit, in order of commit, before its
    submitters are answered: the place to make events and wake consumers.
    """

    def __init__(
        self,
        database: Database,
        write: Write[Item, Outcome],
        *,
        limit_name: str,
        rows_max: int,
        waiting_max: int,
        committed: Callable[[list[Item], list[Outcome]], None] | None = None,
    ) -> None:
        self._database: Final = database
        self._write: Final = write
        self._limit_name: Final = limit_name
        self._rows_max: Final = rows_max
        self._waiting_max: Final = waiting_max
        self._committed: Final = committed
        # Two take turns, one at the disk; with one writer the second would only make groups small.
        self._free_slots: Final = [0] if database.is_sqlite else [0, 1]
        self._queue: Final[deque[_Entry[Item, Outcome]]] = deque()
        self._waiting = 0
        self._flights: Final[set[asyncio.Task[None]]] = set()
        self._gathering: Final = Gathering(self._launch)

    async def submit(self, item: Item, *, now_ms: int, weight: int = 1) -> Outcome:
        """Write one item and return its outcome after the commit.

        `weight` is the number of rows. Raises LimitError when too many rows wait already,
        UnavailableError when the database is away, and whatever the write refuses the item with.
        """
        [outcome] = await self._put([item], weight, now_ms)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def submit_many(self, items: Sequence[Item], *, now_ms: int) -> list[Outcome | Exception]:
        """Write items of weight 1 in one transaction; return an outcome for each, in order.

        An outcome that is an error refuses its item alone. Raises what `submit` raises when
        nothing was written.
        """
        return await self._put(items, len(items), now_ms) if items else []

    def _put(
        self, items: Sequence[Item], weight: int, now_ms: int
    ) -> asyncio.Future[list[Outcome | Exception]]:
        if self._waiting + weight > self._waiting_max:
            raise LimitError(self._limit_name, self._waiting_max)
        loop = asyncio.get_running_loop()
        entry: _Entry[Item, Outcome] = _Entry(items, weight, now_ms, loop.create_future())
        self._queue.append(entry)
        self._waiting += weight
        if self._free_slots:
            self._gathering.note()
        return entry.future

    async def close(self) -> None:
        """Wait until everything submitted is answered."""
        while self._flights or self._gathering.is_due:
            await asyncio.sleep(0)
            if self._flights:
                await asyncio.wait(set(self._flights))

    def _launch(self) -> None:
        while self._queue and self._free_slots:
            flight = asyncio.create_task(self._fly(self._next_group(), self._free_slots.pop()))
            self._flights.add(flight)
            flight.add_done_callback(self._flights.discard)

    def _next_group(self) -> list[_Entry[Item, Outcome]]:
        group = [self._queue.popleft()]
        rows = group[0].weight
        while self._queue and rows + self._queue[0].weight <= self._rows_max:
            entry = self._queue.popleft()
            rows += entry.weight
            group.append(entry)
        self._waiting -= rows
        return group

    async def _fly(self, group: list[_Entry[Item, Outcome]], slot: int) -> None:
        items = [item for entry in group for item in entry.items]
        now_ms = max(entry.now_ms for entry in group)
        try:
            outcomes = await self._commit(items, now_ms, slot)
        except SQLAlchemyError as error:
            if len(items) == 1:
                _refuse(group, error)
            else:  # one bad row shall fail alone
                _answer(group, [await self._commit_alone(item, now_ms, slot) for item in items])
        except Exception as error:  # noqa: BLE001 -- it is handed to those who wait for it
            _refuse(group, error)
        else:
            _answer(group, outcomes)
        finally:
            self._free_slots.append(slot)
            if self._queue:
                self._gathering.note()

    async def _commit_alone(self, item: Item, now_ms: int, slot: int) -> Outcome | Exception:
        try:
            [outcome] = await self._commit([item], now_ms, slot)
        except Exception as error:  # noqa: BLE001 -- it is handed to the one who waits for it
            return error
        return outcome

    async def _commit(
        self, items: list[Item], now_ms: int, slot: int
    ) -> Sequence[Outcome | Exception]:
        outcomes = await self._database.run(
            lambda connection: self._write(connection, items, now_ms=now_ms, slot=slot),
            by_index=True,
        )
        if self._committed is not None:
            accepted = [
                (item, outcome)
                for item, outcome in zip(items, outcomes, strict=True)
                if not isinstance(outcome, StanchionError)
            ]
            if accepted:
                self._committed(
                    [item for item, _ in accepted], [outcome for _, outcome in accepted]
                )
        return outcomes


def _answer(group: list[_Entry[Item, Outcome]], outcomes: Sequence[Outcome | Exception]) -> None:
    """Hand each entry its outcomes, unless its submitter went away."""
    start = 0
    for entry in group:
        end = start + len(entry.items)
        if not entry.future.done():
            entry.future.set_result(list(outcomes[start:end]))
        start = end


def _refuse(group: list[_Entry[Any, Any]], error: Exception) -> None:
    for entry in group:
        if not entry.future.done():
            entry.future.set_exception(error)
