"""The wire of tickets: what comes in, what goes out. Names are the contract's, and ours beside."""

from math import ceil, floor
from typing import Annotated, Final

import msgspec
from falcon.asgi import Request
from msgspec import UNSET, Meta, Struct, UnsetType

from api.http.reading import Body, read_bytes, read_json
from models.errors import InvalidError
from models.tickets.calibrations import Estimate
from models.tickets.facts import seconds_utc
from models.tickets.kiosk import Issued
from models.tickets.moves import Moved
from models.tickets.rules import (
    NOTES_CHARACTERS_MAX,
    CompletionReason,
    Counter,
    Move,
    NewTicket,
    PrintState,
    Priority,
    Status,
    Ticket,
    check_text,
    number_text,
)

encode: Final = msgspec.json.Encoder().encode
ID_MAX: Final = 2**63 - 1
_ID_DIGITS_MAX: Final = 18  # what is longer is no id, such as the code of a paper
Id = Annotated[int, Meta(ge=1, le=ID_MAX)]
Notes = Annotated[str, Meta(max_length=NOTES_CHARACTERS_MAX)]


class NewTicketBody(Body, frozen=True, kw_only=True):
    """A ticket to hand out: for a counter, for a procedure wherever it is done soonest, or both."""

    counter_id: Id | None = None
    procedure_id: Id | None = None
    priority: Priority | None = None
    branch_id: Id | None = None

    def new(self) -> NewTicket:
        """Return it in our words; raises InvalidError."""
        if self.counter_id is None and self.procedure_id is None:
            raise InvalidError({"counter_id": "Required, unless there is a procedure_id"})
        return NewTicket(
            counter_id=self.counter_id,
            procedure_id=self.procedure_id,
            priority=self.priority or Priority.NORMAL,
        )


class MoveBody(Body, frozen=True, kw_only=True):
    """Where a ticket goes, and what the officer has to say of it."""

    status: Status
    notes: Notes | None = None
    completion_reason: CompletionReason | None = None

    def move(self) -> Move:
        """Return it in our words; raises InvalidError."""
        if self.completion_reason is CompletionReason.HALL_CLOSED:
            raise InvalidError({"completion_reason": "Expected what an officer can know"})
        return Move(
            status=self.status,
            notes=checked_notes(self.notes),
            completion_reason=self.completion_reason,
        )


class NotesBody(Body, frozen=True, kw_only=True):
    """What the officer has to say."""

    notes: Notes | None = None


_decode_notes: Final = msgspec.json.Decoder(NotesBody)


async def read_notes(req: Request, size_max: int) -> NotesBody:
    """Return what the officer has to say, which may be nothing, without a body at all."""
    raw = await read_bytes(req, size_max)
    return read_json(raw, _decode_notes) if raw.strip() else NotesBody()


class TransferBody(Body, frozen=True, kw_only=True):
    """The counter where a ticket goes."""

    counter_id: Id
    notes: Notes | None = None


class IssuedTicket(Struct, frozen=True, kw_only=True):
    """A ticket that was handed out; `public_id` is what its paper shows as a code."""

    id: int
    number: int
    number_text: str
    counter_id: int
    counter_name: str
    procedure_id: int | None
    procedure_name: str | None
    priority: Priority
    status: Status
    created_at: str
    estimated_wait_time: int
    estimated_wait_low: int
    estimated_wait_high: int
    ahead: int
    public_id: str
    branch_id: int


class UpdatedBy(Struct, frozen=True):
    """Who moved a ticket last; a program has no id."""

    user_id: int | None
    username: str
    full_name: str


class MovedTicket(Struct, frozen=True, kw_only=True):
    """A ticket after it was moved."""

    id: int
    number: int
    number_text: str
    counter_id: int
    counter_name: str
    status: Status
    parked: bool
    call_count: int
    updated_at: str
    updated_by: UpdatedBy | None
    service_duration: int | None
    notes: str | None
    completion_reason: CompletionReason | None


class TicketView(Struct, frozen=True, kw_only=True):
    """A ticket as its holder sees it; what officers wrote is shown to them alone."""

    number: int
    number_text: str
    counter_id: int
    counter_name: str
    procedure_id: int | None
    procedure_name: str | None
    priority: Priority
    status: Status
    parked: bool
    call_count: int
    created_at: str
    called_at: str | None
    served_at: str | None
    completed_at: str | None
    ahead: int | None
    estimated_wait_time: int | None
    estimated_wait_low: int | None
    estimated_wait_high: int | None
    branch_id: int
    id: int
    print_state: PrintState | None
    rating: int | None
    completion_reason: CompletionReason | None
    updated_at: str | UnsetType = UNSET
    updated_by: UpdatedBy | UnsetType | None = UNSET
    service_duration: int | UnsetType | None = UNSET
    notes: str | UnsetType | None = UNSET


def issued(made: Issued) -> IssuedTicket:
    """Show a new ticket."""
    ticket = made.ticket
    return IssuedTicket(
        id=ticket.id,
        number=ticket.number,
        number_text=number_text(ticket.number),
        counter_id=ticket.counter_id,
        counter_name=made.counter.name,
        procedure_id=ticket.procedure_id,
        procedure_name=ticket.procedure_name,
        priority=ticket.priority,
        status=ticket.status,
        created_at=seconds_utc(ticket.created_at_ms),
        estimated_wait_time=ticket.estimated_min,
        estimated_wait_low=ticket.estimated_low_min or 0,
        estimated_wait_high=ticket.estimated_high_min or 0,
        ahead=made.ahead,
        public_id=ticket.public_id,
        branch_id=ticket.branch_id,
    )


def moved(done: Moved) -> MovedTicket:
    """Show a ticket that was moved."""
    ticket = done.ticket
    return MovedTicket(
        id=ticket.id,
        number=ticket.number,
        number_text=number_text(ticket.number),
        counter_id=ticket.counter_id,
        counter_name=done.counter.name,
        status=ticket.status,
        parked=ticket.is_parked,
        call_count=ticket.call_count,
        updated_at=seconds_utc(ticket.updated_at_ms),
        updated_by=_updated_by(ticket),
        service_duration=ticket.service_s,
        notes=ticket.notes,
        completion_reason=ticket.completion_reason,
    )


def view(
    ticket: Ticket,
    counter: Counter,
    *,
    ahead: int | None,
    wait: Estimate | None,
    for_staff: bool,
) -> TicketView:
    """Show a ticket to whoever holds it, or to staff."""
    shown = TicketView(
        id=ticket.id,
        number=ticket.number,
        number_text=number_text(ticket.number),
        counter_id=ticket.counter_id,
        counter_name=counter.name,
        procedure_id=ticket.procedure_id,
        procedure_name=ticket.procedure_name,
        priority=ticket.priority,
        status=ticket.status,
        parked=ticket.is_parked,
        call_count=ticket.call_count,
        created_at=seconds_utc(ticket.created_at_ms),
        called_at=moment(ticket.called_at_ms),
        served_at=moment(ticket.served_at_ms),
        completed_at=moment(ticket.completed_at_ms),
        ahead=ahead,
        estimated_wait_time=None if wait is None else round(wait.middle_min),
        estimated_wait_low=None if wait is None else floor(wait.low_min),
        estimated_wait_high=None if wait is None else ceil(wait.high_min),
        branch_id=ticket.branch_id,
        print_state=ticket.print_state,
        rating=ticket.rating,
        completion_reason=ticket.completion_reason,
    )
    if not for_staff:
        return shown
    return msgspec.structs.replace(
        shown,
        updated_at=seconds_utc(ticket.updated_at_ms),
        updated_by=_updated_by(ticket),
        service_duration=ticket.service_s,
        notes=ticket.notes,
    )


def moment(at_ms: int | None) -> str | None:
    """Write a moment, if there is one."""
    return None if at_ms is None else seconds_utc(at_ms)


def is_id(text: str) -> bool:
    """Say whether a part of an address may be an id."""
    return len(text) <= _ID_DIGITS_MAX and text.isascii() and text.isdecimal()


def checked_notes(notes: str | None) -> str | None:
    """Return notes that a database can keep; raises InvalidError."""
    fault = None if notes is None else check_text(notes, characters_max=NOTES_CHARACTERS_MAX)
    if fault:
        raise InvalidError({"notes": fault})
    return notes


def _updated_by(ticket: Ticket) -> UpdatedBy | None:
    by = ticket.updated_by
    return None if by is None else UpdatedBy(by.user_id, by.username, by.full_name)
