"""What displays are told, in the contract's names, in UTC and whole seconds.

`message_en`, `branch_id`, `number_text` and what else the contract does not name stand beside its
fields. A display that knows the contract alone sees nothing unusual.
"""

import hashlib
from dataclasses import dataclass, field
from math import ceil, floor
from typing import Any, Final, Generic, TypeVar

from models.clock import iso_utc
from models.events import Event
from models.tickets.estimates import next_estimate
from models.tickets.rules import Announcement, Branch, Counter, Desk, Staff, Ticket, number_text
from models.tickets.speech import in_vietnamese

DOMAIN: Final = "tickets"
# How long a display shows a call, unless another comes.
_SHOWN_S: Final = 10
_NEXT_NUMBERS: Final = 3

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """What a step did within its transaction, and what displays are told after it."""

    value: T
    events: list[Event] = field(default_factory=list)


def seconds_utc(at_ms: int) -> str:
    """Write a moment as the contract does: ISO 8601 in UTC, whole seconds, with `Z`."""
    return f"{iso_utc(at_ms)[:19]}Z"


def created(desk: Desk, ticket: Ticket, *, now_ms: int) -> Event:
    """Tell of a new ticket."""
    counter = desk.counter
    return Event(
        "ticket-created",
        {
            "event": "ticket-created",
            "ticket": {
                **_identity(ticket),
                "counter_name": counter.name,
                "priority": ticket.priority.value,
                "created_at": seconds_utc(ticket.created_at_ms),
            },
            "queue_summary": _summary(desk, now_ms=now_ms),
            "branch_id": ticket.branch_id,
            "timestamp": seconds_utc(now_ms),
        },
    )


def updated(desk: Desk, old: Ticket, new: Ticket, *, now_ms: int) -> Event:
    """Tell where a ticket went."""
    data: dict[str, Any] = {
        "event": "ticket-updated",
        "ticket": {
            **_identity(new),
            "counter_name": desk.counter.name,
            "old_status": old.status.value,
            "new_status": new.status.value,
            "parked": new.is_parked,
            "call_count": new.call_count,
            "updated_at": seconds_utc(new.updated_at_ms),
            "updated_by": _name(new.updated_by),
        },
        "queue_summary": _summary(desk, now_ms=now_ms),
        "branch_id": new.branch_id,
        "timestamp": seconds_utc(now_ms),
    }
    if old.counter_id != new.counter_id:
        data["ticket"]["old_counter_id"] = old.counter_id
    return Event("ticket-updated", data)


def counter_changed(desk: Desk, old: Counter, *, by: Staff | None, now_ms: int) -> Event:
    """Tell that a counter opened, paused or closed."""
    new = desk.counter
    until_ms = new.paused_until_ms
    return Event(
        "counter-status-changed",
        {
            "event": "counter-status-changed",
            "counter": {
                "id": new.id,
                "name": new.name,
                "old_status": old.status.value,
                "new_status": new.status.value,
                "reason": new.pause_reason,
                "until": None if until_ms is None else seconds_utc(until_ms),
                "changed_by": _name(by),
            },
            "affected_tickets": len(desk.waiting),
            "branch_id": new.branch_id,
            "timestamp": seconds_utc(now_ms),
        },
    )


def called(desk: Desk, ticket: Ticket, *, now_ms: int) -> Event:
    """Announce a call, in both languages."""
    counter, number = desk.counter, number_text(ticket.number)
    return Event(
        "queue-announcement",
        {
            "event": "queue-announcement",
            "type": "number-calling",
            "message": f"Mời số {number} đến {in_vietnamese(counter.name)}",
            "message_en": f"Number {number}, please go to {counter.name}",
            "ticket": {
                **_identity(ticket),
                "counter_name": counter.name,
                "call_count": ticket.call_count,
            },
            "priority": "high",
            "auto_dismiss": _SHOWN_S,
            "branch_id": ticket.branch_id,
            "timestamp": seconds_utc(now_ms),
        },
    )


def estimated(desk: Desk, *, now_ms: int) -> Event:
    """Tell that waits at a counter are expected to be others, though nothing happened there."""
    return Event(
        "queue-estimated",
        {
            "event": "queue-estimated",
            "counter": {"id": desk.counter.id, "name": desk.counter.name},
            "queue_summary": _summary(desk, now_ms=now_ms),
            "branch_id": desk.counter.branch_id,
            "timestamp": seconds_utc(now_ms),
        },
    )


def announced(branch: Branch, what: Announcement, *, now_ms: int) -> Event:
    """Say something to everybody in a hall; the branch has the version of this change."""
    said = hashlib.sha256(f"{what.message}\n{what.message_en}".encode()).hexdigest()
    return Event(
        "queue-announcement",
        {
            "event": "queue-announcement",
            "type": what.type.value,
            "message": what.message,
            "message_en": what.message_en or what.message,
            "priority": what.priority,
            "auto_dismiss": what.auto_dismiss_s,
            # Where it was kept, and which it is of those that were kept together.
            "announcement_id": f"{branch.id}-{branch.version}-{said[:8]}",
            "branch_id": branch.id,
            "timestamp": seconds_utc(now_ms),
        },
    )


def printed(ticket: Ticket, *, now_ms: int) -> Event:
    """Tell what became of a ticket's paper."""
    state = ticket.print_state
    return Event(
        "ticket-printed",
        {
            "event": "ticket-printed",
            "ticket": {**_identity(ticket), "print_state": None if state is None else state.value},
            "branch_id": ticket.branch_id,
            "timestamp": seconds_utc(now_ms),
        },
    )


def is_call(old: Ticket, new: Ticket) -> bool:
    """Say whether a change of a ticket is one to announce: a call, or a recall."""
    return new.call_count > old.call_count


def _identity(ticket: Ticket) -> dict[str, object]:
    return {
        "id": ticket.id,
        "number": ticket.number,
        "number_text": number_text(ticket.number),
        "counter_id": ticket.counter_id,
    }


def _summary(desk: Desk, *, now_ms: int) -> dict[str, object]:
    current = desk.current
    wait = next_estimate(desk, now_ms=now_ms)
    return {
        "counter_id": desk.counter.id,
        "counter_status": desk.counter.status.value,
        "current_serving": None if current is None else current.number,
        "total_waiting": len(desk.waiting),
        "next_numbers": [each.number for each in desk.line[:_NEXT_NUMBERS]],
        "estimated_wait_time": round(wait.middle_min),
        "estimated_wait_low": floor(wait.low_min),
        "estimated_wait_high": ceil(wait.high_min),
    }


def _name(staff: Staff | None) -> str | None:
    return None if staff is None else staff.username
