"""What is said to SQL about draws: which arrivals were drawn, once for each room."""

from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection, bindparam, insert, select
from sqlalchemy.exc import IntegrityError

from models.rooms.draw import LaneDraw
from models.rooms.room import Room
from models.rooms.statements.rooms import made_of
from models.rooms.tables import draw as table
from models.rooms.tables import room as rooms

_LANES: Final = msgspec.json.Decoder(tuple[LaneDraw, ...])
_READ: Final = select(table.c.lanes).where(
    table.c.room_id == bindparam("of_id"), table.c.room_created_at_ms == bindparam("made_at_ms")
)
_DUE: Final = select(rooms).where(rooms.c.draw, rooms.c.opens_at_ms <= bindparam("now_ms"))


def due(connection: Connection, *, now_ms: int) -> list[Room]:
    """Return the rooms that draw and whose opening has come, also those that are open."""
    return [made_of(row) for row in connection.execute(_DUE, {"now_ms": now_ms})]


def read(connection: Connection, room: Room) -> tuple[LaneDraw, ...] | None:
    """Return who was drawn in a room, by lane; None: nobody yet."""
    found = connection.execute(
        _READ, {"of_id": room.id, "made_at_ms": room.created_at_ms}
    ).scalar_one_or_none()
    return None if found is None else _LANES.decode(found)


def fix(
    connection: Connection, room: Room, lanes: Sequence[LaneDraw], *, now_ms: int
) -> tuple[LaneDraw, ...]:
    """Note who is drawn unless that was noted before; return what stands now."""
    if (before := read(connection, room)) is not None:
        return before
    row = {
        "room_id": room.id,
        "room_created_at_ms": room.created_at_ms,
        "drawn_at_ms": now_ms,
        "lanes": msgspec.json.encode(lanes).decode(),
    }
    try:
        with connection.begin_nested():
            connection.execute(insert(table), row)
    except IntegrityError:  # somebody else was first
        stands = read(connection, room)
        assert stands is not None
        return stands
    return tuple(lanes)
