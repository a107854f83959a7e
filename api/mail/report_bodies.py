"""What the resources of reports answer, in the original's form."""

from collections.abc import Sequence
from typing import Final

from msgspec import UNSET, Struct, UnsetType

from api.mail.envelopes import MailSuccess
from api.mail.log_bodies import (
    MailPeriodBody,
)
from models.clock import iso_utc
from models.mail.log_views import Ranked
from models.mail.report_service import Days, Outcomes

_CODES: Final = {
    "421": "Service not available",
    "450": "Mailbox unavailable for now",
    "451": "Local error in processing",
    "452": "Insufficient storage",
    "454": "Temporary authentication failure",
    "500": "Syntax error",
    "501": "Syntax error in parameters",
    "503": "Bad sequence of commands",
    "530": "Authentication required",
    "535": "Authentication failed",
    "550": "Mailbox unavailable",
    "551": "User not local",
    "552": "Storage exceeded",
    "553": "Mailbox name not allowed",
    "554": "Transaction failed",
}


class MailReason(Struct, frozen=True):
    """Why something failed, and how often."""

    reason: str
    count: int


class MailDeliverability(Struct, frozen=True, kw_only=True):
    """What came of attempts; rates are percentages of all attempts and rejections."""

    period: MailPeriodBody
    total_messages: int
    delivered_count: int
    deferred_count: int
    bounced_count: int
    rejected_count: int
    delivery_rate: float
    deferral_rate: float
    bounce_rate: float
    rejection_rate: float
    event_counts: dict[str, int]
    log_type_counts: dict[str, int]
    top_failure_reasons: list[MailReason]


class MailDeliverabilityAnswer(MailSuccess[MailDeliverability], frozen=True):
    """What came of attempts."""


class MailPoint(Struct, frozen=True):
    """How many messages came from a moment on."""

    timestamp: str
    count: int


class MailVolume(Struct, frozen=True, kw_only=True):
    """How many messages came, step by step."""

    period: MailPeriodBody
    group_by: str
    total_volume: int
    average_volume: float
    peak_volume: int
    time_series: list[MailPoint]


class MailVolumeAnswer(MailSuccess[MailVolume], frozen=True):
    """How many messages came, step by step."""


class MailFailureCategory(Struct, frozen=True):
    """Failures of one kind."""

    category: str
    count: int
    percentage: float
    description: str


class MailCodeCount(Struct, frozen=True):
    """A code of SMTP, and how often it was the answer."""

    code: str
    description: str
    count: int


class MailFailures(Struct, frozen=True, kw_only=True):
    """What failed, and how."""

    period: MailPeriodBody
    total_failures: int
    failure_categories: list[MailFailureCategory]
    top_error_codes: list[MailCodeCount]
    top_failure_reasons: list[MailReason]


class MailFailuresAnswer(MailSuccess[MailFailures], frozen=True):
    """What failed, and how."""


class MailSenderStat(Struct, frozen=True, kw_only=True):
    """A sender, and what came of its messages."""

    sender: str
    message_count: int
    volume_bytes: int
    delivery_rate: float


class MailTopSenders(Struct, frozen=True, kw_only=True):
    """Who sent most."""

    period: MailPeriodBody
    top_senders: list[MailSenderStat]


class MailTopSendersAnswer(MailSuccess[MailTopSenders], frozen=True):
    """Who sent most."""


class MailRecipientStat(Struct, frozen=True, kw_only=True):
    """A recipient, and what came of its messages."""

    recipient: str
    message_count: int
    volume_bytes: int
    delivery_rate: float


class MailTopRecipients(Struct, frozen=True, kw_only=True):
    """For whom most was."""

    period: MailPeriodBody
    top_recipients: list[MailRecipientStat]


class MailTopRecipientsAnswer(MailSuccess[MailTopRecipients], frozen=True):
    """For whom most was."""


class MailDomainStat(Struct, frozen=True, kw_only=True):
    """A domain, and what came of its messages."""

    domain: str
    message_count: int
    delivery_rate: float
    bounce_rate: float
    defer_rate: float


class MailDomains(Struct, frozen=True, kw_only=True):
    """Domains by how much they send or get."""

    period: MailPeriodBody
    analysis_type: str
    sender_domains: list[MailDomainStat] | UnsetType = UNSET
    recipient_domains: list[MailDomainStat] | UnsetType = UNSET


class MailDomainsAnswer(MailSuccess[MailDomains], frozen=True):
    """Domains by how much they send or get."""


class MailWeek(Struct, frozen=True, kw_only=True):
    """Days of UTC, and what happened on each."""

    dates: list[str]
    delivered: list[int]
    failed: list[int]
    pending: list[int]
    deferred: list[int]


class MailWeekAnswer(MailSuccess[MailWeek], frozen=True):
    """Days, and what happened on each."""


def deliverability(found: Outcomes, period: MailPeriodBody) -> MailDeliverability:
    """Return what came of attempts."""
    counts = {name: found.events.get(name, 0) for name in ("delivery", "defer", "bounce", "reject")}
    total, lines = sum(counts.values()), sum(found.events.values())
    return MailDeliverability(
        period=period,
        total_messages=found.events.get("arrival", 0),
        delivered_count=counts["delivery"],
        deferred_count=counts["defer"],
        bounced_count=counts["bounce"],
        rejected_count=counts["reject"],
        delivery_rate=percent(counts["delivery"], total),
        deferral_rate=percent(counts["defer"], total),
        bounce_rate=percent(counts["bounce"], total),
        rejection_rate=percent(counts["reject"], total),
        event_counts=found.events,
        log_type_counts={"main": lines} if lines else {},
        top_failure_reasons=[MailReason(*each) for each in found.reasons],
    )


def volume(series: Sequence[tuple[int, int]], step: str, period: MailPeriodBody) -> MailVolume:
    """Return how many messages came, step by step."""
    counts = [count for _, count in series]
    return MailVolume(
        period=period,
        group_by=step,
        total_volume=sum(counts),
        average_volume=round(sum(counts) / len(counts), 2) if counts else 0,
        peak_volume=max(counts, default=0),
        time_series=[MailPoint(iso_utc(at_ms), count) for at_ms, count in series],
    )


def failures(found: Outcomes, period: MailPeriodBody) -> MailFailures:
    """Return what failed, and how."""
    kinds = (
        ("Temporary Failures", "defer", "Messages deferred due to temporary issues"),
        ("Permanent Failures", "bounce", "Messages permanently bounced"),
        ("Rejections", "reject", "Messages rejected at SMTP level"),
    )
    total = sum(found.events.get(event, 0) for _, event, _ in kinds)
    categories = [
        MailFailureCategory(name, count, percent(count, total), words)
        for name, event, words in kinds
        if (count := found.events.get(event, 0)) or total
    ]
    return MailFailures(
        period=period,
        total_failures=total,
        failure_categories=categories,
        top_error_codes=[
            MailCodeCount(code, _CODES.get(code, "Other answer"), count)
            for code, count in found.codes
        ],
        top_failure_reasons=[MailReason(*each) for each in found.reasons],
    )


def sender_stat(found: Ranked) -> MailSenderStat:
    """Return a sender."""
    return MailSenderStat(
        sender=found.name,
        message_count=found.messages,
        volume_bytes=found.size_bytes,
        delivery_rate=percent(found.delivered, found.attempts),
    )


def recipient_stat(found: Ranked) -> MailRecipientStat:
    """Return a recipient."""
    return MailRecipientStat(
        recipient=found.name,
        message_count=found.messages,
        volume_bytes=found.size_bytes,
        delivery_rate=percent(found.delivered, found.attempts),
    )


def domain_stat(found: Ranked) -> MailDomainStat:
    """Return a domain."""
    return MailDomainStat(
        domain=found.name,
        message_count=found.messages,
        delivery_rate=percent(found.delivered, found.attempts),
        bounce_rate=percent(found.bounced, found.attempts),
        defer_rate=percent(found.deferred, found.attempts),
    )


def week(found: Days) -> MailWeek:
    """Return days, and what happened on each."""
    return MailWeek(
        dates=[iso_utc(day)[:10] for day in found.days],
        delivered=found.delivered,
        failed=found.failed,
        pending=found.pending,
        deferred=found.deferred,
    )


def percent(part: int, whole: int) -> float:
    """Return a share in percent, of nothing 0."""
    return round(part * 100 / whole, 2) if whole else 0.0
