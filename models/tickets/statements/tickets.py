"""Tickets: numbers, rows, who is open at a counter, what was served."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Connection,
    Row,
    bindparam,
    func,
    insert,
    select,
    text,
    update,
)

from models.tickets.rules import (
    CompletionReason,
    PrintState,
    Priority,
    Served,
    Staff,
    Status,
    Ticket,
)
from models.tickets.tables import is_open, procedure, ticket

# The row is held until the commit, so two who want a number wait for each other; a number that is
# taken back with its transaction is given to the next.
_NEXT_NUMBER: Final = text(
    """
    INSERT INTO ticket_sequence (scope, business_day, last_number) VALUES (:scope, :day, :first)
    ON CONFLICT (scope, business_day)
    DO UPDATE SET last_number = ticket_sequence.last_number + 1
    RETURNING last_number
    """
)
_TICKETS: Final = select(
    ticket, procedure.c.name.label("procedure_name"), procedure.c.service_min
).select_from(ticket.outerjoin(procedure, ticket.c.procedure_id == procedure.c.id))
_BY_ID: Final = _TICKETS.where(ticket.c.id == bindparam("of_id", type_=BigInteger))
_BY_PUBLIC_ID: Final = _TICKETS.where(ticket.c.public_id == bindparam("of_public_id"))
_OPEN: Final = _TICKETS.where(is_open).order_by(ticket.c.queued_at_ms, ticket.c.id)
_SERVED: Final = (
    select(
        ticket.c.counter_id,
        ticket.c.procedure_id,
        func.count().label("served"),
        func.sum(ticket.c.service_s).label("seconds"),
    )
    .where(ticket.c.status == Status.COMPLETED.value, ticket.c.service_s.is_not(None))
    .group_by(ticket.c.counter_id, ticket.c.procedure_id)
)


def next_number(connection: Connection, *, scope: str, business_day: str, first: int) -> int:
    """Take the next number of a sequence and day; it is nobody else's once this commits."""
    values = {"scope": scope, "day": business_day, "first": first}
    return int(connection.execute(_NEXT_NUMBER, values).scalar_one())


def add(connection: Connection, new: Ticket, *, sequence: str) -> int:
    """Store a new ticket with its number of a sequence; return its id."""
    row = {
        "public_id": new.public_id,
        "branch_id": new.branch_id,
        "counter_id": new.counter_id,
        "procedure_id": new.procedure_id,
        "sequence": sequence,
        "business_day": new.business_day,
        "number": new.number,
        "priority": new.priority,
        "status": new.status,
        "is_parked": new.is_parked,
        "queued_at_ms": new.queued_at_ms,
        "created_at_ms": new.created_at_ms,
        "updated_at_ms": new.updated_at_ms,
        "call_count": new.call_count,
        "estimated_min": new.estimated_min,
        "estimated_low_min": new.estimated_low_min,
        "estimated_high_min": new.estimated_high_min,
        "drained_min": new.drained_min,
        "ahead": new.ahead,
    }
    return int(connection.execute(insert(ticket).returning(ticket.c.id), row).scalar_one())


def store(connection: Connection, changed: Ticket) -> None:
    """Store what may change about a ticket."""
    by = changed.updated_by
    connection.execute(
        update(ticket)
        .where(ticket.c.id == changed.id)
        .values(
            counter_id=changed.counter_id,
            status=changed.status,
            is_parked=changed.is_parked,
            queued_at_ms=changed.queued_at_ms,
            updated_at_ms=changed.updated_at_ms,
            called_at_ms=changed.called_at_ms,
            first_called_at_ms=changed.first_called_at_ms,
            served_at_ms=changed.served_at_ms,
            completed_at_ms=changed.completed_at_ms,
            service_s=changed.service_s,
            call_count=changed.call_count,
            notes=changed.notes,
            completion_reason=changed.completion_reason,
            updated_by=None if by is None else by.user_id,
            updated_by_username=None if by is None else by.username,
            updated_by_full_name=None if by is None else by.full_name,
        )
    )


def note(connection: Connection, ticket_id: int, values: Mapping[str, Any]) -> None:
    """Store what is known of a ticket beside its way through the hall."""
    connection.execute(update(ticket).where(ticket.c.id == ticket_id).values(**values))


def by_id(connection: Connection, ticket_id: int) -> Ticket | None:
    """Return a ticket."""
    row = connection.execute(_BY_ID, {"of_id": ticket_id}).first()
    return None if row is None else _ticket(row)


def by_public_id(connection: Connection, public_id: str) -> Ticket | None:
    """Return the ticket of a paper."""
    row = connection.execute(_BY_PUBLIC_ID, {"of_public_id": public_id}).first()
    return None if row is None else _ticket(row)


def branch_id_of(connection: Connection, ticket_id: int) -> int | None:
    """Return the branch of a ticket, which never changes."""
    found = connection.execute(select(ticket.c.branch_id).where(ticket.c.id == ticket_id))
    return found.scalar()


def open_tickets(connection: Connection, counter_ids: Sequence[int] | None = None) -> list[Ticket]:
    """Return who waits, is called or is served: at some counters, or everywhere."""
    statement = _OPEN if counter_ids is None else _OPEN.where(ticket.c.counter_id.in_(counter_ids))
    return [_ticket(row) for row in connection.execute(statement)]


def open_from_before(connection: Connection, branch_id: int, business_day: str) -> list[Ticket]:
    """Return the open tickets of days before one."""
    statement = _OPEN.where(ticket.c.branch_id == branch_id, ticket.c.business_day < business_day)
    return [_ticket(row) for row in connection.execute(statement)]


def open_of_branch(connection: Connection, branch_id: int) -> list[Ticket]:
    """Return the open tickets of a branch."""
    return [
        _ticket(row) for row in connection.execute(_OPEN.where(ticket.c.branch_id == branch_id))
    ]


def served_on(
    connection: Connection, counter_ids: Sequence[int], business_day: str
) -> dict[int, dict[int | None, Served]]:
    """Return what was served on a day, by counter and procedure."""
    statement = _SERVED.where(
        ticket.c.counter_id.in_(counter_ids), ticket.c.business_day == business_day
    )
    found: dict[int, dict[int | None, Served]] = {}
    for row in connection.execute(statement):
        served = Served(count=row.served, seconds=int(row.seconds or 0))
        found.setdefault(row.counter_id, {})[row.procedure_id] = served
    return found


def _ticket(row: Row[Any]) -> Ticket:
    reason = row.completion_reason
    return Ticket(
        id=row.id,
        public_id=row.public_id,
        branch_id=row.branch_id,
        counter_id=row.counter_id,
        procedure_id=row.procedure_id,
        procedure_name=row.procedure_name,
        business_day=row.business_day,
        number=row.number,
        priority=Priority(row.priority),
        status=Status(row.status),
        is_parked=row.is_parked,
        queued_at_ms=row.queued_at_ms,
        created_at_ms=row.created_at_ms,
        updated_at_ms=row.updated_at_ms,
        called_at_ms=row.called_at_ms,
        served_at_ms=row.served_at_ms,
        completed_at_ms=row.completed_at_ms,
        service_s=row.service_s,
        call_count=row.call_count,
        notes=row.notes,
        completion_reason=None if reason is None else CompletionReason(reason),
        updated_by=_staff(row),
        service_min=row.service_min,
        estimated_min=row.estimated_min,
        estimated_low_min=row.estimated_low_min,
        estimated_high_min=row.estimated_high_min,
        drained_min=row.drained_min,
        ahead=row.ahead,
        first_called_at_ms=row.first_called_at_ms,
        print_state=None if row.print_state is None else PrintState(row.print_state),
        rating=row.rating,
    )


def _staff(row: Row[Any]) -> Staff | None:
    if row.updated_by_username is None:
        return None
    return Staff(
        user_id=row.updated_by,
        username=row.updated_by_username,
        full_name=row.updated_by_full_name or "",
    )
