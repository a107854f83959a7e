"""What belongs to a message, put together: its log, its attempts, its recipients, deeds."""

from collections.abc import Sequence

from msgspec import Struct

from api.mail.bodies import MailAuditBody, MailDetailsData, audit_body
from api.mail.log_bodies import MailLogEntry, entries
from api.mail.moments import iso_or_none, span
from api.mail.trace_bodies import (
    MailAttemptBody,
    MailRecipientStatus,
    MailTracedMessage,
    attempt_body,
    described,
    recipient_status,
    traced_message,
)
from models.audit import Entry
from models.clock import iso_utc
from models.mail.log_lines import ATTEMPTS, STATUSES
from models.mail.traces import Trace


class MailCorrelatedEvent(Struct, frozen=True, kw_only=True):
    """A line of the log, in words."""

    timestamp: str
    event: str
    description: str
    status: str
    details: str


class MailCorrelationSummary(Struct, frozen=True, kw_only=True):
    """How a message fared."""

    first_seen: str | None
    last_activity: str | None
    total_recipients: int
    delivered_count: int
    deferred_count: int
    bounced_count: int
    attempt_count: int
    final_status: str
    duration: str


class MailCorrelation(Struct, frozen=True, kw_only=True):
    """What belongs to a message, put together."""

    message_id: str
    message: MailTracedMessage
    recipients: list[MailRecipientStatus]
    log_entries: list[MailLogEntry]
    attempts: list[MailAttemptBody]
    timeline: list[MailCorrelatedEvent]
    summary: MailCorrelationSummary


class MailTraceBody(Struct, frozen=True, kw_only=True):
    """Everything about a message."""

    message_id: str
    correlation: MailCorrelation
    queue_info: MailDetailsData | None
    operation_history: list[MailAuditBody]
    generated_at: str


def correlation(trace: Trace) -> MailCorrelation:
    """Return what belongs to a message, put together."""
    moments = [each.line.at_ms for each in trace.lines]
    first, last = min(moments, default=None), max(moments, default=None)
    attempts = [each for each in trace.lines if each.line.event in ATTEMPTS]
    return MailCorrelation(
        message_id=trace.message_id,
        message=traced_message(trace),
        recipients=[recipient_status(each) for each in trace.recipients],
        log_entries=entries(trace.lines),
        attempts=[attempt_body(each) for each in attempts],
        timeline=[
            MailCorrelatedEvent(
                timestamp=iso_utc(each.line.at_ms),
                event=each.line.event.value,
                description=described(each),
                status=STATUSES.get(each.line.event, ""),
                details=each.line.error,
            )
            for each in trace.lines
        ],
        summary=MailCorrelationSummary(
            first_seen=iso_or_none(first),
            last_activity=iso_or_none(last),
            total_recipients=len(trace.recipients),
            delivered_count=trace.count("delivered"),
            deferred_count=trace.count("deferred"),
            bounced_count=trace.count("bounced"),
            attempt_count=len(attempts),
            final_status=trace.state,
            duration=span(last - first) if first is not None and last is not None else "0s",
        ),
    )


def trace_body(
    trace: Trace, deeds: Sequence[Entry], queue_info: MailDetailsData | None, *, now_ms: int
) -> MailTraceBody:
    """Return everything about a message."""
    return MailTraceBody(
        message_id=trace.message_id,
        correlation=correlation(trace),
        queue_info=queue_info,
        operation_history=[audit_body(each) for each in deeds],
        generated_at=iso_utc(now_ms),
    )
