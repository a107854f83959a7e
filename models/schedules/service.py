"""What a request does with schedules. What a method changed is on disk when it returns."""

import re
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from models.database import Database
from models.errors import InvalidError
from models.messages.rules import Enqueued
from models.messages.service import MessageService
from models.schedules import plans, statements
from models.schedules.rules import (
    NAME_PATTERN,
    Plan,
    Schedule,
    ScheduleExistsError,
    ScheduleNotFoundError,
    TooManySchedulesError,
)

_NAME: Final = re.compile(NAME_PATTERN)


class ScheduleService:
    """The schedules of one database; what they put in is up to the workers."""

    def __init__(self, database: Database, messages: MessageService, *, schedules_max: int) -> None:
        self._database: Final = database
        self._messages: Final = messages
        self._schedules_max: Final = schedules_max

    async def page(self, *, after: str, count: int) -> list[Schedule]:
        """Return up to `count` schedules by name, those behind `after`."""
        return await self._database.read(
            lambda connection: statements.page(connection, after=after, count=count)
        )

    async def get(self, name: str) -> Schedule:
        """Return one schedule; raises ScheduleNotFoundError."""
        return _found(
            name, await self._database.read(lambda connection: statements.read(connection, name))
        )

    async def create(self, name: str, plan: Plan, *, now_ms: int) -> Schedule:
        """Make a schedule.

        Raises InvalidError for its name or timing, QueueNotFoundError, ScheduleExistsError or
        TooManySchedulesError.
        """
        _check_name(name)
        await self._messages.queues.get(plan.message.queue)
        schedule = plans.made(name, plan, now_ms=now_ms)
        try:
            await self._database.run(lambda connection: self._create(connection, schedule))
        except IntegrityError:
            raise ScheduleExistsError(name) from None
        return schedule

    async def put(self, name: str, plan: Plan, *, now_ms: int) -> tuple[Schedule, bool]:
        """Make a schedule, or give the one of this name another plan; say whether it was made.

        Raises InvalidError for its name or timing, QueueNotFoundError or TooManySchedulesError.
        """
        _check_name(name)
        await self._messages.queues.get(plan.message.queue)

        def write(connection: Connection) -> tuple[Schedule, bool]:
            found = statements.lock(connection, name)
            if found is None:
                return self._create(connection, plans.made(name, plan, now_ms=now_ms)), True
            schedule = plans.planned_anew(found, plan, now_ms=now_ms)
            statements.store(connection, schedule)
            return schedule, False

        try:
            return await self._database.run(write)
        except IntegrityError:  # somebody made it just now
            return await self._database.run(write)

    async def patch(self, name: str, changes: Mapping[str, Any], *, now_ms: int) -> Schedule:
        """Change some fields of a plan or its timing.

        Raises ScheduleNotFoundError, InvalidError that names wrong fields, or QueueNotFoundError.
        """
        message = changes.get("message")
        if message is not None:
            await self._messages.queues.get(message.queue)

        def write(connection: Connection) -> Schedule:
            found = _found(name, statements.lock(connection, name))
            plan = plans.changed(found.plan, changes)
            schedule = plans.planned_anew(found, plan, now_ms=now_ms)
            statements.store(connection, schedule)
            return schedule

        return await self._database.run(write)

    async def delete(self, name: str) -> None:
        """Delete a schedule; what it put in stays. Raises ScheduleNotFoundError."""
        if not await self._database.run(lambda connection: statements.remove(connection, name)):
            raise ScheduleNotFoundError(name)

    async def run(self, name: str, *, now_ms: int) -> tuple[Schedule, Enqueued]:
        """Put a schedule's message in now, paused or not; its moments stay as they are.

        Raises ScheduleNotFoundError, and what an enqueue raises.
        """
        schedule = await self.get(name)
        return schedule, await self._messages.enqueue([schedule.plan.message], now_ms=now_ms)

    def _create(self, connection: Connection, schedule: Schedule) -> Schedule:
        if statements.count_among_makers(connection) >= self._schedules_max:
            if statements.read(connection, schedule.name) is not None:
                raise ScheduleExistsError(schedule.name)
            raise TooManySchedulesError(self._schedules_max)
        statements.create(connection, schedule)
        return schedule


def _found(name: str, schedule: Schedule | None) -> Schedule:
    if schedule is None:
        raise ScheduleNotFoundError(name)
    return schedule


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        expected = "Expected 1 to 128 letters, digits, dots, dashes or underscores, no sign first"
        raise InvalidError({"name": expected})
