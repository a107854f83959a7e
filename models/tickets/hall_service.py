"""What a request does with branches, counters and procedures; each change is audited with it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from models.database import Database
from models.tickets import changes, holders
from models.tickets.acting import Acting
from models.tickets.estimates import SERVICE_DEFAULT_MIN
from models.tickets.facts import Done
from models.tickets.refusals import CounterNotActiveError, NameTakenError
from models.tickets.rules import (
    NUMBER_FIRST_DEFAULT,
    Announcement,
    Branch,
    Counter,
    CounterStatus,
    Numbering,
    Policy,
    Procedure,
)
from models.tickets.statements import halls
from models.tickets.turnstile import Turnstile

T = TypeVar("T")

# What a hall is called before anybody gave it a name.
_FIRST_BRANCH: Final = "Stanchion"


class HallService:
    """Branches, counters and procedures of one database."""

    def __init__(self, database: Database, turnstile: Turnstile, *, timezone: str) -> None:
        """`timezone` is that of branches which name none."""
        self._database: Final = database
        self._turnstile: Final = turnstile
        self._branch_defaults: Final = {
            "timezone": timezone,
            "reset_minute": 0,
            "numbering": Numbering.COUNTER,
            "number_first": NUMBER_FIRST_DEFAULT,
            "opening": None,
        }

    async def branches(self) -> list[Branch]:
        """Return all branches."""
        return await self._database.read(halls.branches)

    async def branch(self, branch_id: int) -> Branch:
        """Return a branch; raises BranchNotFoundError."""
        return await self._database.read(
            lambda connection: changes.branch_of(connection, branch_id)
        )

    async def add_branch(self, values: Mapping[str, Any], acting: Acting, *, now_ms: int) -> Branch:
        """Make a branch; raises InvalidError or NameTakenError."""
        row = {**self._branch_defaults, **values}
        with_name = str(values.get("name", ""))
        return await self._unique(
            with_name,
            lambda: self._database.run(
                lambda connection: changes.add_branch(connection, row, acting, now_ms=now_ms)
            ),
        )

    async def change_branch(
        self, branch_id: int, values: Mapping[str, Any], acting: Acting, *, now_ms: int
    ) -> Branch:
        """Change a branch; raises BranchNotFoundError, InvalidError or NameTakenError."""

        def step(connection: Connection, branch: Branch) -> Done[Branch]:
            return changes.change_branch(connection, branch, values, acting, now_ms=now_ms)

        return await self._unique(
            str(values.get("name", "")),
            lambda: self._turnstile.run(branch_id, step, now_ms=now_ms),
        )

    async def counters(self, *, branch_id: int | None = None) -> list[Counter]:
        """Return all counters, or those of a branch."""
        return await self._database.read(
            lambda connection: halls.counters(connection, branch_id=branch_id)
        )

    async def counter(self, counter_id: int) -> Counter:
        """Return a counter; raises CounterNotFoundError."""
        return await self._database.read(
            lambda connection: changes.counter_of(connection, counter_id)
        )

    async def add_counter(
        self,
        values: Mapping[str, Any],
        acting: Acting,
        *,
        branch_id: int | None,
        now_ms: int,
    ) -> Counter:
        """Make a counter, which takes people at once; without a branch in the first one.

        Raises BranchNotFoundError, InvalidError or NameTakenError.
        """
        row = {
            "policy": Policy.INTERLEAVE,
            "number_first": NUMBER_FIRST_DEFAULT,
            **values,
        }
        if branch_id is None:
            branch_id = await self._first_branch(acting, now_ms=now_ms)

        def step(connection: Connection, branch: Branch) -> Done[Counter]:
            return changes.add_counter(connection, branch, row, acting, now_ms=now_ms)

        found = branch_id
        return await self._unique(
            str(values["name"]), lambda: self._turnstile.run(found, step, now_ms=now_ms)
        )

    async def change_counter(
        self, counter_id: int, values: Mapping[str, Any], acting: Acting, *, now_ms: int
    ) -> Counter:
        """Change a counter; raises CounterNotFoundError, InvalidError or NameTakenError."""
        was = await self.counter(counter_id)

        def step(connection: Connection, branch: Branch) -> Done[Counter]:
            return changes.change_counter(
                connection, branch, counter_id, values, acting, now_ms=now_ms
            )

        return await self._unique(
            str(values.get("name", "")),
            lambda: self._turnstile.run(was.branch_id, step, now_ms=now_ms),
        )

    async def pause(
        self,
        counter_id: int,
        acting: Acting,
        *,
        reason: str | None,
        until_ms: int | None,
        now_ms: int,
    ) -> Counter:
        """Pause a counter: who waits goes on waiting, nobody new comes; a repeat sets it anew.

        Raises CounterNotFoundError, UnauthorizedCounterError, or CounterNotActiveError for one
        that is closed.
        """
        row = {
            "status": CounterStatus.PAUSED,
            "pause_reason": reason,
            "paused_until_ms": until_ms,
        }
        return await self._set_status(counter_id, row, acting, now_ms=now_ms)

    async def resume(self, counter_id: int, acting: Acting, *, now_ms: int) -> Counter:
        """End a pause; a repeat changes nothing. Raises as `pause` does."""
        row = {"status": CounterStatus.ACTIVE}
        return await self._set_status(counter_id, row, acting, now_ms=now_ms)

    async def procedures(self, *, search: str = "") -> list[Procedure]:
        """Return procedures by name: all, or those in which each word occurs, accents or not."""
        return await self._database.read(
            lambda connection: halls.procedures(connection, search=search)
        )

    async def procedure(self, procedure_id: int) -> Procedure:
        """Return a procedure; raises ProcedureNotFoundError."""
        return await self._database.read(
            lambda connection: changes.procedure_of(connection, procedure_id)
        )

    async def save_procedure(
        self,
        procedure_id: int | None,
        values: Mapping[str, Any],
        acting: Acting,
        *,
        now_ms: int,
    ) -> Procedure:
        """Make a procedure (no id) or change one.

        Raises ProcedureNotFoundError, InvalidError or NameTakenError.
        """
        row = dict(values)
        if procedure_id is None:
            row = {"service_min": SERVICE_DEFAULT_MIN, "is_active": True, **values}

        def work(connection: Connection) -> Procedure:
            return changes.save_procedure(connection, procedure_id, row, acting, now_ms=now_ms)

        saved = await self._unique(str(values.get("name", "")), lambda: self._database.run(work))
        for branch in await self.branches():
            # Their displays show its name.
            await self._turnstile.run(branch.id, _nothing, now_ms=now_ms)
        return saved

    async def announce(
        self, what: Announcement, acting: Acting, *, branch_id: int | None, now_ms: int
    ) -> list[int]:
        """Say something to a hall, or to all of them; returns the branches that were told.

        Raises BranchNotFoundError.
        """

        def step(connection: Connection, branch: Branch) -> Done[None]:
            return holders.announce(connection, branch, what, acting, now_ms=now_ms)

        told = [branch_id] if branch_id is not None else [each.id for each in await self.branches()]
        for each in told:
            await self._turnstile.run(each, step, now_ms=now_ms)
        return told

    async def _set_status(
        self, counter_id: int, row: Mapping[str, Any], acting: Acting, *, now_ms: int
    ) -> Counter:
        was = await self.counter(counter_id)
        acting.check(counter_id)

        def step(connection: Connection, branch: Branch) -> Done[Counter]:
            counter = changes.counter_of(connection, counter_id)
            if counter.status is CounterStatus.OFFLINE:
                raise CounterNotActiveError(counter_id, counter.status)
            return changes.change_counter(
                connection, branch, counter_id, row, acting, now_ms=now_ms
            )

        return await self._turnstile.run(was.branch_id, step, now_ms=now_ms)

    async def _first_branch(self, acting: Acting, *, now_ms: int) -> int:
        branches = await self.branches()
        if branches:
            return branches[0].id
        try:
            made = await self.add_branch({"name": _FIRST_BRANCH}, acting, now_ms=now_ms)
        except NameTakenError:  # somebody made it just now
            return (await self.branches())[0].id
        return made.id

    @staticmethod
    async def _unique(name: str, work: Callable[[], Awaitable[T]]) -> T:
        try:
            return await work()
        except IntegrityError:
            raise NameTakenError(name) from None


def _nothing(_connection: Connection, branch: Branch) -> Done[Branch]:
    return Done(replace(branch))
