"""What the resources of one message's deliveries answer, in the original's form."""

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from api.mail.moments import iso_or_none
from models.audit import Entry
from models.clock import iso_utc
from models.mail.log_lines import STATUSES, Event
from models.mail.log_views import LoggedLine
from models.mail.traces import RecipientTrace, Trace

_DESCRIPTIONS: Final = {
    Event.ARRIVAL: "Message received from {sender}",
    Event.DELIVERY: "Delivered to {recipient}",
    Event.DEFER: "Delivery to {recipient} deferred",
    Event.BOUNCE: "Delivery to {recipient} failed for good",
    Event.REJECT: "Rejected",
    Event.COMPLETED: "Nothing is left to deliver",
    Event.FREEZE: "Frozen",
    Event.THAW: "Thawed",
    Event.DELETE: "Removed from the queue",
    Event.CANCEL: "Cancelled and returned to the sender",
    Event.MODIFY: "Envelope changed",
}


class MailAttemptBody(Struct, frozen=True, kw_only=True):
    """One attempt to deliver to one recipient."""

    id: int
    message_id: str
    recipient: str
    timestamp: str
    host: str | None
    ip_address: str | None
    status: str
    smtp_code: str | None
    error_message: str | None
    created_at: str


class MailRecipientStatus(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How it went for one recipient: delivered, deferred, bounced or pending."""

    recipient: str
    status: str
    delivered_at: str | None = None
    last_attempt_at: str | None = None
    next_retry_at: str | None = None
    attempt_count: int
    last_smtp_code: str | None = None
    last_error_text: str | None = None
    delivery_history: list[MailAttemptBody]


class MailTimelineEvent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happened to a message, by the log or by people."""

    timestamp: str
    event_type: str
    recipient: str | None = None
    host: str | None = None
    ip_address: str | None = None
    smtp_code: str | None = None
    error_text: str | None = None
    description: str
    source: str  # log or audit
    source_id: int


class MailRetryBody(Struct, frozen=True, kw_only=True):
    """When a recipient is tried next, by Exim's own hints."""

    recipient: str
    scheduled_at: str
    attempt_number: int
    reason: str
    is_estimated: bool


class MailTraceSummary(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far all recipients are."""

    total_recipients: int
    delivered_count: int
    deferred_count: int
    bounced_count: int
    pending_count: int
    total_attempts: int
    first_attempt_at: str | None = None
    last_attempt_at: str | None = None
    average_delivery_time_seconds: float | None = None


class MailTracedMessage(Struct, frozen=True, kw_only=True):
    """The message itself."""

    id: str
    timestamp: str | None
    sender: str
    size: int | None
    status: str


class MailDeliveryTrace(Struct, frozen=True, kw_only=True):
    """How the deliveries of a message went."""

    message_id: str
    message: MailTracedMessage
    recipients: list[MailRecipientStatus]
    delivery_timeline: list[MailTimelineEvent]
    retry_schedule: list[MailRetryBody]
    summary: MailTraceSummary
    generated_at: str


def attempt_body(logged: LoggedLine) -> MailAttemptBody:
    """Return an attempt."""
    line, at = logged.line, iso_utc(logged.line.at_ms)
    return MailAttemptBody(
        id=logged.id,
        message_id=line.message_id,
        recipient=line.recipient,
        timestamp=at,
        host=line.remote or None,
        ip_address=line.address or None,
        status=STATUSES[line.event],
        smtp_code=line.code or None,
        error_message=line.error or None,
        created_at=at,
    )


def recipient_status(found: RecipientTrace) -> MailRecipientStatus:
    """Return how it went for one recipient."""
    last = found.last
    return MailRecipientStatus(
        recipient=found.recipient,
        status=found.state,
        delivered_at=iso_or_none(found.delivered_at_ms),
        last_attempt_at=iso_or_none(last.line.at_ms if last else None),
        next_retry_at=iso_or_none(found.next_at_ms),
        attempt_count=len(found.attempts),
        last_smtp_code=(last.line.code or None) if last else None,
        last_error_text=(last.line.error or None) if last else None,
        delivery_history=[attempt_body(each) for each in found.attempts],
    )


def timeline(trace: Trace, deeds: Iterable[Entry] = ()) -> list[MailTimelineEvent]:
    """Return what happened to a message, the oldest first: its log, and what people did."""
    found = [(each.line.at_ms, _logged_event(each)) for each in trace.lines]
    found += [(each.at_ms, _deed(each)) for each in deeds]
    return [event for _, event in sorted(found, key=lambda pair: pair[0])]


def _logged_event(logged: LoggedLine) -> MailTimelineEvent:
    line = logged.line
    return MailTimelineEvent(
        timestamp=iso_utc(line.at_ms),
        event_type=line.event.value,
        recipient=line.recipient or None,
        host=line.remote or None,
        ip_address=line.address or None,
        smtp_code=line.code or None,
        error_text=line.error or None,
        description=described(logged),
        source="log",
        source_id=logged.id,
    )


def _deed(entry: Entry) -> MailTimelineEvent:
    return MailTimelineEvent(
        timestamp=iso_utc(entry.at_ms),
        event_type=entry.change.action.removeprefix("queue_"),
        description=f"{entry.change.action} by {entry.actor.name}",
        source="audit",
        source_id=entry.id,
    )


def described(logged: LoggedLine) -> str:
    """Say in words what a line tells."""
    line = logged.line
    words = _DESCRIPTIONS.get(line.event)
    if words is None:
        return line.text.partition(f"{line.message_id} ")[2] or line.text
    return words.format(sender=line.sender or "<>", recipient=line.recipient)


def retry_schedule(trace: Trace) -> list[MailRetryBody]:
    """Return when open recipients are tried next, where Exim's hints tell it."""
    return [
        MailRetryBody(
            recipient=each.recipient,
            scheduled_at=iso_utc(each.next_at_ms),
            attempt_number=len(each.attempts) + 1,
            reason=(each.last.line.error if each.last else "") or "retry rule",
            is_estimated=False,
        )
        for each in trace.recipients
        if each.next_at_ms is not None
    ]


def summary(trace: Trace) -> MailTraceSummary:
    """Return how far all recipients are."""
    attempts = [each for one in trace.recipients for each in one.attempts]
    moments = [each.line.at_ms for each in attempts]
    took = trace.delivery_ms
    return MailTraceSummary(
        total_recipients=len(trace.recipients),
        delivered_count=trace.count("delivered"),
        deferred_count=trace.count("deferred"),
        bounced_count=trace.count("bounced"),
        pending_count=trace.count("pending"),
        total_attempts=len(attempts),
        first_attempt_at=iso_or_none(min(moments, default=None)),
        last_attempt_at=iso_or_none(max(moments, default=None)),
        average_delivery_time_seconds=sum(took) / len(took) / 1000 if took else None,
    )


def traced_message(trace: Trace) -> MailTracedMessage:
    """Return the message itself."""
    return MailTracedMessage(
        id=trace.message_id,
        timestamp=iso_or_none(trace.arrived_at_ms),
        sender=trace.sender,
        size=trace.size_bytes,
        status=trace.state,
    )


def delivery_trace(trace: Trace, deeds: Sequence[Entry], *, now_ms: int) -> MailDeliveryTrace:
    """Return how the deliveries of a message went."""
    return MailDeliveryTrace(
        message_id=trace.message_id,
        message=traced_message(trace),
        recipients=[recipient_status(each) for each in trace.recipients],
        delivery_timeline=timeline(trace, deeds),
        retry_schedule=retry_schedule(trace),
        summary=summary(trace),
        generated_at=iso_utc(now_ms),
    )
