"""Growing old: the mark up to which acknowledged messages are archived, and their end."""

from typing import Final

from sqlalchemy import Connection, bindparam, column, delete, func, select, table, text

from models.messages import tables
from models.messages.rules import MessageState, Tally

_ARCHIVED_UNTIL: Final = "archived_until_ms"
_READ_MARK: Final = select(tables.mark.c.value_ms).where(tables.mark.c.name == bindparam("mark"))
_SET_MARK: Final = text(
    """
    INSERT INTO message_mark (name, value_ms) VALUES (:name, :value_ms)
    ON CONFLICT (name) DO UPDATE SET value_ms = excluded.value_ms
    """
)


def archived_until_ms(connection: Connection, *, lock: bool = False) -> int:
    """Return the moment up to which acknowledged messages are archived; 0 at first."""
    statement = _READ_MARK.with_for_update() if lock else _READ_MARK
    return connection.execute(statement, {"mark": _ARCHIVED_UNTIL}).scalar() or 0


def archive_until(connection: Connection, until_ms: int, *, tally: Tally) -> int:
    """Move the mark forward and return how many messages that archived; no row moves."""
    since_ms = archived_until_ms(connection, lock=True)
    if until_ms <= since_ms:
        return 0
    acknowledged_at = tables.done.c.acknowledged_at_ms
    rows = connection.execute(
        select(tables.done.c.queue, tables.done.c.type, func.count().label("n"))
        .where(acknowledged_at > since_ms, acknowledged_at <= until_ms)
        .group_by(tables.done.c.queue, tables.done.c.type)
    ).all()
    for row in rows:
        tally.move(
            row.queue,
            row.type,
            source=MessageState.ACKNOWLEDGED,
            target=MessageState.ARCHIVED,
            count=row.n,
        )
    connection.execute(_SET_MARK, {"name": _ARCHIVED_UNTIL, "value_ms": until_ms})
    return sum(row.n for row in rows)


def delete_archived(
    connection: Connection,
    until_ms: int,
    *,
    count: int,
    tally: Tally,
    partition: str = "message_done",
) -> int:
    """Delete up to `count` archived messages acknowledged by `until_ms`; return how many.

    With `partition` only those that are in one, on PostgreSQL.
    """
    until_ms = min(until_ms, archived_until_ms(connection))
    done = table(partition, *(column(name) for name in tables.done.c.keys()))  # noqa: SIM118
    old_ids = (
        select(done.c.id)
        .where(done.c.acknowledged_at_ms <= until_ms)
        .order_by(done.c.acknowledged_at_ms)
        .limit(count)
    )
    rows = connection.execute(
        delete(done).where(done.c.id.in_(old_ids)).returning(done.c.queue, done.c.type)
    ).all()
    for row in rows:
        tally.move(row.queue, row.type, source=MessageState.ARCHIVED)
    return len(rows)
