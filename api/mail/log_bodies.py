"""What the resources of the logs answer, in the envelope of the contract's house."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from msgspec import UNSET, Struct, UnsetType

from api.http import spreadsheets
from api.mail.envelopes import MailPageOf, MailSuccess
from api.mail.log_queries import MailLogCriteria
from models.clock import iso_utc
from models.mail.log_lines import STATUSES, Event
from models.mail.log_views import Aggregations, LoggedLine, LogSource

# Who is silent for longer is taken to be down.
_SILENT_MS_MAX: Final = 60_000
_COLUMNS: Final = (
    *("id", "timestamp", "mail_host", "message_id", "event", "status", "sender", "recipients"),
    *("host", "ip_address", "size", "error_code", "error_text", "raw_line"),
)


class MailLogEntry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of a main log; what it does not tell is left out."""

    id: int
    timestamp: str
    message_id: str = ""
    log_type: str | UnsetType = UNSET
    event: str | UnsetType = UNSET
    host: str = ""
    ip_address: str = ""
    sender: str = ""
    recipients: Sequence[str] = ()
    size: int | None = None
    status: str = ""
    error_code: str = ""
    error_text: str = ""
    raw_line: str | UnsetType = UNSET
    mail_host: str | UnsetType = UNSET
    created_at: str | UnsetType = UNSET


class MailNamedCount(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How often a sender or host is there."""

    sender: str = ""
    host: str = ""
    count: int | UnsetType = UNSET


class MailLogAggregations(Struct, frozen=True, kw_only=True):
    """What the newest 10,000 of the lines found are."""

    event_counts: dict[str, int]
    log_type_counts: dict[str, int]
    status_counts: dict[str, int]
    hourly_distribution: dict[str, int]
    top_senders: list[MailNamedCount]
    top_hosts: list[MailNamedCount]


class MailLogData(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A page of lines; `criteria` is what was searched for."""

    entries: list[MailLogEntry] | UnsetType = UNSET
    search_time: str | UnsetType = UNSET
    aggregations: MailLogAggregations | UnsetType = UNSET
    criteria: MailLogCriteria | None = None


class MailLogAnswer(MailPageOf[MailLogData], frozen=True):
    """A page of lines."""


class MailTailData(Struct, frozen=True, kw_only=True):
    """The newest lines; `last_id` is what to ask behind the next time."""

    entries: list[MailLogEntry]
    last_id: int
    message: str
    filters: dict[str, str]


class MailTailAnswer(MailSuccess[MailTailData], frozen=True):
    """The newest lines."""


class MailExportData(Struct, frozen=True, kw_only=True):
    """Lines to take away."""

    format: str
    entries: list[MailLogEntry]
    total_count: int
    export_time: str
    search_time: str


class MailExportAnswer(MailSuccess[MailExportData], frozen=True):
    """Lines to take away."""


class MailPeriodBody(Struct, frozen=True, kw_only=True):
    """From when to when."""

    start: str
    end: str


class MailLogStatistics(Struct, frozen=True, kw_only=True):
    """How many lines there are of each kind."""

    period: MailPeriodBody
    total_entries: int
    by_log_type: dict[str, int]
    by_event: dict[str, int]


class MailLogStatisticsAnswer(MailSuccess[MailLogStatistics], frozen=True):
    """How many lines there are of each kind."""


class MailLogSourceBody(Struct, frozen=True, kw_only=True):
    """How a host's log is read."""

    host: str
    path: str
    running: bool
    last_seen: str
    lines_read: int
    error: str


class MailLogService(Struct, frozen=True, kw_only=True):
    """Whether all logs are read."""

    running: bool
    hosts: list[MailLogSourceBody]


class MailLogServiceAnswer(MailSuccess[MailLogService], frozen=True):
    """Whether all logs are read."""


class MailLogHistoryData(Struct, frozen=True):
    """What the logs say of a message."""

    message_id: str
    history: list[MailLogEntry]


class MailLogHistoryAnswer(MailSuccess[MailLogHistoryData], frozen=True):
    """What the logs say of a message."""


class MailSimilarData(Struct, frozen=True):
    """Other messages of the same sender."""

    message_id: str
    similar_messages: list[MailLogEntry]
    count: int


class MailSimilarAnswer(MailSuccess[MailSimilarData], frozen=True):
    """Other messages of the same sender."""


class MailTriggered(Struct, frozen=True, kw_only=True):
    """That the logs were put together anew."""

    message: str
    start_time: str
    end_time: str
    updated: int


class MailTriggeredAnswer(MailSuccess[MailTriggered], frozen=True):
    """That the logs were put together anew."""


def entry(logged: LoggedLine) -> MailLogEntry:
    """Return a line as a list shows it."""
    line = logged.line
    at = iso_utc(line.at_ms)
    return MailLogEntry(
        id=logged.id,
        timestamp=at,
        message_id=line.message_id,
        log_type="main",
        event=line.event.value,
        host=line.remote,
        ip_address=line.address,
        sender=line.sender,
        recipients=line.recipients or ((line.recipient,) if line.recipient else ()),
        size=line.size_bytes,
        status=STATUSES.get(line.event, ""),
        error_code=line.code if line.error else "",
        error_text=line.error,
        raw_line=line.text,
        mail_host=logged.host,
        created_at=at,
    )


def entries(found: Iterable[LoggedLine]) -> list[MailLogEntry]:
    """Return lines as a list shows them."""
    return [entry(each) for each in found]


def aggregations(found: Aggregations) -> MailLogAggregations:
    """Return what the lines are, by kinds."""
    total = sum(found.events.values())
    statuses: dict[str, int] = {}
    for event, count in found.events.items():
        if status := STATUSES.get(Event(event)):
            statuses[status] = count
    return MailLogAggregations(
        event_counts=found.events,
        log_type_counts={"main": total} if total else {},
        status_counts=statuses,
        hourly_distribution={iso_utc(at_ms): count for at_ms, count in sorted(found.hours.items())},
        top_senders=[MailNamedCount(sender=name, count=count) for name, count in found.senders],
        top_hosts=[MailNamedCount(host=name, count=count) for name, count in found.remotes],
    )


def period(from_ms: int, to_ms: int) -> MailPeriodBody:
    """Return from when to when."""
    return MailPeriodBody(start=iso_utc(from_ms), end=iso_utc(to_ms))


def statistics(events: dict[str, int], from_ms: int, to_ms: int) -> MailLogStatistics:
    """Return how many lines there are of each kind."""
    total = sum(events.values())
    return MailLogStatistics(
        period=period(from_ms, to_ms),
        total_entries=total,
        by_log_type={"main": total} if total else {},
        by_event=events,
    )


def service_status(sources: Sequence[LogSource], *, now_ms: int) -> MailLogService:
    """Return whether all logs are read; without a host none is."""
    hosts = [
        MailLogSourceBody(
            host=each.host,
            path=each.path,
            running=not each.trouble and now_ms - each.seen_at_ms <= _SILENT_MS_MAX,
            last_seen=iso_utc(each.seen_at_ms),
            lines_read=each.lines,
            error=each.trouble,
        )
        for each in sources
    ]
    return MailLogService(running=bool(hosts) and all(each.running for each in hosts), hosts=hosts)


def as_csv(found: Iterable[LoggedLine]) -> str:
    """Return lines as a table."""
    return spreadsheets.table(_COLUMNS, (_cells(entry(each)) for each in found))


def _cells(row: MailLogEntry) -> Iterator[object]:
    for name in _COLUMNS:
        value = getattr(row, name)
        yield " ".join(value) if isinstance(value, tuple) else value
