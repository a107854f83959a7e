"""What may be asked of the logs, and which lines that means."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from api.http.reading import Body
from api.mail.queries import PER_PAGE_DEFAULT, Amount, Order, bounded, bounded_page
from models.errors import InvalidError
from models.mail.log_lines import STATUSES, Event
from models.mail.log_views import LogFilter

_PAGES_MAX: Final = 100_000
_DAY_MS: Final = 86_400_000
_PERIOD_DAYS_MAX: Final = 400


class MailPeriodQuery(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """From when to when: moments of RFC 3339, or dates."""

    start_time: str | None = None
    end_time: str | None = None


class MailTopQuery(MailPeriodQuery, frozen=True, kw_only=True):
    """From when to when, and how many at most."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 50


class MailVolumeQuery(MailPeriodQuery, frozen=True, kw_only=True):
    """From when to when, and how that is divided."""

    group_by: Literal["hour", "day", "week", "month"] = "day"


class MailDomainsQuery(MailTopQuery, frozen=True, kw_only=True):
    """From when to when, and whose domains."""

    type: Literal["sender_domains", "recipient_domains", "both"] = "both"


class MailSimilarQuery(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How many at most."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 10


class MailLogFilterQuery(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What lines of the logs are narrowed by; texts are parts of what they are compared with."""

    start_time: str | None = None
    end_time: str | None = None
    start_date: str | None = None
    end_date: str | None = None
    message_id: str | None = None
    sender: str | None = None
    recipient: str | None = None
    log_type: str | None = None
    event: str | None = None
    status: str | None = None
    host: str | None = None
    mail_host: str | None = None
    error_code: str | None = None
    keyword: str | None = None
    keywords: str | None = None
    min_size: Amount | None = None
    max_size: Amount | None = None

    def filter(self) -> LogFilter:
        """Return which lines are meant; raises InvalidError."""
        return LogFilter(
            from_ms=read_moment_ms(self.start_time or self.start_date, field="start_time"),
            to_ms=read_moment_ms(self.end_time or self.end_date, field="end_time", ends=True),
            message_id=self.message_id or None,
            sender=self.sender or None,
            recipient=self.recipient or None,
            keywords=tuple(each for each in (self.keyword, self.keywords) if each),
            remote=self.host or None,
            host=self.mail_host or None,
            code=self.error_code or None,
            events=events_of([self.event] if self.event else None, self.status, self.log_type),
            size_min=self.min_size,
            size_max=self.max_size,
        )


class MailLogQuery(MailLogFilterQuery, frozen=True, kw_only=True):
    """A page of lines, narrowed and ordered."""

    page: int = 1
    per_page: int = PER_PAGE_DEFAULT
    sort_by: Literal["timestamp", "message_id", "event", "sender", "size"] = "timestamp"
    sort_order: Order = "desc"


class MailTailQuery(MailLogFilterQuery, frozen=True, kw_only=True):
    """What came behind a line."""

    after: Amount | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 100


class MailExportQuery(MailLogFilterQuery, frozen=True, kw_only=True):
    """Lines to take away, in one of three forms."""

    format: Literal["json", "csv", "txt"] = "json"


class MailLogCriteria(
    Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True
):
    """What a search of the logs is narrowed by."""

    start_time: str | None = None
    end_time: str | None = None
    message_id: str | None = None
    sender: str | None = None
    recipients: list[str] | None = None
    log_types: list[str] | None = None
    events: list[str] | None = None
    status: str | None = None
    keywords: list[str] | None = None
    error_code: str | None = None
    host: str | None = None
    mail_host: str | None = None
    min_size: int | None = None
    max_size: int | None = None
    sort_by: Literal["", "timestamp", "message_id", "event", "sender", "size"] = "timestamp"
    sort_order: Literal["", "asc", "desc"] = "desc"
    limit: int | None = None
    offset: int | None = None

    def filter(self) -> LogFilter:
        """Return which lines are meant; raises InvalidError."""
        if self.recipients and len(self.recipients) > 1:
            raise InvalidError({"recipients": "expected one at most"})
        types = self.log_types or []
        log_type = "main" if not types or "main" in types else types[0]
        return LogFilter(
            from_ms=read_moment_ms(self.start_time, field="start_time"),
            to_ms=read_moment_ms(self.end_time, field="end_time", ends=True),
            message_id=self.message_id or None,
            sender=self.sender or None,
            recipient=next(iter(self.recipients or ()), None) or None,
            keywords=tuple(each for each in (self.keywords or [])[:10] if each),
            remote=self.host or None,
            host=self.mail_host or None,
            code=self.error_code or None,
            events=events_of(self.events, self.status, log_type, field="events"),
            size_min=bounded(self.min_size),
            size_max=bounded(self.max_size),
        )


class MailLogSearchBody(Body, frozen=True, kw_only=True):
    """A search of the logs and which page of what it finds."""

    criteria: MailLogCriteria = MailLogCriteria()
    page: int = 1
    per_page: int = PER_PAGE_DEFAULT


class MailCorrelationBody(Body, frozen=True, kw_only=True):
    """From when to when."""

    start_time: str
    end_time: str


def log_page_of(asked: MailLogQuery | MailLogSearchBody) -> tuple[int, int]:
    """Return the number of the page and how many a page has, within their bounds."""
    return bounded_page(asked.page, asked.per_page, pages_max=_PAGES_MAX)


def period_of(asked: MailPeriodQuery, *, days: int, now_ms: int) -> tuple[int, int]:
    """Return the moments that are asked for, else the last days; raises InvalidError."""
    to_ms = read_moment_ms(asked.end_time, field="end_time", ends=True)
    to_ms = now_ms if to_ms is None else to_ms
    from_ms = read_moment_ms(asked.start_time, field="start_time")
    from_ms = to_ms - days * _DAY_MS if from_ms is None else from_ms
    if from_ms > to_ms:
        raise InvalidError({"start_time": "start_time must be before end_time"})
    if to_ms - from_ms > _PERIOD_DAYS_MAX * _DAY_MS:
        raise InvalidError({"start_time": f"expected at most {_PERIOD_DAYS_MAX} days"})
    return from_ms, to_ms


def read_moment_ms(text: str | None, *, field: str, ends: bool = False) -> int | None:
    """Read a moment, in UTC where no zone is told; a date that `ends` means its whole day."""
    if not text:
        return None
    try:
        # A `+` that was not escaped arrives as a space.
        moment = datetime.fromisoformat(text.strip().replace(" ", "+") if "T" in text else text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
        at_ms = int(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise InvalidError({field: "expected a moment such as 2026-01-31T12:00:00Z"}) from None
    is_date = len(text) <= 10  # noqa: PLR2004  # 2026-01-31
    return at_ms + _DAY_MS - 1 if ends and is_date else at_ms


def events_of(
    events: list[str] | None, status: str | None, log_type: str | None, *, field: str = "event"
) -> tuple[str, ...]:
    """Return which kinds of lines are meant; none of them when no line is.

    Raises InvalidError for a kind or a status that there is not, or a slip would find nothing.
    """
    found = set(events or [])
    _check_words(found, tuple(Event), field)
    _check_words({status} if status else set(), STATUSES.values(), "status")
    if log_type == "reject":
        found = (found & {"reject"} or {"none"}) if found else {"reject"}
    elif log_type not in {None, "", "main"}:
        return ("none",)
    if status:
        of_status = {event.value for event, name in STATUSES.items() if name == status}
        found = (found & of_status if found else of_status) or {"none"}
    return tuple(sorted(found))


def _check_words(given: set[str], known: Iterable[str], field: str) -> None:
    for each in sorted(given - set(known)):
        *others, last = [f"`{word}`" for word in known]
        raise InvalidError({field: f"Expected {', '.join(others)} or {last}, got {each[:40]!r}"})
