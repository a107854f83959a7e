"""The wire of looking at messages: which ones are asked for, and what is shown of them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, ClassVar, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from api.http.reading import Body
from api.messages import bodies as wire
from models.errors import InvalidError
from models.messages.filters import MessageFilter
from models.messages.rules import MessageNotFoundError, MessageState, internal_id, public_id
from models.messages.views import (
    ListRequest,
    MessageList,
    MessagePage,
    MessageView,
    Order,
    Sort,
)

_IDS_MAX = 1_000
Moment = Annotated[datetime, Meta(tz=True, description="ISO 8601 with an offset or Z")]
TypeOrNone = Annotated[str, Meta(max_length=255, description="empty: messages without a type")]
Search = Annotated[
    str,
    Meta(max_length=500, description="found in payload or error, a to z in either case"),
]
Ids = Annotated[str, Meta(max_length=21 * _IDS_MAX, description="ids, with commas between")]
# Sort, written out: the reference shows the words of a query where they are asked for.
SortName = Literal["created_at", "priority", "due_at", "locked_until", "died_at", "acknowledged_at"]


class FilterQuery(Body, frozen=True, kw_only=True):
    """Which messages are meant; all of what is given must be true."""

    SPELLINGS: ClassVar[Mapping[str, str]] = {
        "groupKey": "group_key",
        "createdAfter": "created_after",
        "createdBefore": "created_before",
        "minAttempts": "min_attempts",
    }

    queue: wire.QueueName | None = None
    type: TypeOrNone | None = None
    group_key: wire.GroupKey | None = None
    ids: Ids | None = None
    search: Search | None = None
    created_after: Moment | None = None
    created_before: Moment | None = None
    min_attempts: Annotated[int, Meta(ge=0, le=10_000)] | None = None


class ListQuery(FilterQuery, frozen=True, kw_only=True):
    """Which messages are meant, in what order, and which of them to show."""

    SPELLINGS: ClassVar[Mapping[str, str]] = {
        **FilterQuery.SPELLINGS,
        "sortBy": "sort",
        "sortOrder": "order",
    }

    page: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 50
    sort: SortName = "created_at"
    order: Literal["asc", "desc"] = "desc"
    cursor: Annotated[str, Meta(max_length=100)] | None = None


class ExportQuery(FilterQuery, frozen=True, kw_only=True):
    """Which messages are meant, and how to write them."""

    format: Literal["ndjson", "csv"] = "ndjson"


class ShownMessage(Struct, frozen=True, kw_only=True):
    """A message as whoever looks sees it; moments that its state does not have are left out."""

    id: str
    queue: str
    type: str | None
    payload: wire.Payload
    priority: int
    status: str
    attempt_count: int
    max_attempts: int
    ack_timeout_seconds: int
    created_at: str
    last_error: str | None
    group_key: str | UnsetType = UNSET
    waits_for: str | UnsetType = UNSET
    due_at: str | UnsetType = UNSET
    dequeued_at: str | UnsetType = UNSET
    locked_until: str | UnsetType = UNSET
    consumer_id: str | UnsetType = UNSET
    died_at: str | UnsetType = UNSET
    acknowledged_at: str | UnsetType = UNSET


class ShownMessages(Struct, frozen=True, kw_only=True):
    """Some messages of a list.

    `cursor` leads to the next ones, null is the end. `total` is null where a filter is given that
    the counters do not know.
    """

    messages: list[ShownMessage]
    count: int
    total: int | None
    cursor: str | None
    limit: int
    page: int | UnsetType = UNSET


def list_request(of: MessageList, query: ListQuery) -> ListRequest:
    """Turn the wire's words into ours; raises InvalidError."""
    return ListRequest(
        of=of,
        wanted=filter_of(query),
        order=Order(sort=Sort(query.sort), is_descending=query.order == "desc"),
        limit=query.limit,
        page=query.page,
        cursor=query.cursor,
    )


def filter_of(query: FilterQuery) -> MessageFilter:
    """Turn the wire's words into ours; raises InvalidError."""
    return MessageFilter(
        queue=query.queue,
        type=query.type,
        group_key=query.group_key,
        ids=None if query.ids is None else _ids(query.ids),
        search=query.search or None,
        created_after_ms=_at_ms(query.created_after),
        created_before_ms=_at_ms(query.created_before),
        attempts_min=query.min_attempts,
    )


def shown(view: MessageView) -> ShownMessage:
    """Answer with one message."""
    is_held = view.state is MessageState.PROCESSING
    return ShownMessage(
        id=public_id(view.id),
        queue=view.queue,
        type=view.type,
        payload=Raw(view.payload.encode()),
        priority=view.priority,
        status=view.state.value,
        attempt_count=view.attempt_count,
        max_attempts=view.max_attempts,
        ack_timeout_seconds=view.lease_ms // 1000,
        created_at=wire.moment(view.created_at_ms),
        last_error=view.last_error,
        group_key=view.group_key or UNSET,
        waits_for=view.waits_for or UNSET,
        due_at=wire.moment_or_unset(view.due_at_ms),
        dequeued_at=wire.moment_or_unset(view.leased_at_ms) if is_held else UNSET,
        locked_until=wire.moment_or_unset(view.lease_until_ms),
        consumer_id=view.consumer_id or UNSET,
        died_at=wire.moment_or_unset(view.died_at_ms),
        acknowledged_at=wire.moment_or_unset(view.acknowledged_at_ms),
    )


def shown_page(page: MessagePage, query: ListQuery) -> ShownMessages:
    """Answer with some messages of a list."""
    return ShownMessages(
        messages=[shown(view) for view in page.messages],
        count=len(page.messages),
        total=page.total,
        cursor=page.cursor,
        limit=query.limit,
        page=UNSET if query.page is None else query.page,
    )


def _ids(text: str) -> tuple[int, ...]:
    given = text.split(",")
    if len(given) > _IDS_MAX:
        raise InvalidError({"ids": f"Expected at most {_IDS_MAX} ids"})
    ids = []
    for each in given:
        try:
            ids.append(internal_id(each))
        except MessageNotFoundError:
            raise InvalidError({"ids": f"Expected ids of messages, got {each[:40]!r}"}) from None
    return tuple(ids)


def _at_ms(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp() * 1000)
