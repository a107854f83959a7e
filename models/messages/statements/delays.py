"""Messages whose time has not come: put aside, and let into their line when it has."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, bindparam, delete, func, select

from models.messages import tables
from models.messages.rules import MessageState, Tally
from models.messages.statements.put import put_delayed, put_ready


def postpone(connection: Connection, due_at_ms: Mapping[int, int]) -> None:
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
