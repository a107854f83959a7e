"""What who holds a paper says: how it was, and whether the paper came out; and what halls are told.

Each within a transaction that holds the branch.
"""

from dataclasses import replace

from sqlalchemy import Connection

from models.tickets import facts
from models.tickets.acting import Acting
from models.tickets.facts import Done
from models.tickets.refusals import TicketNotFoundError, TicketNotServedError
from models.tickets.rules import Announcement, Branch, PrintState, Status, Ticket
from models.tickets.statements import tickets


def rate(
    connection: Connection, public_id: str, *, rating: int, comment: str | None, now_ms: int
) -> Done[Ticket]:
    """Note how it was, from 1 to 5; a repeat replaces it.

    Raises TicketNotFoundError or TicketNotServedError.
    """
    ticket = _held(connection, public_id)
    if ticket.status is not Status.COMPLETED:
        raise TicketNotServedError(ticket.status)
    values = {"rating": rating, "rating_comment": comment, "rated_at_ms": now_ms}
    tickets.note(connection, ticket.id, values)
    return Done(replace(ticket, rating=rating))


def note_print(
    connection: Connection, public_id: str, state: PrintState, *, now_ms: int
) -> Done[Ticket]:
    """Note what became of a paper; raises TicketNotFoundError."""
    ticket = replace(_held(connection, public_id), print_state=state)
    tickets.note(connection, ticket.id, {"print_state": state})
    return Done(ticket, [facts.printed(ticket, now_ms=now_ms)])


def announce(
    connection: Connection, branch: Branch, what: Announcement, acting: Acting, *, now_ms: int
) -> Done[None]:
    """Say something to a hall."""
    details = {"type": what.type.value, "message": what.message}
    acting.note(connection, "hall_announced", f"branch:{branch.id}", details, now_ms=now_ms)
    return Done(None, [facts.announced(branch, what, now_ms=now_ms)])


def _held(connection: Connection, public_id: str) -> Ticket:
    ticket = tickets.by_public_id(connection, public_id)
    if ticket is None:
        raise TicketNotFoundError(public_id)
    return ticket
