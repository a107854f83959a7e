"""Tickets as reports look at them: many rows, few columns."""

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Row,
    Select,
    String,
    bindparam,
    delete,
    func,
    literal,
    select,
    union_all,
)

from models.tickets.rules import Status
from models.tickets.tables import counter, is_open, procedure, sequence, ticket

_MINUTE_MS: Final = 60_000
_FIRST: Final = bindparam("first_day", type_=String)
_LAST: Final = bindparam("last_day", type_=String)
_OF_BRANCH: Final = bindparam("of_branch", type_=BigInteger)
_TICKETS: Final = (
    select(
        ticket,
        counter.c.name.label("counter_name"),
        procedure.c.name.label("procedure_name"),
    )
    .select_from(
        ticket.join(counter, ticket.c.counter_id == counter.c.id).outerjoin(
            procedure, ticket.c.procedure_id == procedure.c.id
        )
    )
    .where(ticket.c.branch_id == _OF_BRANCH, ticket.c.business_day.between(_FIRST, _LAST))
    .order_by(ticket.c.id)
)
_UNPRINTED: Final = (
    select(ticket.c.id)
    .where(ticket.c.branch_id == _OF_BRANCH, ticket.c.completed_at_ms.is_(None))
    .where(ticket.c.print_state == "failed")
)


_WAITING: Final = select(
    func.count().label("people"), func.min(ticket.c.created_at_ms).label("oldest_at_ms")
).where(is_open, ticket.c.status == Status.WAITING.value, ~ticket.c.is_parked)
_SINCE: Final = bindparam("since_ms", type_=BigInteger)


def _by_minute(
    name: str, moment: Column[int], *conditions: ColumnElement[bool]
) -> Select[int, str, int]:
    minute = moment - moment % _MINUTE_MS
    return (
        select(
            minute.label("minute_ms"),
            literal(name).label("name"),
            func.count().label("people"),
        )
        .where(moment >= _SINCE, *conditions)
        .group_by(minute)
    )


_IS_SERVED: Final = ticket.c.status == Status.COMPLETED.value
_MINUTES: Final = union_all(
    _by_minute("arrived", ticket.c.created_at_ms),
    _by_minute("done", ticket.c.completed_at_ms, _IS_SERVED),
    _by_minute("failed", ticket.c.completed_at_ms, ~_IS_SERVED),
)


def tickets(
    connection: Connection, branch_id: int, *, first_day: str, last_day: str
) -> Iterator[Row[Any]]:
    """Return the tickets of some business days of a branch, with names, by age."""
    values = {"of_branch": branch_id, "first_day": first_day, "last_day": last_day}
    yield from connection.execute(_TICKETS, values)


def unprinted(connection: Connection, branch_id: int) -> list[int]:
    """Return the ids of open tickets whose paper failed."""
    return list(connection.execute(_UNPRINTED, {"of_branch": branch_id}).scalars())


def waiting(connection: Connection) -> tuple[int, int | None]:
    """Return how many wait in all halls, and since when the first does."""
    row = connection.execute(_WAITING).one()
    return int(row.people), row.oldest_at_ms


def minutes(connection: Connection, *, since_ms: int) -> list[tuple[int, str, int]]:
    """Return how many tickets were taken (`arrived`), served (`done`), and lost (`failed`).

    By the beginnings of minutes; those that have nothing are left out.
    """
    return [
        (int(row.minute_ms), row.name, int(row.people))
        for row in connection.execute(_MINUTES, {"since_ms": since_ms})
    ]


def forget(connection: Connection, *, before_ms: int, count: int) -> int:
    """Delete up to `count` tickets that were over before a moment; return how many."""
    old = (
        select(ticket.c.id)
        .where(ticket.c.completed_at_ms < before_ms)
        .order_by(ticket.c.completed_at_ms)
        .limit(count)
    )
    return connection.execute(delete(ticket).where(ticket.c.id.in_(old))).rowcount


def forget_sequences(connection: Connection, *, before_day: str) -> None:
    """Delete the last numbers of days from which no ticket is kept."""
    connection.execute(delete(sequence).where(sequence.c.business_day < before_day))
