"""Looking at messages: lists, their order, places in them, and what one sees; no I/O, no clock."""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from models.errors import InvalidError
from models.messages.filters import MessageFilter
from models.messages.rules import MessageState

_CURSOR: Final = re.compile(r"([a-z_]{1,32})\.(asc|desc)\.(-?\d{1,19})(?:\.(-?\d{1,19}))?")
_NUMBER_MAX: Final = 2**63 - 1


class MessageList(StrEnum):
    """The lists that can be looked at; the words of the wire."""

    MAIN = "main"  # what waits
    PROCESSING = "processing"
    DEAD = "dead"
    ACKNOWLEDGED = "acknowledged"  # and not archived
    ARCHIVED = "archived"
    DELAYED = "delayed"

    @property
    def state(self) -> MessageState:
        """Return the state of the messages in it."""
        return MessageState.QUEUED if self is MessageList.MAIN else MessageState(self.value)


class Sort(StrEnum):
    """What a list can be sorted by: there is an index for each, or the list is short."""

    CREATED_AT = "created_at"  # as they came in
    PRIORITY = "priority"  # of one queue: as they are delivered
    DUE_AT = "due_at"
    LOCKED_UNTIL = "locked_until"
    DIED_AT = "died_at"
    ACKNOWLEDGED_AT = "acknowledged_at"


_OWN_SORTS: Final[dict[MessageList, Sort]] = {
    MessageList.MAIN: Sort.PRIORITY,
    MessageList.DELAYED: Sort.DUE_AT,
    MessageList.PROCESSING: Sort.LOCKED_UNTIL,
    MessageList.DEAD: Sort.DIED_AT,
    MessageList.ACKNOWLEDGED: Sort.ACKNOWLEDGED_AT,
    MessageList.ARCHIVED: Sort.ACKNOWLEDGED_AT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """In which order a list is read; messages that are alike stand as they came in."""

    sort: Sort = Sort.CREATED_AT
    is_descending: bool = False

    @property
    def runs_down(self) -> bool:
        """Say whether keys fall from row to row: lane 0 holds the highest priority."""
        return self.is_descending != (self.sort is Sort.PRIORITY)


# Where a row stands: its value to sort by, if that is not its id, and its id.
Key = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowseLimits:
    """How much one look may take."""

    rows_max: int = 500  # messages of one answer
    depth_max: int = 10_000  # messages that a numbered page may have before its end
    looked_max: int = 20_000  # rows that a filter is held against
    bytes_max: int = 8_388_608  # of payloads in one answer or one piece of an export


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRequest:
    """Which messages to show: a page by its number, or what comes after a cursor."""

    of: MessageList
    wanted: MessageFilter = field(default_factory=MessageFilter)
    order: Order = field(default_factory=Order)
    limit: int = 50
    page: int | None = None  # from 1
    cursor: str | None = None

    def check(self, limits: BrowseLimits) -> None:
        """Raise InvalidError that names what cannot be asked for."""
        faults: dict[str, str] = {}
        if self.limit > limits.rows_max:
            faults["limit"] = f"Expected `int` <= {limits.rows_max}"
        if self.page is not None and self.cursor is not None:
            faults["page"] = "given beside cursor, expected one of them"
        elif self.page is not None and self.page * self.limit > limits.depth_max:
            faults["page"] = (
                f"Expected page * limit <= {limits.depth_max}, follow `cursor` beyond that"
            )
        sort = self.order.sort
        if sort is not Sort.CREATED_AT and sort is not _OWN_SORTS[self.of]:
            faults["sort"] = f"Expected `created_at` or `{_OWN_SORTS[self.of]}`"
        elif sort is Sort.PRIORITY and self.wanted.queue is None:
            faults["sort"] = "Expected `created_at`, or `priority` with `queue`"
        if faults:
            raise InvalidError(faults)

    @property
    def offset(self) -> int:
        """Return how many messages come before the page."""
        return 0 if self.page is None else (self.page - 1) * self.limit

    @property
    def after(self) -> Key | None:
        """Return the key behind the cursor; raises InvalidError for one of another list."""
        return None if self.cursor is None else read_cursor(self.cursor, self.order)


def cursor_of(key: Key, order: Order) -> str:
    """Return the place after a row as clients keep it."""
    direction = "desc" if order.is_descending else "asc"
    return ".".join((order.sort.value, direction, *map(str, key)))


def read_cursor(cursor: str, order: Order) -> Key:
    """Return the key in a cursor; raises InvalidError unless it belongs to a list so ordered."""
    found = _CURSOR.fullmatch(cursor)
    key = () if found is None else tuple(int(part) for part in found.groups()[2:] if part)
    parts = 1 if order.sort is Sort.CREATED_AT else 2
    is_ours = len(key) == parts and all(abs(number) <= _NUMBER_MAX for number in key)
    if not is_ours or cursor_of(key, order) != cursor:
        raise InvalidError({"cursor": "Expected the cursor of a list with this `sort` and `order`"})
    return key


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageView:
    """A message as whoever looks sees it; lock tokens are for their holders only."""

    id: int
    state: MessageState
    queue: str
    type: str | None
    payload: str
    priority: int
    attempt_count: int
    max_attempts: int
    lease_ms: int
    created_at_ms: int
    last_error: str | None
    group_key: str | None
    waits_for: str | None = None  # something else than a consumer: see WaitsFor
    due_at_ms: int | None = None
    leased_at_ms: int | None = None
    lease_until_ms: int | None = None
    consumer_id: str | None = None
    died_at_ms: int | None = None
    acknowledged_at_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagePage:
    """Some messages of a list; `cursor` leads on, None at the end."""

    messages: list[MessageView]
    cursor: str | None
    total: int | None  # None where only counting would tell
