"""The history of messages: how far the stream was read, lines in, lines out, and their end."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

import sqlalchemy
from sqlalchemy import (
    Connection,
    Select,
    Table,
    bindparam,
    cast,
    delete,
    func,
    insert,
    literal,
    null,
    select,
    text,
    tuple_,
    union_all,
    update,
)

from models.messages import tables
from models.messages.histories import HistoryEvent, Known, Line, Row, Wanted, gap_end_ms
from models.messages.history_tables import consumer_minute, failing, history, queue_minute, reading
from models.messages.statements.archive import archived_until_ms

# A page looks through so many lines at most; what fits behind them is on the next page.
_LOOKED_AT_MAX: Final = 20_000


_BEGIN_READING: Final = text(
    "INSERT INTO message_reading (name, position) VALUES (:name, '') ON CONFLICT (name) DO NOTHING"
)
_ADVANCE: Final = (
    update(reading)
    .where(reading.c.name == bindparam("of_name"), reading.c.position == bindparam("old_position"))
    .values(position=bindparam("new_position"))
)


def read_position(connection: Connection, name: str) -> str:
    """Return how far a stream was read, as `<entry>.<index>`; "" at first."""
    statement = select(reading.c.position).where(reading.c.name == name)
    return connection.execute(statement).scalar() or ""


def advance(connection: Connection, name: str, *, old: str, new: str) -> bool:
    """Say that a stream was read on from `old` to `new`; False when somebody else did so.

    Until the transaction ends nobody else can.
    """
    if not old:
        connection.execute(_BEGIN_READING, {"name": name})
    moved = connection.execute(
        _ADVANCE, {"of_name": name, "old_position": old, "new_position": new}
    )
    return moved.rowcount == 1


def known(connection: Connection, ids: Sequence[int]) -> dict[int, Known]:
    """Return what is known of messages: by their last line, else by where they are."""
    if not ids:
        return {}
    last = (
        select(func.max(history.c.id))
        .where(history.c.message_id.in_(ids))
        .group_by(history.c.message_id)
    )
    found = {
        row.message_id: Known(row.queue, row.type, row.attempt, row.consumer_id, row.leased_at_ms)
        for row in connection.execute(select(history).where(history.c.id.in_(last)))
    }
    # Whoever acknowledged a message whose lease was missed is known by its table.
    wanting = [each for each in ids if each not in found or found[each].leased_at_ms is None]
    for message_id, row in places(connection, wanting).items():
        by = row.consumer_id if row.acknowledged_at_ms is not None else None
        before = found.get(message_id)
        found[message_id] = Known(
            row.queue,
            row.type,
            before.attempt if before else None,
            before.consumer_id if before else None,
            None,
            by,
        )
    return found


def places(connection: Connection, ids: Sequence[int]) -> dict[int, sqlalchemy.Row[Any]]:
    """Say where messages are and what their tables know of them, by id."""
    if not ids:
        return {}
    finds = [
        select(
            table.c.id,
            literal(state.value).label("state"),
            table.c.queue,
            table.c.type,
            table.c.attempt_count,
            table.c.created_at_ms,
            table.c.last_error,
            *(_column_or_null(table, owner, name) for owner, name in _EXTRA),
        ).where(table.c.id.in_(ids))
        for table, state in tables.STATES
    ]
    return {row.id: row for row in connection.execute(union_all(*finds))}


_EXTRA: Final[tuple[tuple[Table, str], ...]] = (
    (tables.leased, "consumer_id"),
    (tables.leased, "leased_at_ms"),
    (tables.leased, "lease_until_ms"),
    (tables.leased, "lease_length_ms"),
    (tables.done, "acknowledged_at_ms"),
    (tables.dead, "died_at_ms"),
    (tables.dead, "reason"),
    (tables.delayed, "due_at_ms"),
)


def place_of(connection: Connection, message_id: int) -> tuple[sqlalchemy.Row[Any] | None, bool]:
    """Return where a message is, and whether it is archived; None: nowhere."""
    row = places(connection, [message_id]).get(message_id)
    if row is None or row.acknowledged_at_ms is None:
        return row, False
    return row, row.acknowledged_at_ms <= archived_until_ms(connection)


def put(connection: Connection, rows: Sequence[Row]) -> None:
    """Add lines, in order."""
    if rows:
        connection.execute(insert(history), [asdict(row) for row in rows])


def page(
    connection: Connection, wanted: Wanted, *, before: tuple[int, int] | None, count: int
) -> tuple[list[Line], tuple[int, int] | None]:
    """Return the newest lines before a place, newest first, and the place to go on from.

    A place is (moment, id). There may be less than `count`, or nothing, and still a place to go
    on from: no call looks through more than some thousand lines. None: there are no more.
    """
    looked = _lines_before(wanted, before).limit(_LOOKED_AT_MAX).subquery()
    fitting = select(looked)
    for name in ("type", "queue", "consumer_id", "event"):
        if (value := getattr(wanted, name)) is not None:
            fitting = fitting.where(looked.c[name] == value)
    fitting = fitting.order_by(looked.c.at_ms.desc(), looked.c.id.desc()).limit(count + 1)
    lines = [_line(row) for row in connection.execute(fitting).mappings()]
    if len(lines) > count:
        lines = lines[:count]
        return lines, (lines[-1].row.at_ms, lines[-1].id)
    end = connection.execute(
        _lines_before(wanted, before)
        .with_only_columns(history.c.at_ms, history.c.id)
        .offset(_LOOKED_AT_MAX - 1)
        .limit(1)
    ).first()
    return lines, (None if end is None else (end.at_ms, end.id))


def of_message(connection: Connection, message_id: int, *, after_id: int, count: int) -> list[Line]:
    """Return up to `count` lines of a message behind a line, oldest first."""
    statement = (
        select(history)
        .where(history.c.message_id == message_id, history.c.id > after_id)
        .order_by(history.c.id)
        .limit(count)
    )
    return [_line(row) for row in connection.execute(statement).mappings()]


def gaps(connection: Connection, *, since_ms: int, until_ms: int | None, count: int) -> list[Row]:
    """Return the newest gaps that lie within a time or reach into it, oldest first."""
    statement = (
        select(history)
        .where(history.c.message_id.is_(None), history.c.event == HistoryEvent.GAP)
        .order_by(history.c.id.desc())
        .limit(count)
    )
    if until_ms is not None:
        statement = statement.where(history.c.at_ms <= until_ms)
    rows = [_line(row).row for row in connection.execute(statement).mappings()]
    return [row for row in reversed(rows) if gap_end_ms(row) >= since_ms]


def newest_at_ms(connection: Connection) -> int | None:
    """Return the moment of the line written last; None while there is none."""
    statement = select(history.c.at_ms).order_by(history.c.id.desc()).limit(1)
    return connection.execute(statement).scalar()


def begins_at_ms(connection: Connection) -> int | None:
    """Return the moment of the oldest line; None while there is none."""
    return connection.execute(select(func.min(history.c.at_ms))).scalar()


def remove_old(connection: Connection, *, until_ms: int, rows_max: int, count: int) -> int:
    """Delete up to `count` lines that are too old or too many; return how many."""
    old = (
        select(history.c.id)
        .where(history.c.at_ms < until_ms)
        .order_by(history.c.at_ms, history.c.id)
        .limit(count)
    )
    removed = connection.execute(delete(history).where(history.c.id.in_(old))).rowcount
    newest = connection.execute(select(func.max(history.c.id))).scalar() or 0
    beyond = (
        select(history.c.id)
        .where(history.c.id <= newest - rows_max)
        .order_by(history.c.id)
        .limit(count - removed)
    )
    return removed + connection.execute(delete(history).where(history.c.id.in_(beyond))).rowcount


_OLD_SUMS: Final = (
    delete(consumer_minute).where(consumer_minute.c.minute_ms < bindparam("until_ms")),
    delete(queue_minute).where(queue_minute.c.minute_ms < bindparam("until_ms")),
    delete(failing).where(failing.c.last_at_ms < bindparam("until_ms")),
)


def remove_old_sums(connection: Connection, *, until_ms: int) -> None:
    """Delete what was summed before a moment."""
    for statement in _OLD_SUMS:
        connection.execute(statement, {"until_ms": until_ms})


def _lines_before(wanted: Wanted, before: tuple[int, int] | None) -> Select[Any]:
    """Return the lines to look through, newest first: those of one message, or of a time."""
    statement = select(history)
    if wanted.message_id is not None:
        statement = statement.where(history.c.message_id == wanted.message_id)
    if wanted.since_ms is not None:
        statement = statement.where(history.c.at_ms >= wanted.since_ms)
    if wanted.until_ms is not None:
        statement = statement.where(history.c.at_ms <= wanted.until_ms)
    if before is not None:
        statement = statement.where(tuple_(history.c.at_ms, history.c.id) < tuple_(*before))
    return statement.order_by(history.c.at_ms.desc(), history.c.id.desc())


def _line(row: Mapping[Any, Any]) -> Line:
    facts = dict(row)
    return Line(facts.pop("id"), Row(**facts))


def _column_or_null(table: Table, owner: Table, name: str) -> Any:
    if name in table.c:
        return table.c[name]
    return cast(null(), owner.c[name].type).label(name)
