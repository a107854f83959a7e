"""What supervisors ask about a hall: its load, how good its estimates are, its tickets as rows."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final, TypeVar

from sqlalchemy import Connection

from models.database import Database
from models.errors import InvalidError
from models.tickets.hours import business_day, local_hour
from models.tickets.refusals import BranchNotFoundError
from models.tickets.rules import Branch, Calibration, Counter, Ticket
from models.tickets.statements import calibrations, halls, tickets
from models.tickets.statements import reports as rows
from models.tickets.summaries import Accuracy, Load, accuracy_of, load_of

T = TypeVar("T")
DAYS_MAX: Final = 92


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Some business days of a branch, the last one included."""

    branch: Branch
    first_day: str
    last_day: str


class Reports:
    """Reports on one database."""

    def __init__(self, database: Database) -> None:
        self._database: Final = database

    async def load(
        self, branch_id: int | None, first: date | None, last: date | None, *, now_ms: int
    ) -> tuple[Span, Load, list[Counter]]:
        """Return how busy a hall was, and its counters.

        Without a branch of the first one, without days of today. Raises BranchNotFoundError, or
        InvalidError for too many days.
        """

        def read(connection: Connection, span: Span) -> tuple[Span, Load, list[Counter]]:
            load = load_of(
                _tickets(connection, span),
                hour_of=lambda at_ms: local_hour(span.branch, at_ms=at_ms),
                now_ms=now_ms,
            )
            return span, load, halls.counters(connection, branch_id=span.branch.id)

        return await self._read(branch_id, first, last, read, now_ms=now_ms)

    async def accuracy(
        self, branch_id: int | None, first: date | None, last: date | None, *, now_ms: int
    ) -> tuple[Span, Accuracy, dict[int, Calibration]]:
        """Return how good estimates were, and what they are corrected by; raises as `load` does."""

        def read(
            connection: Connection, span: Span
        ) -> tuple[Span, Accuracy, dict[int, Calibration]]:
            found = accuracy_of(_tickets(connection, span))
            return span, found, calibrations.of_branch(connection, span.branch.id)

        return await self._read(branch_id, first, last, read, now_ms=now_ms)

    async def rows(
        self, branch_id: int | None, first: date | None, last: date | None, *, now_ms: int
    ) -> tuple[Span, list[Any]]:
        """Return the tickets themselves, by age; raises as `load` does."""
        return await self._read(
            branch_id,
            first,
            last,
            lambda connection, span: (span, list(_tickets(connection, span))),
            now_ms=now_ms,
        )

    async def unprinted(self, branch_id: int | None) -> list[Ticket]:
        """Return open tickets whose paper failed, of a branch or of all."""

        def read(connection: Connection) -> list[Ticket]:
            there = halls.branches(connection)
            if branch_id is not None and all(each.id != branch_id for each in there):
                raise BranchNotFoundError(branch_id)
            ids = [
                found
                for each in there
                if branch_id in {None, each.id}
                for found in rows.unprinted(connection, each.id)
            ]
            found = [tickets.by_id(connection, each) for each in ids]
            return [each for each in found if each is not None]

        return await self._database.read(read)

    async def _read(
        self,
        branch_id: int | None,
        first: date | None,
        last: date | None,
        read: Callable[[Connection, Span], T],
        *,
        now_ms: int,
    ) -> T:
        return await self._database.read(
            lambda connection: read(
                connection, _span(connection, branch_id, first, last, now_ms=now_ms)
            )
        )


def _tickets(connection: Connection, span: Span) -> Any:
    return rows.tickets(
        connection, span.branch.id, first_day=span.first_day, last_day=span.last_day
    )


def _span(
    connection: Connection,
    branch_id: int | None,
    first: date | None,
    last: date | None,
    *,
    now_ms: int,
) -> Span:
    there = halls.branches(connection)
    found = [each for each in there if branch_id in {None, each.id}]
    if not found:
        raise BranchNotFoundError(branch_id or "")
    branch = found[0]
    today = date.fromisoformat(business_day(branch, at_ms=now_ms))
    last = last or first or today
    first = first or last
    if first > last:
        raise InvalidError({"from": "Expected a day that is not after `to`"})
    if last - first >= timedelta(days=DAYS_MAX):
        raise InvalidError({"from": f"Expected at most {DAYS_MAX} days"})
    return Span(branch=branch, first_day=first.isoformat(), last_day=last.isoformat())
