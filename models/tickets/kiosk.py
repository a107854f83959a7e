"""Handing out a ticket, within a transaction that holds the branch."""

from dataclasses import dataclass, replace
from math import ceil, floor

from sqlalchemy import Connection

from models.tickets import facts
from models.tickets.calibrations import estimate
from models.tickets.desks import read_desks
from models.tickets.estimates import drains_min, next_wait_min
from models.tickets.facts import Done
from models.tickets.hours import business_day, is_open, opens_at_ms
from models.tickets.refusals import (
    BranchClosedError,
    InvalidCounterError,
    InvalidProcedureError,
)
from models.tickets.rules import (
    Branch,
    Counter,
    CounterStatus,
    Desk,
    NewTicket,
    Numbering,
    Procedure,
    Status,
    Ticket,
)
from models.tickets.statements import halls, tickets

# Behind everybody who came in the same millisecond, until the database gives it an id.
_NOT_YET_AN_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Issued:
    """A ticket as the kiosk prints it: how many are called before, and where to."""

    ticket: Ticket
    counter: Counter
    ahead: int


def branch_for(connection: Connection, new: NewTicket, *, branch_id: int | None) -> int:
    """Return in which branch a ticket is asked for.

    Raises InvalidCounterError or InvalidProcedureError where that cannot be said.
    """
    if new.counter_id is not None:
        counter = halls.counter_of(connection, new.counter_id)
        if counter is None or branch_id not in {None, counter.branch_id}:
            raise InvalidCounterError(new.counter_id, None)
        return counter.branch_id
    assert new.procedure_id is not None
    procedure = halls.procedure_of(connection, new.procedure_id)
    if procedure is None:
        raise InvalidProcedureError(new.procedure_id)
    if branch_id is not None:
        return branch_id
    counters = halls.counters(connection, ids=procedure.counter_ids or None)
    branches = {each.branch_id for each in counters}
    if len(branches) != 1:
        raise InvalidProcedureError(new.procedure_id, procedure.counter_ids)
    return branches.pop()


def issue(
    connection: Connection, branch: Branch, new: NewTicket, *, public_id: str, now_ms: int
) -> Done[Issued]:
    """Hand out a ticket with the next number; the caller holds the branch.

    Raises BranchClosedError, InvalidCounterError or InvalidProcedureError.
    """
    if not is_open(branch, at_ms=now_ms):
        opens_ms = opens_at_ms(branch, at_ms=now_ms)
        opens_at = None if opens_ms is None else facts.seconds_utc(opens_ms)
        raise BranchClosedError(branch.id, opens_at)
    procedure = _procedure(connection, new)
    desk = _desk_for(connection, branch, new, procedure, now_ms=now_ms)
    draft = _draft(branch, desk, new, procedure, public_id=public_id, now_ms=now_ms)
    joined = replace(desk, waiting=(*desk.waiting, draft))
    line = joined.line
    ahead = line.index(draft)
    draft = _estimated(joined, draft, ahead, now_ms=now_ms)
    ticket = _store(connection, branch, desk.counter, draft)
    after = replace(desk, waiting=(*desk.waiting, ticket))
    issued = Issued(ticket, desk.counter, ahead + (desk.current is not None))
    return Done(issued, [facts.created(after, ticket, now_ms=now_ms)])


def _procedure(connection: Connection, new: NewTicket) -> Procedure | None:
    if new.procedure_id is None:
        return None
    procedure = halls.procedure_of(connection, new.procedure_id)
    if procedure is None or not procedure.is_active:
        raise InvalidProcedureError(new.procedure_id)
    return procedure


def _desk_for(
    connection: Connection,
    branch: Branch,
    new: NewTicket,
    procedure: Procedure | None,
    *,
    now_ms: int,
) -> Desk:
    """Return the counter that was asked for, or of those that do it the one to wait least at."""
    does = procedure.counter_ids if procedure is not None else ()
    if new.counter_id is not None:
        counter = halls.counter_of(connection, new.counter_id)
        if counter is None or counter.branch_id != branch.id:
            raise InvalidCounterError(new.counter_id, None)
        if counter.status is not CounterStatus.ACTIVE:
            raise InvalidCounterError(counter.id, counter.status)
        if procedure is not None and does and counter.id not in does:
            raise InvalidProcedureError(procedure.id, does)
        [desk] = read_desks(connection, branch, [counter], now_ms=now_ms)
        return desk
    assert procedure is not None
    candidates = [
        each
        for each in halls.counters(connection, branch_id=branch.id, ids=does or None)
        if each.status is CounterStatus.ACTIVE
    ]
    if not candidates:
        raise InvalidProcedureError(procedure.id, does)
    desks = read_desks(connection, branch, candidates, now_ms=now_ms)
    return min(
        desks,
        key=lambda each: (next_wait_min(each, now_ms=now_ms), len(each.waiting), each.counter.id),
    )


def _draft(
    branch: Branch,
    desk: Desk,
    new: NewTicket,
    procedure: Procedure | None,
    *,
    public_id: str,
    now_ms: int,
) -> Ticket:
    return Ticket(
        id=_NOT_YET_AN_ID,
        public_id=public_id,
        branch_id=branch.id,
        counter_id=desk.counter.id,
        procedure_id=None if procedure is None else procedure.id,
        procedure_name=None if procedure is None else procedure.name,
        business_day=business_day(branch, at_ms=now_ms),
        number=0,
        priority=new.priority,
        status=Status.WAITING,
        is_parked=False,
        queued_at_ms=now_ms,
        created_at_ms=now_ms,
        updated_at_ms=now_ms,
        called_at_ms=None,
        served_at_ms=None,
        completed_at_ms=None,
        service_s=None,
        call_count=0,
        notes=None,
        completion_reason=None,
        updated_by=None,
        service_min=None if procedure is None else procedure.service_min,
        estimated_min=0,
    )


def _estimated(desk: Desk, draft: Ticket, ahead: int, *, now_ms: int) -> Ticket:
    """Return a ticket with what its paper says, and what its outcome is compared with."""
    drained_min = drains_min(desk, desk.line[: ahead + 1], now_ms=now_ms)[ahead]
    before = ahead + (desk.current is not None)
    found = estimate(drained_min, before, desk.calibrations)
    return replace(
        draft,
        estimated_min=round(found.middle_min),
        estimated_low_min=floor(found.low_min),
        estimated_high_min=ceil(found.high_min),
        drained_min=drained_min,
        ahead=before,
    )


def _store(connection: Connection, branch: Branch, counter: Counter, draft: Ticket) -> Ticket:
    counts_as_one = branch.numbering is Numbering.HALL
    scope = f"hall:{branch.id}" if counts_as_one else f"counter:{counter.id}"
    first = branch.number_first if counts_as_one else counter.number_first
    number = tickets.next_number(
        connection, scope=scope, business_day=draft.business_day, first=first
    )
    ticket = replace(draft, number=number)
    return replace(ticket, id=tickets.add(connection, ticket, sequence=scope))
