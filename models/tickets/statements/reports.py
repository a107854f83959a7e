"""Tickets as reports look at them: many rows, few columns."""

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, Row, String, bindparam, delete, select

from models.tickets.tables import counter, procedure, sequence, ticket

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


def tickets(
    connection: Connection, branch_id: int, *, first_day: str, last_day: str
) -> Iterator[Row[Any]]:
    """Return the tickets of some business days of a branch, with names, by age."""
    values = {"of_branch": branch_id, "first_day": first_day, "last_day": last_day}
    yield from connection.execute(_TICKETS, values)


def unprinted(connection: Connection, branch_id: int) -> list[int]:
    """Return the ids of open tickets whose paper failed."""
    return list(connection.execute(_UNPRINTED, {"of_branch": branch_id}).scalars())


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
