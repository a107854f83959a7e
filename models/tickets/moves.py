"""What officers do with tickets, within a transaction that holds the branch.

So nobody else changes anything in the branch meanwhile: what is read here stays true until the
commit, and two officers never call the same ticket.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection

from models.errors import InvalidError
from models.events import Event
from models.tickets import facts
from models.tickets.acting import Acting
from models.tickets.desks import read_desks
from models.tickets.facts import Done
from models.tickets.refusals import (
    CounterBusyError,
    CounterNotActiveError,
    CounterNotFoundError,
    InvalidCounterError,
    NoWaitingTicketsError,
    StatusTransitionError,
    TicketNotFoundError,
    TooFewCallsError,
)
from models.tickets.rules import (
    CALLS_BEFORE_NO_SHOW,
    OPEN,
    TRANSITIONS,
    Branch,
    CompletionReason,
    Counter,
    CounterStatus,
    Desk,
    Move,
    Status,
    Ticket,
    turn_after,
)
from models.tickets.statements import halls, tickets

_ACTIONS: Final = {
    Status.CALLED: "ticket_called",
    Status.SERVING: "ticket_serving",
    Status.COMPLETED: "ticket_completed",
    Status.CANCELLED: "ticket_cancelled",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Where and when something is done, and who does it; None: the house itself."""

    connection: Connection
    branch: Branch
    acting: Acting | None
    now_ms: int


@dataclass(frozen=True, slots=True)
class Moved:
    """A ticket as it is now, and the counter where it is."""

    ticket: Ticket
    counter: Counter


def move(scene: Scene, ticket_id: int, wanted: Move) -> Done[Moved]:
    """Bring a ticket to another status.

    Raises TicketNotFoundError, UnauthorizedCounterError or StatusTransitionError.
    """
    old = _held(scene, ticket_id)
    if wanted.status not in TRANSITIONS[old.status]:
        raise StatusTransitionError(old.status, wanted.status, TRANSITIONS[old.status])
    if wanted.status is Status.CALLED:
        return _call(scene, old, notes=wanted.notes)
    new = replace(_moved(scene, old, wanted.status), notes=wanted.notes or old.notes)
    if wanted.status in {Status.COMPLETED, Status.CANCELLED}:
        default = CompletionReason.SUCCESS if wanted.status is Status.COMPLETED else None
        new = replace(new, completion_reason=wanted.completion_reason or default)
    return _store(scene, [(old, new)])


def call_next(scene: Scene, counter_id: int) -> Done[Moved]:
    """Call whoever is next at a counter; who is served there is done with.

    Raises UnauthorizedCounterError, CounterNotFoundError, CounterNotActiveError, CounterBusyError
    or NoWaitingTicketsError; then nothing changes.
    """
    desk = _desk(scene, counter_id)
    if scene.acting is not None:
        scene.acting.check(counter_id)
    if desk.counter.status is not CounterStatus.ACTIVE:
        raise CounterNotActiveError(counter_id, desk.counter.status)
    for each in desk.present:
        if each.status is Status.CALLED:
            raise CounterBusyError(counter_id, each.id, each.number)
    line = desk.line
    if not line:
        raise NoWaitingTicketsError(counter_id)
    return _call(scene, line[0], desk=desk)


def recall(scene: Scene, ticket_id: int) -> Done[Moved]:
    """Call somebody again who was called and did not come; raises StatusTransitionError."""
    old = _held(scene, ticket_id)
    _require(old, Status.CALLED, wanted="recall")
    return _call(scene, old)


def no_show(scene: Scene, ticket_id: int, *, notes: str | None = None) -> Done[Moved]:
    """Note that somebody did not come; raises StatusTransitionError or TooFewCallsError."""
    old = _held(scene, ticket_id)
    _require(old, Status.CALLED, wanted="no_show")
    if old.call_count < CALLS_BEFORE_NO_SHOW:
        raise TooFewCallsError(old.call_count)
    new = replace(
        _moved(scene, old, Status.CANCELLED),
        completion_reason=CompletionReason.CUSTOMER_ABSENT,
        notes=notes or old.notes,
    )
    return _store(scene, [(old, new)], action="ticket_no_show")


def park(scene: Scene, ticket_id: int, *, notes: str | None = None) -> Done[Moved]:
    """Set a ticket aside: it keeps its place, and is not called until it returns."""
    old = _held(scene, ticket_id)
    _require(old, *OPEN, wanted="park")
    new = replace(
        _moved(scene, old, Status.WAITING), is_parked=True, served_at_ms=None,
        notes=notes or old.notes,
    )  # fmt: skip
    return _store(scene, [(old, new)], action="ticket_parked")


def unpark(scene: Scene, ticket_id: int) -> Done[Moved]:
    """Let a ticket return to its place; one that stands there stays."""
    old = _held(scene, ticket_id)
    _require(old, Status.WAITING, wanted="return")
    new = replace(_moved(scene, old, Status.WAITING), is_parked=False)
    return _store(scene, [(old, new)], action="ticket_returned")


def transfer(
    scene: Scene, ticket_id: int, counter_id: int, *, notes: str | None = None
) -> Done[Moved]:
    """Send a ticket to another counter of the branch, where it stands by when it came.

    Raises InvalidCounterError for one of another branch or one that takes nobody, InvalidError
    for the counter at which it is.
    """
    old = _held(scene, ticket_id)
    _require(old, *OPEN, wanted="transfer")
    counter = halls.counter_of(scene.connection, counter_id)
    if counter is None or counter.branch_id != scene.branch.id:
        raise InvalidCounterError(counter_id, None)
    if counter.id == old.counter_id:
        raise InvalidError({"counter_id": "Expected another counter than the ticket is at"})
    if counter.status is CounterStatus.OFFLINE:
        raise InvalidCounterError(counter_id, counter.status)
    new = replace(
        _moved(scene, old, Status.WAITING),
        counter_id=counter_id,
        is_parked=False,
        served_at_ms=None,
        # It is called anew there, and who did not come there was called there.
        call_count=0,
        notes=notes or old.notes,
    )
    return _store(scene, [(old, new)], action="ticket_transferred")


def cancel_all(scene: Scene, olds: Sequence[Ticket]) -> list[Event]:
    """Cancel tickets of a hall that is closed, by nobody's hand."""
    reason = CompletionReason.HALL_CLOSED
    news = [
        (old, replace(_moved(scene, old, Status.CANCELLED), completion_reason=reason))
        for old in olds
    ]
    return _store(scene, news, action="ticket_expired").events if news else []


def _call(
    scene: Scene, old: Ticket, *, desk: Desk | None = None, notes: str | None = None
) -> Done[Moved]:
    desk = desk or _desk(scene, old.counter_id)
    changes = [
        (each, _served(scene, each))
        for each in desk.present
        if each.status is Status.SERVING and each.id != old.id
    ]
    new = replace(
        _moved(scene, old, Status.CALLED),
        is_parked=False,
        called_at_ms=scene.now_ms,
        first_called_at_ms=old.first_called_at_ms or scene.now_ms,
        call_count=old.call_count + 1,
        notes=notes or old.notes,
    )
    if old.status is Status.WAITING:
        others = [each for each in desk.waiting if each.id != old.id]
        halls.set_turn(scene.connection, old.counter_id, turn_after(old.priority, others))
    action = "ticket_recalled" if old.status is Status.CALLED else "ticket_called"
    return _store(scene, [*changes, (old, new)], action=action)


def _served(scene: Scene, old: Ticket) -> Ticket:
    new = _moved(scene, old, Status.COMPLETED)
    return replace(new, completion_reason=CompletionReason.SUCCESS)


def _moved(scene: Scene, old: Ticket, status: Status) -> Ticket:
    """Return a ticket with a status, and with the moments that follow from it."""
    now_ms = scene.now_ms
    new = replace(
        old,
        status=status,
        updated_at_ms=now_ms,
        updated_by=scene.acting.staff if scene.acting is not None else None,
    )
    if status is Status.SERVING:
        return replace(new, served_at_ms=now_ms)
    if status is Status.CANCELLED:
        return replace(new, completed_at_ms=now_ms, is_parked=False)
    if status is Status.COMPLETED:
        assert old.served_at_ms is not None
        # A clock that was set back must not make a service end before it began.
        service_s = max(0, now_ms - old.served_at_ms) // 1000
        return replace(new, completed_at_ms=now_ms, service_s=service_s)
    return new


def _store(
    scene: Scene, changes: Sequence[tuple[Ticket, Ticket]], *, action: str | None = None
) -> Done[Moved]:
    """Store what changed and tell of it; the last one is what was asked for."""
    for old, new in changes:
        tickets.store(scene.connection, new)
        if scene.acting is not None:
            scene.acting.note(
                scene.connection,
                action if action and new is changes[-1][1] else _ACTIONS[new.status],
                f"ticket:{new.id}",
                {
                    "number": new.number,
                    "counter_id": new.counter_id,
                    "from": old.status.value,
                    "to": new.status.value,
                },
                now_ms=scene.now_ms,
            )
    at = {each.counter_id for _, each in changes}
    desks = {counter_id: _desk(scene, counter_id) for counter_id in sorted(at)}
    events = [
        facts.updated(desks[new.counter_id], old, new, now_ms=scene.now_ms) for old, new in changes
    ]
    old, new = changes[-1]
    desk = desks[new.counter_id]
    if facts.is_call(old, new):
        events.append(facts.called(desk, new, now_ms=scene.now_ms))
    return Done(Moved(new, desk.counter), events)


def _held(scene: Scene, ticket_id: int) -> Ticket:
    """Return a ticket at whose counter the actor may act."""
    ticket = tickets.by_id(scene.connection, ticket_id)
    if ticket is None:
        raise TicketNotFoundError(ticket_id)
    if scene.acting is not None:
        scene.acting.check(ticket.counter_id)
    return ticket


def _desk(scene: Scene, counter_id: int) -> Desk:
    counter = halls.counter_of(scene.connection, counter_id)
    if counter is None:
        raise CounterNotFoundError(counter_id)
    [desk] = read_desks(scene.connection, scene.branch, [counter], now_ms=scene.now_ms)
    return desk


def _require(ticket: Ticket, *statuses: Status, wanted: str) -> None:
    if ticket.status not in statuses:
        raise StatusTransitionError(ticket.status, wanted, TRANSITIONS[ticket.status])
