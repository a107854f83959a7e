"""One change of a branch after the other; those that come meanwhile go through together.

Each step runs in a transaction that holds its branch, and its events are kept with it. While one
transaction is under way the next steps gather, and share the next one and its wait for the disk;
there is no timer. A step that is refused leaves nothing behind, and its neighbours as they are.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from models.database import Database
from models.errors import LimitError, StanchionError
from models.events import Event
from models.tickets.facts import Done
from models.tickets.refusals import BranchNotFoundError
from models.tickets.rules import Branch
from models.tickets.statements import halls, news

T = TypeVar("T")

Step = Callable[[Connection, Branch], Done[T]]
_STEPS_AT_ONCE_MAX: Final = 50
_STEPS_WAITING_MAX: Final = 2_000


@dataclass(frozen=True, slots=True)
class Entry:
    """The events of one transaction: what a branch's displays are told next."""

    branch: Branch
    events: Sequence[Event]
    at_ms: int

    @property
    def version(self) -> int:
        """Return the number of the change."""
        return self.branch.version


@dataclass(frozen=True, slots=True)
class _Waiting:
    step: Step[Any]
    now_ms: int
    future: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class _Outcome:
    values: list[Any]  # for each step what it returned, or why it was refused
    entry: Entry


class Turnstile:
    """Runs steps of branches, each branch in order; `tell` gets what became of a transaction."""

    def __init__(self, database: Database, *, tell: Callable[[Entry], None]) -> None:
        self._database: Final = database
        self._tell: Final = tell
        self._waiting: Final[dict[int, list[_Waiting]]] = {}
        self._running: Final[dict[int, asyncio.Task[None]]] = {}

    async def run(self, branch_id: int, step: Step[T], *, now_ms: int) -> T:
        """Run a step and return what it returned, once that is on disk.

        Raises what the step raises, BranchNotFoundError, or LimitError when too many wait.
        """
        waiting = self._waiting.setdefault(branch_id, [])
        if len(waiting) >= _STEPS_WAITING_MAX:
            raise LimitError("ticket_changes_waiting_max", _STEPS_WAITING_MAX)
        future = asyncio.get_running_loop().create_future()
        waiting.append(_Waiting(step, now_ms, future))
        if branch_id not in self._running:
            self._running[branch_id] = asyncio.create_task(self._serve(branch_id))
        return cast("T", await future)

    async def close(self) -> None:
        """Return when what was begun is done."""
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def _serve(self, branch_id: int) -> None:
        try:
            while waiting := self._waiting.get(branch_id):
                batch = waiting[:_STEPS_AT_ONCE_MAX]
                del waiting[:_STEPS_AT_ONCE_MAX]
                # Nobody waits for those any more.
                await self._run(branch_id, [each for each in batch if not each.future.done()])
        finally:
            del self._running[branch_id]

    async def _run(self, branch_id: int, batch: Sequence[_Waiting]) -> None:
        if not batch:
            return
        try:
            outcome = await self._database.run(
                lambda connection: _run_all(connection, branch_id, batch)
            )
        except Exception as error:  # noqa: BLE001  # each of them is told, and raises it
            for each in batch:
                if not each.future.done():
                    each.future.set_exception(error)
            return
        self._tell(outcome.entry)
        for each, value in zip(batch, outcome.values, strict=True):
            if each.future.done():
                continue
            if isinstance(value, Exception):
                each.future.set_exception(value)
            else:
                each.future.set_result(value)


def run_step(
    connection: Connection, branch_id: int, step: Step[T], *, now_ms: int
) -> tuple[T, Entry]:
    """Run one step in the caller's transaction; returns what it did and what to tell after it."""
    branch = _hold(connection, branch_id, now_ms=now_ms)
    done = step(connection, branch)
    return done.value, _keep(connection, branch, done.events, now_ms=now_ms)


def _run_all(connection: Connection, branch_id: int, batch: Sequence[_Waiting]) -> _Outcome:
    now_ms = max(each.now_ms for each in batch)
    if len(batch) == 1:
        value, entry = run_step(connection, branch_id, batch[0].step, now_ms=now_ms)
        return _Outcome([value], entry)
    branch = _hold(connection, branch_id, now_ms=now_ms)
    values: list[Any] = []
    events: list[Event] = []
    for each in batch:
        try:
            with connection.begin_nested():
                done = each.step(connection, branch)
        except (StanchionError, IntegrityError) as error:  # it is the step's own, nobody else's
            values.append(error)
        else:
            values.append(done.value)
            events += done.events
    return _Outcome(values, _keep(connection, branch, events, now_ms=now_ms))


def _hold(connection: Connection, branch_id: int, *, now_ms: int) -> Branch:
    branch = halls.hold_branch(connection, branch_id, now_ms=now_ms)
    if branch is None:
        raise BranchNotFoundError(branch_id)
    return branch


def _keep(connection: Connection, branch: Branch, events: Sequence[Event], *, now_ms: int) -> Entry:
    """Keep the events with the change: whatever happens next, displays will be told."""
    told = msgspec.json.encode([(event.name, event.data) for event in events])
    news.add(connection, branch_id=branch.id, version=branch.version, events=told, at_ms=now_ms)
    return Entry(branch, events, now_ms)
