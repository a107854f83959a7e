"""Taking messages out of wherever they are, and setting anew what they say."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Table, delete, select, update

from models.messages import tables
from models.messages.rules import MessageState, Tally
from models.messages.statements.archive import archived_until_ms
from models.messages.statements.counts import find
from models.messages.statements.put import put_ready

# A message may go from one state to another between two looks, not again and again.
_LOOKS_MAX: Final = 10


def state_of(connection: Connection, message_id: int) -> MessageState | None:
    """Say where a message is, in one look; None if it does not exist."""
    row = find(connection, [message_id]).get(message_id)
    return None if row is None else MessageState(row.state)


def hold(connection: Connection, message_id: int) -> tuple[Table, MessageState] | None:
    """Find a message and keep it where it is until the commit; None if it does not exist.

    Whoever has it in hand at the moment is waited for.
    """
    for _ in range(_LOOKS_MAX):
        state = state_of(connection, message_id)
        if state is None:
            return None
        for table, of_table in tables.STATES:
            if of_table is state and _lock(connection, table, message_id):
                return table, of_table
    raise AssertionError(f"message {message_id} does not stand still")


def _lock(connection: Connection, table: Table, message_id: int) -> bool:
    if table is tables.done:  # in the order of whoever empties a queue, so that no two deadlock
        archived_until_ms(connection, lock=True)
    statement = select(table.c.id).where(table.c.id == message_id).with_for_update()
    return connection.execute(statement).first() is not None


def change(
    connection: Connection, table: Table, message_id: int, columns: Mapping[str, Any]
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Set columns of a message that is held; return its row as it was and as it is."""
    at = table.c.id == message_id
    old = connection.execute(select(table).where(at)).mappings().one()
    statement = update(table).where(at).values(dict(columns)).returning(table)
    return dict(old), dict(connection.execute(statement).mappings().one())


def end_pause(connection: Connection, row: Mapping[str, Any]) -> None:
    """Let a message that is held into its line: whatever is paused is found again by a claim."""
    connection.execute(delete(tables.aside).where(tables.aside.c.id == row["id"]))
    put_ready(connection, [row])


def remove(
    connection: Connection,
    table: Table,
    state: MessageState,
    ids: Sequence[int],
    *,
    tally: Tally,
) -> list[Mapping[str, Any]]:
    """Delete messages that are held, and return their rows."""
    # Nobody may archive messages while they are counted as not archived.
    archived_ms = archived_until_ms(connection, lock=True) if table is tables.done else 0
    statement = delete(table).where(table.c.id.in_(ids)).returning(table)
    rows: list[Mapping[str, Any]] = [dict(row) for row in connection.execute(statement).mappings()]
    for row in rows:
        is_archived = table is tables.done and row["acknowledged_at_ms"] <= archived_ms
        source = MessageState.ARCHIVED if is_archived else state
        tally.move(row["queue"], row["type"], source=source)
    return rows
