"""Reading messages without touching them: by id, and lists in pieces that are bounded."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Row,
    Select,
    Table,
    Tuple,
    func,
    literal,
    select,
    tuple_,
)

from models.messages import tables
from models.messages.filters import MessageFilter
from models.messages.rules import MessageState, priority_of
from models.messages.statements.archive import archived_until_ms
from models.messages.statements.filters import conditions
from models.messages.statements.parameters import is_sqlite
from models.messages.views import Key, MessageList, MessageView, Order, Sort

# Archived messages are those acknowledged long ago.
_STORED_AS: Final = {MessageState.ARCHIVED: MessageState.ACKNOWLEDGED}
_TABLES: Final[dict[MessageState, tuple[Table, ...]]] = {
    state: tuple(
        table for table, of_table in tables.STATES if of_table is _STORED_AS.get(state, state)
    )
    for state in MessageState
}
_SORT_COLUMNS: Final = {
    Sort.PRIORITY: "lane",
    Sort.DUE_AT: "due_at_ms",
    Sort.LOCKED_UNTIL: "lease_until_ms",
    Sort.DIED_AT: "died_at_ms",
    Sort.ACKNOWLEDGED_AT: "acknowledged_at_ms",
}
_OWN_COLUMNS: Final = (
    *("waits_for", "due_at_ms", "leased_at_ms", "lease_until_ms"),
    *("consumer_id", "died_at_ms", "acknowledged_at_ms"),
)


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of a list in order; `end` is the key up to which it was looked at, None for its end."""

    keys: list[Key]
    views: list[MessageView]
    end: Key | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What to read of a list: after a key, up to so many rows and so many bytes of payloads."""

    of: MessageList
    wanted: MessageFilter
    order: Order
    after: Key | None
    offset: int
    limit: int
    looked_max: int
    bytes_max: int


@dataclass(frozen=True, slots=True)
class _Found:
    """A row that fits, without its payload."""

    key: Key
    table: Table
    size: int


def read_piece(connection: Connection, look: Look) -> Piece:
    """Return the next rows of a list that fit a filter.

    The filter is held against `looked_max` rows of a table at most, so a piece may be short, or
    empty, and not the last. It is short too when its payloads would be larger than `bytes_max`.
    """
    found: list[_Found] = []
    ends: list[Key] = []
    for table in _TABLES[look.of.state]:
        rows, end = _find(connection, table, look)
        found += rows
        ends += [] if end is None else [end]
    runs_down = look.order.runs_down
    found.sort(key=lambda each: each.key, reverse=runs_down)
    end = (max if runs_down else min)(ends, default=None)
    if end is not None:  # beyond it another table may hold rows that come first
        found = [each for each in found if not _is_beyond(each.key, end, runs_down=runs_down)]
    found = found[look.offset :]
    chosen = _cut(found, look)
    if len(chosen) < len(found):
        end = chosen[-1].key
    views = _read(connection, chosen, look.of.state)
    kept = [each for each in chosen if each.key[-1] in views]
    return Piece([each.key for each in kept], [views[each.key[-1]] for each in kept], end)


def find_one(connection: Connection, message_id: int) -> MessageView | None:
    """Return a message wherever it is, None if it does not exist."""
    for table, state in tables.STATES:
        statement = select(*_shown(table)).where(table.c.id == message_id)
        if row := connection.execute(statement).first():
            is_archived = table is tables.done and (
                row.acknowledged_at_ms <= archived_until_ms(connection)
            )
            return _view(row, MessageState.ARCHIVED if is_archived else state)
    return None


def _find(connection: Connection, table: Table, look: Look) -> tuple[list[_Found], Key | None]:
    """Return the rows that fit, one more than is asked for, and where looking ended early."""
    keys = _key_of(table, look.order)
    size = func.length if is_sqlite(connection) else func.octet_length
    fitting = _fitting(connection, table, look)
    statement = _after(connection, table, select(*keys, size(table.c.payload)), look)
    end = None
    if fitting:
        end = _end_of_look(connection, table, look)
        statement = statement.where(*fitting)
    if end is not None:
        place = _place(end)
        here = tuple_(*keys)
        statement = statement.where(here >= place if look.order.runs_down else here <= place)
    count = look.offset + look.limit + 1
    found = [
        _Found(tuple(row[:-1]), table, row[-1])
        for row in connection.execute(statement.limit(count))
    ]
    return found, None if len(found) == count else end


def _fitting(connection: Connection, table: Table, look: Look) -> list[ColumnElement[bool]]:
    """Return what must be held against row after row; the rest is where `_after` begins."""
    wanted = replace(look.wanted, ids=None)
    if look.order.sort is Sort.PRIORITY:
        wanted = replace(wanted, queue=None)
    fitting = conditions(connection, table, wanted)
    if look.order.sort is not Sort.ACKNOWLEDGED_AT:
        fitting += _archive_conditions(connection, table, look)
    return fitting


def _end_of_look(connection: Connection, table: Table, look: Look) -> Key | None:
    """Return the key of the last row that a filter may be held against; None if all may."""
    statement = _after(connection, table, select(*_key_of(table, look.order)), look)
    row = connection.execute(statement.offset(look.looked_max - 1).limit(1)).first()
    return None if row is None else tuple(row)


def _after(connection: Connection, table: Table, statement: Select[Any], look: Look) -> Select[Any]:
    """Let a statement read a table in order from a key on, as an index has it."""
    keys = _key_of(table, look.order)
    if look.after is not None:
        place, here = _place(look.after), tuple_(*keys)
        statement = statement.where(here < place if look.order.runs_down else here > place)
    if look.wanted.ids is not None:
        statement = statement.where(table.c.id.in_(look.wanted.ids))
    if look.order.sort is Sort.PRIORITY:
        statement = statement.where(table.c.queue == look.wanted.queue)
    if look.order.sort is Sort.ACKNOWLEDGED_AT:
        statement = statement.where(*_archive_conditions(connection, table, look))
    return statement.order_by(*_along(keys, look.order))


def _place(key: Key) -> Tuple:
    # Typed, so that the comparison is one of the index.
    return tuple_(*(literal(number, BigInteger) for number in key))


def _archive_conditions(
    connection: Connection, table: Table, look: Look
) -> list[ColumnElement[bool]]:
    if look.of not in {MessageList.ACKNOWLEDGED, MessageList.ARCHIVED}:
        return []
    at = table.c.acknowledged_at_ms
    until_ms = archived_until_ms(connection)
    return [at <= until_ms if look.of is MessageList.ARCHIVED else at > until_ms]


def _key_of(table: Table, order: Order) -> list[ColumnElement[Any]]:
    name = _SORT_COLUMNS.get(order.sort)
    return [*([] if name is None else [table.c[name]]), table.c.id]


def _along(keys: Sequence[ColumnElement[Any]], order: Order) -> list[ColumnElement[Any]]:
    return [key.desc() if order.runs_down else key.asc() for key in keys]


def _is_beyond(key: Key, end: Key, *, runs_down: bool) -> bool:
    return key < end if runs_down else key > end


def _cut(found: Sequence[_Found], look: Look) -> Sequence[_Found]:
    """Return the first rows that are not too many and not too large, at least one."""
    size = 0
    for index, each in enumerate(found[: look.limit]):
        size += each.size
        if size > look.bytes_max and index:
            return found[:index]
    return found[: look.limit]


def _read(
    connection: Connection, chosen: Sequence[_Found], state: MessageState
) -> dict[int, MessageView]:
    views: dict[int, MessageView] = {}
    for table in _TABLES[state]:
        ids = [each.key[-1] for each in chosen if each.table is table]
        if ids:
            statement = select(*_shown(table)).where(table.c.id.in_(ids))
            views |= {row.id: _view(row, state) for row in connection.execute(statement)}
    return views


def _shown(table: Table) -> list[ColumnElement[Any]]:
    names = (*tables.MESSAGE_COLUMNS, *(name for name in _OWN_COLUMNS if name in table.c))
    return [table.c[name] for name in names]


def _view(row: Row[Any], state: MessageState) -> MessageView:
    own = {name: getattr(row, name) for name in _OWN_COLUMNS if name in row._fields}
    return MessageView(
        id=row.id,
        state=state,
        queue=row.queue,
        type=row.type,
        payload=row.payload,
        priority=priority_of(row.lane),
        attempt_count=row.attempt_count,
        max_attempts=row.max_attempts,
        lease_ms=row.lease_ms,
        created_at_ms=row.created_at_ms,
        last_error=row.last_error,
        group_key=row.group_key,
        **own,
    )
