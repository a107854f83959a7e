"""Named queues: their rows, and the end of everything that is in one."""

from collections.abc import Iterable

from sqlalchemy import Connection, Table, delete, insert, select, update

from models.messages import tables
from models.messages.policies import QueueSettings, settings_of_text, settings_to_text
from models.messages.rules import MessageState, Tally
from models.messages.statements.archive import archived_until_ms
from models.messages.statements.groups import leave


def read_settings(connection: Connection) -> dict[str, QueueSettings]:
    """Return the settings of all queues that were made, by name."""
    rows = connection.execute(select(tables.queue.c.name, tables.queue.c.settings))
    return {row.name: settings_of_text(row.settings) for row in rows}


def hold(connection: Connection, names: Iterable[str]) -> dict[str, QueueSettings]:
    """Return the settings of those queues that exist, and keep these until the commit.

    Whoever deletes one of them waits, so what is stored in the meantime is deleted with it.
    """
    statement = (
        select(tables.queue.c.name, tables.queue.c.settings)
        .where(tables.queue.c.name.in_(sorted(names)))
        .with_for_update(read=True, key_share=True)
    )
    return {row.name: settings_of_text(row.settings) for row in connection.execute(statement)}


def read_queues(connection: Connection) -> list[tuple[str, QueueSettings, int, int]]:
    """Return (name, settings, made at, changed at) of all queues that were made, by name."""
    rows = connection.execute(select(tables.queue).order_by(tables.queue.c.name))
    return [
        (row.name, settings_of_text(row.settings), row.created_at_ms, row.updated_at_ms)
        for row in rows
    ]


def lock(connection: Connection, name: str) -> QueueSettings | None:
    """Return the settings of a queue and let nobody else change them; None if there is none."""
    statement = select(tables.queue.c.settings).where(tables.queue.c.name == name)
    stored = connection.execute(statement.with_for_update()).scalar()
    return None if stored is None else settings_of_text(stored)


def create(connection: Connection, name: str, settings: QueueSettings, *, now_ms: int) -> None:
    """Store a new queue; raises IntegrityError if there is one of this name."""
    connection.execute(
        insert(tables.queue),
        {
            "name": name,
            "settings": settings_to_text(settings),
            "created_at_ms": now_ms,
            "updated_at_ms": now_ms,
        },
    )


def store(connection: Connection, name: str, settings: QueueSettings, *, now_ms: int) -> None:
    """Store changed settings."""
    connection.execute(
        update(tables.queue)
        .where(tables.queue.c.name == name)
        .values(settings=settings_to_text(settings), updated_at_ms=now_ms)
    )


def remove(connection: Connection, name: str) -> None:
    """Delete a queue's row; what is stored there at this moment is waited for."""
    connection.execute(delete(tables.queue).where(tables.queue.c.name == name))


def remove_messages(
    connection: Connection,
    queue: str,
    *,
    states: frozenset[MessageState],
    count: int,
    tally: Tally,
) -> int:
    """Delete up to `count` messages of a queue in each of `states`; return how many went.

    Messages in the hands of another transaction are waited for. Acknowledged ones include the
    archived.
    """
    removed = 0
    for table, state in tables.STATES:
        if state in states:
            removed += _remove_from(connection, table, state, queue, count=count, tally=tally)
    return removed


def _remove_from(
    connection: Connection,
    table: Table,
    state: MessageState,
    queue: str,
    *,
    count: int,
    tally: Tally,
) -> int:
    # Nobody may archive messages while they are counted as not archived.
    archived_ms = archived_until_ms(connection, lock=True) if table is tables.done else 0
    ids = select(table.c.id).where(table.c.queue == queue).limit(count)
    statement = delete(table).where(table.c.id.in_(ids.scalar_subquery())).returning(table)
    gone = connection.execute(statement).mappings().all()
    leave(connection, table, gone)
    for row in gone:
        is_archived = table is tables.done and row["acknowledged_at_ms"] <= archived_ms
        source = MessageState.ARCHIVED if is_archived else state
        tally.move(queue, row["type"], source=source)
    return len(gone)
