"""What may be asked of mail's lists, and which messages that means."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from api.http.reading import Body
from api.mail.bodies import MailCriteria, StatusWord
from api.mail.moments import read_span_ms
from models.mail.filters import MailFilter, SortBy

PER_PAGE_DEFAULT: Final = 50
_PER_PAGE_MAX: Final = 100
_PAGES_MAX: Final = 1_000_000
Order = Literal["asc", "desc"]
Amount = Annotated[int, Meta(ge=0, le=1 << 62)]


class MailHostQuery(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which host is meant, where several have a message of one id."""

    host: str | None = None


class MailHistoryQuery(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How many entries at most."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 50


class MailListQuery(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A page of a list, narrowed and ordered."""

    page: int = 1
    per_page: int = PER_PAGE_DEFAULT
    sort_by: SortBy = SortBy.TIMESTAMP
    order: Order = "desc"
    status: StatusWord | None = None
    sender: str | None = None
    recipient: str | None = None
    message_id: str | None = None
    subject: str | None = None
    reason: str | None = None
    host: str | None = None
    queue: str | None = None
    sender_domain: str | None = None
    recipient_domain: str | None = None
    age_min: str | None = None
    age_max: str | None = None
    size_min: Amount | None = None
    size_max: Amount | None = None
    retry_count_min: Amount | None = None
    retry_count_max: Amount | None = None

    def filter(self, *, now_ms: int) -> MailFilter:
        """Return which messages are meant; raises InvalidError."""
        return MailFilter(
            message_id=self.message_id or None,
            sender=self.sender or None,
            recipient=self.recipient or None,
            subject=self.subject or None,
            reason=self.reason or None,
            status=self.status or None,
            host=self.host or None,
            queue=self.queue,
            sender_domain=self.sender_domain or None,
            recipient_domain=self.recipient_domain or None,
            received_to_ms=_before(self.age_min, "age_min", now_ms),
            received_from_ms=_before(self.age_max, "age_max", now_ms),
            size_min=self.size_min,
            size_max=self.size_max,
            attempts_min=self.retry_count_min,
            attempts_max=self.retry_count_max,
        )


class MailSearchBody(Body, frozen=True, kw_only=True):
    """A search and which page of what it finds."""

    criteria: MailCriteria = MailCriteria()
    page: int = 1
    per_page: int = PER_PAGE_DEFAULT
    sort_by: SortBy = SortBy.TIMESTAMP
    order: Order = "desc"


def criteria_filter(criteria: MailCriteria, *, now_ms: int) -> MailFilter:
    """Return which messages a search means; raises InvalidError."""
    return MailFilter(
        message_id=criteria.message_id or None,
        sender=criteria.sender or None,
        recipient=criteria.recipient or None,
        subject=criteria.subject or None,
        reason=criteria.reason or None,
        status=criteria.status or None,
        host=criteria.host or None,
        queue=criteria.queue,
        sender_domain=criteria.sender_domain or None,
        recipient_domain=criteria.recipient_domain or None,
        received_to_ms=_before(criteria.min_age, "min_age", now_ms),
        received_from_ms=_before(criteria.max_age, "max_age", now_ms),
        size_min=bounded(criteria.min_size),
        size_max=bounded(criteria.max_size),
        attempts_min=bounded(criteria.min_retries),
        attempts_max=bounded(criteria.max_retries),
    )


def page_of(asked: MailListQuery | MailSearchBody) -> tuple[int, int]:
    """Return the number of the page and how many a page has, within their bounds."""
    return bounded_page(asked.page, asked.per_page, pages_max=_PAGES_MAX)


def bounded_page(page: int, per_page: int, *, pages_max: int) -> tuple[int, int]:
    """Keep the number of a page and how many it has within their bounds."""
    per_page = per_page if per_page >= 1 else PER_PAGE_DEFAULT
    return min(max(page, 1), pages_max), min(per_page, _PER_PAGE_MAX)


def bounded(number: int | None) -> int | None:
    """Keep a number within what a database compares with."""
    return None if number is None else min(max(number, -1), 1 << 62)


def _before(text: str | None, field: str, now_ms: int) -> int | None:
    """Return the moment that long ago."""
    return None if not text else now_ms - read_span_ms(text, field=field)
