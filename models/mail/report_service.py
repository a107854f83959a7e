"""Reports on the mail of a span of time; moments include both bounds, steps are of UTC."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection

from models.database import Database
from models.mail.log_lines import Event
from models.mail.log_views import Kept, LogSource, Ranked
from models.mail.statements import lists, logs, reports, samples
from models.mail.views import Totals

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000
_REASONS_MAX: Final = 10


class Step(StrEnum):
    """How a span of time is divided."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"  # from Monday on
    MONTH = "month"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """How many lines of each kind there are, and why what failed did so, most often."""

    events: dict[str, int]
    reasons: list[tuple[str, int]]
    codes: list[tuple[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """The days of a span, by their beginnings, and what happened on each."""

    days: list[int]
    delivered: list[int]
    failed: list[int]
    deferred: list[int]
    pending: list[int]  # came then, and wait still


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What a person looks at first."""

    totals: Totals
    before: int | None  # messages an hour ago; None: not known
    events: dict[str, int]
    today: dict[str, int]
    pending_today: int
    kept: Kept
    sources: list[LogSource]


class ReportService:
    """Numbers of the logs, and of the queues beside them."""

    def __init__(self, database: Database) -> None:
        self._database: Final = database

    async def outcomes(self, *, from_ms: int, to_ms: int, count: int = _REASONS_MAX) -> Outcomes:
        """Return what came of attempts, and why they failed: at most `count` reasons and codes."""

        def read(connection: Connection) -> Outcomes:
            span = {"from_ms": from_ms, "to_ms": to_ms}
            return Outcomes(
                events=logs.count_events(connection, **span),
                reasons=reports.reasons(connection, **span, count=count),
                codes=reports.codes(connection, **span, count=count),
            )

        return await self._database.read(read)

    async def volume(self, step: Step, *, from_ms: int, to_ms: int) -> list[tuple[int, int]]:
        """Return how many messages came in each step, by its beginning, empty steps too."""
        found = await self._database.read(
            lambda connection: reports.count_by(
                connection, step_ms=HOUR_MS, from_ms=from_ms, to_ms=to_ms
            )
        )
        counts: dict[int, int] = {}
        at_ms = from_ms - from_ms % HOUR_MS
        while at_ms <= to_ms:
            counts[beginning_of(step, at_ms)] = 0
            at_ms += HOUR_MS if step is Step.HOUR else DAY_MS
        counts.setdefault(beginning_of(step, to_ms), 0)
        for hour_ms, event, count in found:
            if event == Event.ARRIVAL.value:
                at_ms = beginning_of(step, hour_ms)
                counts[at_ms] = counts.get(at_ms, 0) + count
        return sorted(counts.items())

    async def senders(self, *, from_ms: int, to_ms: int, count: int) -> list[Ranked]:
        """Return who sent most messages."""
        return await self._database.read(
            lambda connection: reports.senders(
                connection, from_ms=from_ms, to_ms=to_ms, count=count
            )
        )

    async def recipients(self, *, from_ms: int, to_ms: int, count: int) -> list[Ranked]:
        """Return for whom most messages were."""
        return await self._database.read(
            lambda connection: reports.recipients(
                connection, from_ms=from_ms, to_ms=to_ms, count=count
            )
        )

    async def sender_domains(self, *, from_ms: int, to_ms: int, count: int) -> list[Ranked]:
        """Return from which domains most messages came."""
        return await self._database.read(
            lambda connection: reports.sender_domains(
                connection, from_ms=from_ms, to_ms=to_ms, count=count
            )
        )

    async def recipient_domains(self, *, from_ms: int, to_ms: int, count: int) -> list[Ranked]:
        """Return for which domains most messages were."""
        return await self._database.read(
            lambda connection: reports.recipient_domains(
                connection, from_ms=from_ms, to_ms=to_ms, count=count
            )
        )

    async def days(self, *, from_ms: int, to_ms: int) -> Days:
        """Return what happened on each day of a span, from the beginning of the first."""
        from_ms -= from_ms % DAY_MS

        def read(connection: Connection) -> tuple[list[tuple[int, str, int]], dict[int, int]]:
            span = {"step_ms": DAY_MS, "from_ms": from_ms, "to_ms": to_ms}
            return reports.count_by(connection, **span), reports.waiting_by(connection, **span)

        found, waiting = await self._database.read(read)
        counts = {(at_ms, event): count for at_ms, event, count in found}
        days = list(range(from_ms, to_ms + 1, DAY_MS))

        def of(event: Event) -> list[int]:
            return [counts.get((day, event.value), 0) for day in days]

        return Days(
            days=days,
            delivered=of(Event.DELIVERY),
            failed=of(Event.BOUNCE),
            deferred=of(Event.DEFER),
            pending=[waiting.get(day, 0) for day in days],
        )

    async def overview(self, *, from_ms: int, to_ms: int, now_ms: int) -> Overview:
        """Return what a person looks at first; today begins at midnight of UTC."""
        today_ms = now_ms - now_ms % DAY_MS

        def read(connection: Connection) -> Overview:
            past = samples.since(connection, from_ms=now_ms - HOUR_MS)
            pending = reports.waiting_by(connection, step_ms=DAY_MS, from_ms=today_ms, to_ms=now_ms)
            return Overview(
                totals=lists.totals(connection),
                before=past[0].messages if past else None,
                events=logs.count_events(connection, from_ms=from_ms, to_ms=to_ms),
                today=logs.count_events(connection, from_ms=today_ms, to_ms=now_ms),
                pending_today=sum(pending.values()),
                kept=logs.kept(connection),
                sources=logs.sources(connection),
            )

        return await self._database.read(read)


def beginning_of(step: Step, at_ms: int) -> int:
    """Return when the step of a moment began."""
    if step is Step.HOUR:
        return at_ms - at_ms % HOUR_MS
    day_ms = at_ms - at_ms % DAY_MS
    if step is Step.DAY:
        return day_ms
    day = datetime.fromtimestamp(day_ms / 1000, UTC)
    back = day.weekday() if step is Step.WEEK else day.day - 1
    return day_ms - back * DAY_MS
