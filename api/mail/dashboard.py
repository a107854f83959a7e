"""What a person looks at first: the queues, today's attempts, and how the logs are read."""

from typing import Final

from falcon.asgi import Request, Response
from msgspec import Struct

from api.mail.bodies import oldest_ms
from api.mail.envelopes import MailSuccess, encode
from api.mail.log_bodies import (
    MailLogService,
    MailLogStatistics,
    MailPeriodBody,
    service_status,
    statistics,
)
from api.mail.log_queries import MailPeriodQuery
from api.mail.moments import iso_or_none
from api.mail.report_bodies import percent
from api.mail.reports import ReportResource
from api.mail.resources import OF_VALUES, USERS, Ground
from api.openapi.operations import answered, operation
from models.clock import iso_utc
from models.mail.log_views import Kept
from models.mail.report_service import Overview, ReportService

_DAYS: Final = 1


class MailQueueMetrics(Struct, frozen=True, kw_only=True):
    """The queues now; the age is in seconds, the growth of the last hour in percent."""

    total: int
    deferred: int
    frozen: int
    oldest_message_age: int
    recent_growth: float


class MailDeliveryMetrics(Struct, frozen=True, kw_only=True):
    """What came of today's attempts; the rate is a percentage of what ended."""

    delivered_today: int
    failed_today: int
    pending_today: int
    success_rate: float


class MailSystemMetrics(Struct, frozen=True, kw_only=True):
    """How the reading of logs goes; `uptime` is of this process, in seconds."""

    uptime: int
    log_entries_today: int
    last_updated: str


class MailRetentionConfig(Struct, frozen=True, kw_only=True):
    """For how long lines are kept, and how many."""

    log_retention_days: float
    log_entries_max: int


class MailRetention(Struct, frozen=True, kw_only=True):
    """What is kept."""

    config: MailRetentionConfig
    current_counts: dict[str, int]
    oldest_entry: str | None
    newest_entry: str | None


class MailDashboardSummary(Struct, frozen=True, kw_only=True):
    """The logs in four numbers."""

    total_log_entries: int
    log_types: int
    event_types: int
    service_running: bool


class MailDashboard(Struct, frozen=True, kw_only=True):
    """What a person looks at first."""

    queue: MailQueueMetrics
    delivery: MailDeliveryMetrics
    system: MailSystemMetrics
    period: MailPeriodBody
    log_statistics: MailLogStatistics
    service_status: MailLogService
    retention_info: MailRetention
    summary: MailDashboardSummary


class MailDashboardAnswer(MailSuccess[MailDashboard], frozen=True):
    """What a person looks at first."""


class DashboardResource(ReportResource):
    """`/api/v1/dashboard`."""

    def __init__(self, ground: Ground[ReportService], keep: tuple[int, int]) -> None:
        """Logs are kept for so many seconds, and up to so many lines."""
        super().__init__(ground)
        self._keep: Final = keep
        self._began_at_ms: Final = ground.now_ms()

    @operation(
        "Show what matters first",
        query=MailPeriodQuery,
        answers=answered("The last day", MailDashboardAnswer, OF_VALUES),
        security=USERS,
    )
    async def on_get(self, _req: Request, resp: Response, *, query: MailPeriodQuery) -> None:
        """Return the queues now, what came of today's attempts, and how the logs are read."""
        now_ms, span = self._now_ms(), self._span(query, _DAYS)
        found = await self._service.overview(from_ms=span[0], to_ms=span[1], now_ms=now_ms)
        data = _dashboard(
            found,
            span=span,
            keep=self._keep,
            uptime_s=(now_ms - self._began_at_ms) // 1000,
            now_ms=now_ms,
        )
        resp.data = encode(MailDashboardAnswer(data=data))


def _dashboard(
    found: Overview, *, span: tuple[int, int], keep: tuple[int, int], uptime_s: int, now_ms: int
) -> MailDashboard:
    """Return what a person looks at first; `keep` is for how many seconds, and how many lines."""
    totals, today = found.totals, found.today
    delivered, failed = today.get("delivery", 0), today.get("bounce", 0)
    numbers = statistics(found.events, *span)
    status = service_status(found.sources, now_ms=now_ms)
    grown = totals.messages - (totals.messages if found.before is None else found.before)
    return MailDashboard(
        queue=MailQueueMetrics(
            total=totals.messages,
            deferred=totals.by_status.get("deferred", 0),
            frozen=totals.by_status.get("frozen", 0),
            oldest_message_age=oldest_ms(totals, now_ms) // 1000,
            recent_growth=percent(grown, found.before or 0),
        ),
        delivery=MailDeliveryMetrics(
            delivered_today=delivered,
            failed_today=failed,
            pending_today=found.pending_today,
            success_rate=percent(delivered, delivered + failed),
        ),
        system=MailSystemMetrics(
            uptime=uptime_s, log_entries_today=sum(today.values()), last_updated=iso_utc(now_ms)
        ),
        period=numbers.period,
        log_statistics=numbers,
        service_status=status,
        retention_info=_retention(found.kept, keep_s=keep[0], lines_max=keep[1]),
        summary=MailDashboardSummary(
            total_log_entries=numbers.total_entries,
            log_types=len(numbers.by_log_type),
            event_types=len(numbers.by_event),
            service_running=status.running,
        ),
    )


def _retention(kept: Kept, *, keep_s: int, lines_max: int) -> MailRetention:
    """Return what is kept, and for how long."""
    return MailRetention(
        config=MailRetentionConfig(log_retention_days=keep_s / 86_400, log_entries_max=lines_max),
        current_counts={"log_entries": kept.lines},
        oldest_entry=iso_or_none(kept.oldest_at_ms),
        newest_entry=iso_or_none(kept.newest_at_ms),
    )
