"""How the deliveries of one message went, put together from its log; pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from models.mail.log_lines import ATTEMPTS, Event
from models.mail.log_views import LoggedLine
from models.mail.rules import Mail, Status
from models.mail.views import HostedMail

_STATES: Final = {
    Event.DELIVERY: "delivered",
    Event.DEFER: "deferred",
    Event.BOUNCE: "bounced",
}
# No attempt was made, so it does not count as one.
_NOT_TRIED: Final = ("retry time not reached", "Message is frozen")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientTrace:
    """How it went for one recipient: `delivered`, `deferred`, `bounced` or `pending`."""

    recipient: str
    state: str
    attempts: tuple[LoggedLine, ...] = ()
    delivered_at_ms: int | None = None
    next_at_ms: int | None = None

    @property
    def last(self) -> LoggedLine | None:
        """Return the last attempt."""
        return self.attempts[-1] if self.attempts else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """How the deliveries of a message went."""

    message_id: str
    lines: tuple[LoggedLine, ...]
    recipients: tuple[RecipientTrace, ...]
    hosted: HostedMail | None = None  # None: it is in no queue any more
    arrived_at_ms: int | None = None
    sender: str = ""
    size_bytes: int | None = None
    delivery_ms: tuple[int, ...] = field(default=())  # how long each delivery took, from arrival

    @property
    def mail(self) -> Mail | None:
        """Return the message as its queue has it now."""
        return None if self.hosted is None else self.hosted.mail

    def count(self, state: str) -> int:
        """Return how many recipients are in a state."""
        return sum(each.state == state for each in self.recipients)

    @property
    def attempts(self) -> list[LoggedLine]:
        """Return all attempts, the oldest first."""
        return [each for each in self.lines if each.line.event in ATTEMPTS]

    @property
    def state(self) -> str:
        """Return how far the message is, in one word of the contract."""
        if self.mail is not None:
            return self.mail.status.value
        events = {each.line.event for each in self.lines}
        if Event.DELETE in events:
            return "deleted"
        if self.count("bounced") or Event.CANCEL in events:
            return "bounced"
        if self.count("delivered"):
            return "delivered"
        return "rejected" if Event.REJECT in events else "received"


def trace_of(
    message_id: str,
    lines: Sequence[LoggedLine],
    hosted: HostedMail | None,
    *,
    next_at_ms: Mapping[str, int] | None = None,
) -> Trace:
    """Put a message's lines, the oldest first, together with what its queue says of it now."""
    mail = None if hosted is None else hosted.mail
    arrival = next((each.line for each in lines if each.line.event is Event.ARRIVAL), None)
    arrived_at_ms = arrival.at_ms if arrival else mail.received_at_ms if mail else None
    recipients = tuple(
        _recipient(address, lines, mail, next_at_ms or {}) for address in _addresses(lines, mail)
    )
    done = [each.delivered_at_ms for each in recipients if each.delivered_at_ms is not None]
    return Trace(
        message_id=message_id,
        lines=tuple(lines),
        recipients=recipients,
        hosted=hosted,
        arrived_at_ms=arrived_at_ms,
        sender=(arrival.sender if arrival else "") or (mail.sender or "<>" if mail else ""),
        size_bytes=mail.size_bytes if mail else arrival.size_bytes if arrival else None,
        delivery_ms=tuple(at - arrived_at_ms for at in done) if arrived_at_ms is not None else (),
    )


def _addresses(lines: Iterable[LoggedLine], mail: Mail | None) -> list[str]:
    """Return whom the message is for, in the order of its envelope."""
    found: dict[str, None] = dict.fromkeys(mail.recipients if mail else ())
    for each in lines:
        if each.line.event is Event.ARRIVAL:
            found.update(dict.fromkeys(each.line.recipients))
        elif each.line.event in ATTEMPTS and each.line.recipient:
            found[each.line.recipient] = None
    return list(found)


def _recipient(
    address: str,
    lines: Iterable[LoggedLine],
    mail: Mail | None,
    next_at_ms: Mapping[str, int],
) -> RecipientTrace:
    all_lines = [
        each for each in lines if each.line.event in ATTEMPTS and each.line.recipient == address
    ]
    attempts = tuple(each for each in all_lines if is_attempt(each))
    state = _STATES[all_lines[-1].line.event] if all_lines else "pending"
    is_done = any(each.line.event is Event.DELIVERY for each in all_lines)
    if is_done or (mail is not None and address in mail.delivered and state != "bounced"):
        state = "delivered"
    done = [each.line.at_ms for each in attempts if each.line.event is Event.DELIVERY]
    is_open = mail is not None and state in {"deferred", "pending"}
    waits = is_open and mail is not None and mail.status is not Status.FROZEN
    return RecipientTrace(
        recipient=address,
        state=state,
        attempts=attempts,
        delivered_at_ms=done[-1] if done else None,
        next_at_ms=next_at_ms.get(address) if waits else None,
    )


def is_attempt(logged: LoggedLine) -> bool:
    """Say whether a line tells of a real attempt, and not that none is due."""
    return not any(words in logged.line.text for words in _NOT_TRIED)
