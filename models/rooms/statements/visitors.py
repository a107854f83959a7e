"""What is said to SQL about what visitors said of themselves."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import BigInteger, Connection, bindparam, delete, insert, select

from models.rooms.tables import visitor
from models.rooms.visitors import Note

_ROWS_AT_ONCE: Final = 500
_KNOWN: Final = select(visitor.c.position_id).where(
    visitor.c.position_id.in_(bindparam("ids", expanding=True))
)
_DETAILS: Final = select(visitor.c.position_id, visitor.c.details).where(
    visitor.c.position_id.in_(bindparam("ids", expanding=True))
)
_REMOVE_OLD: Final = delete(visitor).where(
    visitor.c.position_id.in_(
        select(visitor.c.position_id)
        .where(visitor.c.joined_at_ms < bindparam("moment_ms", type_=BigInteger))
        .order_by(visitor.c.joined_at_ms)
        .limit(bindparam("count"))
    )
)


def add(connection: Connection, notes: Sequence[Note]) -> int:
    """Store what is not stored yet; return how many that was.

    Raises IntegrityError when somebody else stores one of them at the same moment.
    """
    by_id = {note.position_id: note for note in notes}
    ids = list(by_id)
    for start in range(0, len(ids), _ROWS_AT_ONCE):
        some = {"ids": ids[start : start + _ROWS_AT_ONCE]}
        for position_id in connection.execute(_KNOWN, some).scalars():
            by_id.pop(position_id, None)
    if by_id:
        connection.execute(insert(visitor), [_row(note) for note in by_id.values()])
    return len(by_id)


def details(connection: Connection, position_ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """Return what is known of some visitors, by the id of their place."""
    if not position_ids:
        return {}
    rows = connection.execute(_DETAILS, {"ids": list(position_ids)})
    return {row.position_id: msgspec.json.decode(row.details) for row in rows}


def remove_old(connection: Connection, *, before_ms: int, count: int) -> int:
    """Delete at most `count` of those who joined before a moment; return how many it deleted."""
    return connection.execute(_REMOVE_OLD, {"moment_ms": before_ms, "count": count}).rowcount


def _row(note: Note) -> dict[str, Any]:
    return {
        "position_id": note.position_id,
        "room_id": note.room_id,
        "lane": note.lane,
        "number": note.number,
        "joined_at_ms": note.joined_at_ms,
        "details": msgspec.json.encode(note.details).decode(),
    }
