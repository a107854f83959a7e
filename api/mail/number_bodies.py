"""What is answered about all queues in numbers: how they are, what they hold, how they went."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from api.mail.bodies import oldest_ms
from api.mail.envelopes import MailSuccess
from models.clock import iso_utc
from models.mail.views import Totals, Trend

_NS_PER_MS: Final = 1_000_000
_SIZES: Final = ("<1KB", "1-10KB", "10-100KB", "100KB-1MB", ">1MB")


class MailHealthData(Struct, frozen=True, kw_only=True):
    """How the queues are; the age is in nanoseconds."""

    total_messages: int
    deferred_messages: int
    frozen_messages: int
    oldest_message_age: int
    growth_trend: str
    timestamp: str


class MailHealthAnswer(MailSuccess[MailHealthData], frozen=True):
    """How the queues are."""


class MailStatisticsData(Struct, frozen=True, kw_only=True):
    """What the queues hold; sizes are in bytes, the age is in nanoseconds."""

    total_messages: int
    queued_messages: int
    deferred_messages: int
    frozen_messages: int
    oldest_message_age: int
    total_size: int
    average_size: int
    status_breakdown: dict[str, int]
    size_distribution: dict[str, int]


class MailStatisticsAnswer(MailSuccess[MailStatisticsData], frozen=True):
    """What the queues hold."""


class MailGroupBody(Struct, frozen=True, kw_only=True):
    """A group; `value` as a filter of the list takes it, `size` in bytes."""

    value: str
    messages: int
    size: int
    oldest: str


class MailGroupsData(Struct, frozen=True, kw_only=True):
    """Groups, the largest first."""

    by: str
    groups: Sequence[MailGroupBody]


class MailGroupsAnswer(MailSuccess[MailGroupsData], frozen=True):
    """Groups of messages."""


class MailSampleBody(Struct, frozen=True, kw_only=True):
    """What all queues held at a moment; `size` in bytes, `oldest_age` in seconds."""

    timestamp: str
    messages: int
    deferred: int
    frozen: int
    size: int
    oldest_age: int


class MailTrendData(Struct, frozen=True, kw_only=True):
    """Samples, the oldest first."""

    samples: Sequence[MailSampleBody]


class MailTrendAnswer(MailSuccess[MailTrendData], frozen=True):
    """How the queues went."""


def health_data(totals: Totals, trend: Trend, *, now_ms: int) -> MailHealthData:
    """Return how the queues are."""
    return MailHealthData(
        total_messages=totals.messages,
        deferred_messages=totals.by_status.get("deferred", 0),
        frozen_messages=totals.by_status.get("frozen", 0),
        oldest_message_age=oldest_ms(totals, now_ms) * _NS_PER_MS,
        growth_trend=trend.value,
        timestamp=iso_utc(now_ms),
    )


def statistics_data(totals: Totals, sizes: Sequence[int], *, now_ms: int) -> MailStatisticsData:
    """Return what the queues hold."""
    return MailStatisticsData(
        total_messages=totals.messages,
        queued_messages=totals.by_status.get("queued", 0),
        deferred_messages=totals.by_status.get("deferred", 0),
        frozen_messages=totals.by_status.get("frozen", 0),
        oldest_message_age=oldest_ms(totals, now_ms) * _NS_PER_MS,
        total_size=totals.size_bytes,
        average_size=totals.size_bytes // max(totals.messages, 1),
        status_breakdown=totals.by_status,
        size_distribution=dict(zip(_SIZES, sizes, strict=True)),
    )
