"""Messages whose time has not come: put aside, and let into their line when it has."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from models.messages import tables
from models.messages.rules import MessageState, Tally
from models.messages.statements.settle import put_ready


def put_delayed(connection: Connection, rows: Iterable[tuple[Mapping[Any, Any], int]]) -> None:
    """Store messages, each with the moment at which it may be delivered."""
    values = [
        {**{name: row[name] for name in tables.MESSAGE_COLUMNS}, "due_at_ms": due_at_ms}
        for row, due_at_ms in rows
    ]
    if values:
        connection.execute(insert(tables.delayed), values)


def put_aside(connection: Connection, due_at_ms: Mapping[int, int]) -> None:
    """Take messages that this transaction stored out of their line until they are due."""
    if not due_at_ms:
        return
    ids = sorted(due_at_ms)
    statement = delete(tables.ready).where(tables.ready.c.id.in_(ids)).returning(tables.ready)
    rows = connection.execute(statement).mappings().all()
    put_delayed(connection, [(row, due_at_ms[row["id"]]) for row in rows])


_FIRST: Final = select(func.min(tables.delayed.c.due_at_ms))
_DUE_IDS: Final = (
    select(tables.delayed.c.id)
    .where(tables.delayed.c.due_at_ms <= bindparam("moment_ms"))
    .order_by(tables.delayed.c.due_at_ms)
    .limit(bindparam("count"))
    .with_for_update(skip_locked=True)
)


def first_due_at_ms(connection: Connection) -> int | None:
    """Return when the next message is due; read from the end of an index."""
    return connection.execute(_FIRST).scalar()


def collect_due(connection: Connection, *, count: int, now_ms: int, tally: Tally) -> list[int]:
    """Let up to `count` messages that are due into their lines; return their ids."""
    ids = connection.execute(_DUE_IDS, {"moment_ms": now_ms, "count": count}).scalars().all()
    if not ids:
        return []
    statement = delete(tables.delayed).where(tables.delayed.c.id.in_(ids))
    rows = connection.execute(statement.returning(tables.delayed)).mappings().all()
    put_ready(connection, rows)
    for row in rows:
        tally.move(
            row["queue"], row["type"], source=MessageState.DELAYED, target=MessageState.QUEUED
        )
    return [row["id"] for row in rows]
