"""What mail's resources answer, in the contract's envelope."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Literal

from msgspec import Struct

from api.mail.envelopes import MailPageOf, MailSuccess, encode
from api.mail.moments import iso_seconds, span
from api.mail.outcomes import NAMES, result_of
from models.audit import Entry
from models.clock import iso_utc
from models.mail.operations import Settled
from models.mail.rules import Action
from models.mail.views import Host, HostedMail, MailPage, Totals

# Which messages are meant; empty, as a form sends it, where none is chosen.
StatusWord = Literal["", "queued", "deferred", "frozen"]


class MailMessageBody(Struct, frozen=True, kw_only=True):
    """A message in a list: the contract's fields, and what is known besides."""

    id: str
    timestamp: str
    sender: str
    size: int
    status: str
    recipients: Sequence[str]
    retry_count: int
    delivered: Sequence[str]
    age: str
    subject: str
    host: str
    queue: str
    is_delivering: bool
    last_attempt: str | None
    next_retry: str | None
    last_error: str | None


class MailQueueData(Struct, frozen=True, kw_only=True):
    """A page of messages, and what all queues hold."""

    messages: list[MailMessageBody]
    total_messages: int
    deferred_messages: int
    frozen_messages: int
    oldest_message_age: str


class MailQueueAnswer(MailPageOf[MailQueueData], frozen=True):
    """A page of the queue."""


class MailCriteria(
    Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True
):
    """What a search is narrowed by; texts are parts of what they are compared with."""

    sender: str | None = None
    recipient: str | None = None
    message_id: str | None = None
    status: StatusWord | None = None
    subject: str | None = None
    min_age: str | None = None
    max_age: str | None = None
    min_size: int | None = None
    max_size: int | None = None
    min_retries: int | None = None
    max_retries: int | None = None
    reason: str | None = None
    host: str | None = None
    queue: str | None = None
    sender_domain: str | None = None
    recipient_domain: str | None = None


class MailSearchData(Struct, frozen=True):
    """What a search found, and what was searched for."""

    messages: list[MailMessageBody]
    criteria: MailCriteria


class MailSearchAnswer(MailPageOf[MailSearchData], frozen=True):
    """A page of what a search found."""


class MailEnvelopeBody(Struct, frozen=True, kw_only=True):
    """From whom to whom, when, how large."""

    sender: str
    recipients: Sequence[str]
    received_at: str
    size: int


class MailDetailsData(Struct, frozen=True, kw_only=True):
    """One message in full."""

    id: str
    host: str
    queue: str
    status: str
    retry_count: int
    last_attempt: str | None
    next_retry: str | None
    last_error: str | None
    envelope: MailEnvelopeBody
    delivered: Sequence[str]
    subject: str
    source: str
    user: str
    protocol: str
    frozen_at: str | None
    is_delivering: bool


class MailAuditBody(Struct, frozen=True, kw_only=True):
    """What somebody did; `details` is JSON, as text."""

    id: int
    timestamp: str
    action: str
    message_id: str
    user_id: str | None
    user: str
    details: str
    ip_address: str
    created_at: str


class MailHistoryData(Struct, frozen=True):
    """What was done to a message."""

    message_id: str
    history: list[MailAuditBody]


class MailHistoryAnswer(MailSuccess[MailHistoryData], frozen=True):
    """What was done to a message."""


class MailHostBody(Struct, frozen=True, kw_only=True):
    """A mail host; `complete` once its whole spool is known."""

    name: str
    alive: bool
    last_seen: str
    complete: bool
    messages: int


class MailHostsData(Struct, frozen=True):
    """All mail hosts."""

    hosts: list[MailHostBody]


class MailHostsAnswer(MailSuccess[MailHostsData], frozen=True):
    """All mail hosts."""


def message_body(hosted: HostedMail, *, now_ms: int) -> MailMessageBody:
    """Return a message as a list shows it."""
    mail = hosted.mail
    return MailMessageBody(
        id=mail.message_id,
        timestamp=iso_seconds(mail.received_at_ms),
        sender=mail.sender or "<>",
        size=mail.size_bytes,
        status=mail.status.value,
        recipients=mail.recipients,
        retry_count=mail.attempts,
        delivered=mail.delivered,
        age=span(now_ms - mail.received_at_ms),
        subject=mail.subject,
        host=hosted.host,
        queue=mail.queue,
        is_delivering=mail.is_delivering,
        last_attempt=_iso_or_none(mail.last_attempt_at_ms),
        next_retry=_iso_or_none(hosted.next_at_ms),
        last_error=mail.last_error or None,
    )


def queue_data(page: MailPage, *, now_ms: int) -> MailQueueData:
    """Return a page in the contract's form."""
    totals = page.totals
    return MailQueueData(
        messages=[message_body(each, now_ms=now_ms) for each in page.mails],
        total_messages=totals.messages,
        deferred_messages=totals.by_status.get("deferred", 0),
        frozen_messages=totals.by_status.get("frozen", 0),
        oldest_message_age=span(oldest_ms(totals, now_ms)),
    )


def details_data(hosted: HostedMail) -> MailDetailsData:
    """Return one message in full."""
    mail = hosted.mail
    return MailDetailsData(
        id=mail.message_id,
        host=hosted.host,
        queue=mail.queue,
        status=mail.status.value,
        retry_count=mail.attempts,
        last_attempt=_iso_or_none(mail.last_attempt_at_ms),
        next_retry=_iso_or_none(hosted.next_at_ms),
        last_error=mail.last_error or None,
        envelope=MailEnvelopeBody(
            sender=mail.sender or "<>",
            recipients=mail.recipients,
            received_at=iso_seconds(mail.received_at_ms),
            size=mail.size_bytes,
        ),
        delivered=mail.delivered,
        subject=mail.subject,
        source=mail.host,
        user=mail.user,
        protocol=mail.protocol,
        frozen_at=_iso_or_none(mail.frozen_at_ms),
        is_delivering=mail.is_delivering,
    )


def audit_body(entry: Entry, settled: Settled | None = None) -> MailAuditBody:
    """Return a line of the audit log in the original's form, and with what came of it."""
    at = iso_utc(entry.at_ms)
    details = {**entry.change.details}
    with suppress(ValueError):
        action = Action(str(details.get("operation")))
        details["operation"] = NAMES[action]
        if settled is not None:
            result = result_of(entry.change.target, settled, action)
            details |= {"success": result.success, "message": result.message}
            details |= {"error": result.error} if result.error else {}
    return MailAuditBody(
        id=entry.id,
        timestamp=at,
        action=entry.change.action,
        message_id=entry.change.target,
        user_id=entry.actor.id,
        user=entry.actor.name,
        details=encode(details).decode(),
        ip_address=entry.actor.address,
        created_at=at,
    )


def host_body(host: Host, *, now_ms: int) -> MailHostBody:
    """Return a mail host."""
    return MailHostBody(
        name=host.name,
        alive=host.is_alive(now_ms=now_ms),
        last_seen=iso_utc(host.seen_at_ms),
        complete=host.is_whole,
        messages=host.messages,
    )


def oldest_ms(totals: Totals, now_ms: int) -> int:
    """Return for how long the oldest message waits; 0 when none does."""
    return 0 if totals.oldest_at_ms is None else max(now_ms - totals.oldest_at_ms, 0)


def _iso_or_none(at_ms: int | None) -> str | None:
    return None if at_ms is None else iso_seconds(at_ms)
