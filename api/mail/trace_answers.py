"""The envelopes of what is told about one message."""

from collections.abc import Sequence

from msgspec import Struct

from api.mail.correlation_bodies import MailCorrelation, MailTraceBody
from api.mail.envelopes import MailSuccess
from api.mail.log_bodies import MailLogEntry
from api.mail.note_bodies import MailNoteBody, MailTagBody
from api.mail.trace_bodies import (
    MailAttemptBody,
    MailDeliveryTrace,
    MailRecipientStatus,
    MailRetryBody,
    MailTimelineEvent,
    MailTraceSummary,
    retry_schedule,
    summary,
    timeline,
)
from models.audit import Entry
from models.clock import iso_utc
from models.mail.traces import RecipientTrace, Trace


class MailTraceAnswer(MailSuccess[MailTraceBody], frozen=True):
    """Everything about a message."""


class MailDeliveryTraceAnswer(MailSuccess[MailDeliveryTrace], frozen=True):
    """How the deliveries of a message went."""


class MailCorrelationData(Struct, frozen=True):
    """What belongs to a message."""

    message_id: str
    correlation: MailCorrelation


class MailCorrelationAnswer(MailSuccess[MailCorrelationData], frozen=True):
    """What belongs to a message."""


class MailTimelineData(Struct, frozen=True, kw_only=True):
    """What happened to a message."""

    message_id: str
    timeline: list[MailTimelineEvent]
    summary: MailTraceSummary
    generated_at: str


class MailTimelineAnswer(MailSuccess[MailTimelineData], frozen=True):
    """What happened to a message."""


class MailThread(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happened to a message for one recipient; without one, to the message as a whole."""

    thread_id: str
    recipient: str | None = None
    thread_type: str
    events: list[MailTimelineEvent]
    summary: str
    status: str


class MailThreadsData(Struct, frozen=True, kw_only=True):
    """What happened to a message, by recipients."""

    message_id: str
    threads: list[MailThread]
    notes: Sequence[MailNoteBody]
    tags: Sequence[MailTagBody]
    correlated_incidents: list[str]


class MailThreadsAnswer(MailSuccess[MailThreadsData], frozen=True):
    """What happened to a message, by recipients."""


class MailRetryQueueInfo(Struct, frozen=True, kw_only=True):
    """What the queue says of a message that is in it."""

    queue_status: str
    retry_count: int
    last_attempt: str | None
    next_retry: str | None


class MailRetriesData(Struct, frozen=True, kw_only=True):
    """When a message is tried again."""

    message_id: str
    retry_schedule: list[MailRetryBody]
    queue_info: MailRetryQueueInfo | None
    deferred_count: int
    generated_at: str


class MailRetriesAnswer(MailSuccess[MailRetriesData], frozen=True):
    """When a message is tried again."""


class MailRecipientStats(Struct, frozen=True, kw_only=True):
    """How far one recipient is."""

    status: str
    attempt_count: int
    delivered_at: str | None
    last_attempt: str | None
    next_retry: str | None


class MailTimelineStats(Struct, frozen=True, kw_only=True):
    """How much happened to a message."""

    total_events: int
    event_counts: dict[str, int]
    source_counts: dict[str, int]


class MailRetryStats(Struct, frozen=True, kw_only=True):
    """How many attempts are planned."""

    scheduled_retries: int
    estimated_retries: int


class MailDeliveryStats(Struct, frozen=True, kw_only=True):
    """The deliveries of a message in numbers."""

    summary: MailTraceSummary
    recipients: dict[str, MailRecipientStats]
    timeline_stats: MailTimelineStats
    retry_stats: MailRetryStats


class MailDeliveryStatsAnswer(MailSuccess[MailDeliveryStats], frozen=True):
    """The deliveries of a message in numbers."""


class MailRecipientHistory(Struct, frozen=True, kw_only=True):
    """How it went for one recipient."""

    message_id: str
    recipient: str
    status: MailRecipientStatus
    timeline: list[MailTimelineEvent]
    retry_schedule: list[MailRetryBody]


class MailRecipientHistoryAnswer(MailSuccess[MailRecipientHistory], frozen=True):
    """How it went for one recipient."""


class MailAttemptData(Struct, frozen=True, kw_only=True):
    """An attempt, and what the log says near it."""

    attempt: MailAttemptBody
    related_logs: list[MailLogEntry]


class MailAttemptAnswer(MailSuccess[MailAttemptData], frozen=True):
    """An attempt."""


def threads(trace: Trace, deeds: Sequence[Entry]) -> list[MailThread]:
    """Return what happened to a message: as a whole first, then for each recipient."""
    events = timeline(trace, deeds)
    whole = MailThread(
        thread_id="message",
        thread_type="message",
        events=[each for each in events if each.recipient is None],
        summary=f"{len(trace.recipients)} recipients, {trace.count('delivered')} delivered",
        status=trace.state,
    )
    return [whole, *(_thread(number, each, events) for number, each in enumerate(trace.recipients))]


def _thread(number: int, found: RecipientTrace, events: list[MailTimelineEvent]) -> MailThread:
    count = len(found.attempts)
    return MailThread(
        thread_id=f"recipient-{number + 1}",
        recipient=found.recipient,
        thread_type="recipient",
        events=[each for each in events if each.recipient == found.recipient],
        summary=f"{found.state} after {count} attempt{'' if count == 1 else 's'}",
        status=found.state,
    )


def retries_data(trace: Trace, *, now_ms: int) -> MailRetriesData:
    """Return when a message is tried again."""
    due = [each.next_at_ms for each in trace.recipients if each.next_at_ms is not None]
    mail = trace.mail
    info = (
        None
        if mail is None
        else MailRetryQueueInfo(
            queue_status=mail.status.value,
            retry_count=mail.attempts,
            last_attempt=None
            if mail.last_attempt_at_ms is None
            else iso_utc(mail.last_attempt_at_ms),
            next_retry=iso_utc(min(due)) if due else None,
        )
    )
    return MailRetriesData(
        message_id=trace.message_id,
        retry_schedule=retry_schedule(trace),
        queue_info=info,
        deferred_count=trace.count("deferred"),
        generated_at=iso_utc(now_ms),
    )


def stats(
    trace: Trace, deeds: Sequence[Entry], recipients: Sequence[MailRecipientStatus]
) -> MailDeliveryStats:
    """Return the deliveries of a message in numbers."""
    events, kinds, origins = timeline(trace, deeds), dict[str, int](), dict[str, int]()
    for each in events:
        kinds[each.event_type] = kinds.get(each.event_type, 0) + 1
        origins[each.source] = origins.get(each.source, 0) + 1
    return MailDeliveryStats(
        summary=summary(trace),
        recipients={
            each.recipient: MailRecipientStats(
                status=each.status,
                attempt_count=each.attempt_count,
                delivered_at=each.delivered_at,
                last_attempt=each.last_attempt_at,
                next_retry=each.next_retry_at,
            )
            for each in recipients
        },
        timeline_stats=MailTimelineStats(
            total_events=len(events), event_counts=kinds, source_counts=origins
        ),
        retry_stats=MailRetryStats(
            scheduled_retries=len(retry_schedule(trace)), estimated_retries=0
        ),
    )
