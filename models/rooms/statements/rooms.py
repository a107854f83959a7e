"""What is said to SQL about rooms themselves."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, text, update

from models.rooms.room import Algorithm, Appearance, FailMode, Room
from models.rooms.rules import RoomStatus
from models.rooms.tables import count as counts
from models.rooms.tables import room as table
from models.rooms.tables import sample

_decode: Final = msgspec.json.Decoder(Appearance).decode
_encode: Final = msgspec.json.Encoder().encode
# Any number that nobody else locks by in the same database.
_MAKERS_LOCK: Final = 7_813_420_513
_ROWS_AT_ONCE: Final = 500

_COUNT: Final = select(func.count()).select_from(table)
_BY_ID: Final = select(table).where(table.c.id == bindparam("of_id"))
_LOCKED: Final = _BY_ID.with_for_update()
_PAGE: Final = (
    select(table)
    .where(table.c.id > bindparam("after"))
    .order_by(table.c.id)
    .limit(bindparam("count"))
)
_GENERATIONS: Final = select(table.c.id, table.c.created_at_ms, table.c.version)
_SOME: Final = select(table).where(table.c.id.in_(bindparam("ids", expanding=True)))


def count_among_makers(connection: Connection) -> int:
    """Return how many rooms there are; nobody else makes one before the commit."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MAKERS_LOCK})
    return int(connection.execute(_COUNT).scalar_one())


def read(connection: Connection, room_id: str, *, lock: bool = False) -> Room | None:
    """Return a room; with `lock` nobody else changes it before the commit."""
    row = connection.execute(_LOCKED if lock else _BY_ID, {"of_id": room_id}).first()
    return None if row is None else made_of(row)


def page(connection: Connection, *, after: str, count: int) -> list[Room]:
    """Return up to `count` rooms by id, those behind `after`."""
    return [made_of(row) for row in connection.execute(_PAGE, {"after": after, "count": count})]


def read_all(connection: Connection, known: Mapping[str, Room]) -> dict[str, Room]:
    """Return all rooms; those that have not changed are taken from `known`."""
    generations = {
        row.id: (row.created_at_ms, row.version) for row in connection.execute(_GENERATIONS)
    }
    same = {
        room_id: room
        for room_id, room in known.items()
        if generations.get(room_id) == room.generation
    }
    missing = sorted(generations.keys() - same.keys())
    return same | {room.id: room for room in _some(connection, missing)}


def create(connection: Connection, room: Room) -> None:
    """Store a new room; raises IntegrityError if there is one of this id."""
    connection.execute(insert(table), _row(room))


def store(connection: Connection, room: Room) -> None:
    """Store a room that was read with `lock` and changed."""
    connection.execute(update(table).where(table.c.id == room.id).values(_row(room)))


def remove(connection: Connection, room_id: str) -> None:
    """Delete a room that was read with `lock`, and its history."""
    connection.execute(delete(sample).where(sample.c.room_id == room_id))
    connection.execute(delete(counts).where(counts.c.room_id == room_id))
    connection.execute(delete(table).where(table.c.id == room_id))


def _some(connection: Connection, ids: Sequence[str]) -> list[Room]:
    return [
        made_of(row)
        for start in range(0, len(ids), _ROWS_AT_ONCE)
        for row in connection.execute(_SOME, {"ids": ids[start : start + _ROWS_AT_ONCE]})
    ]


def _row(room: Room) -> dict[str, Any]:
    row = {column.name: getattr(room, column.name) for column in table.c}
    return row | {
        "status": room.status.value,
        "fail_mode": room.fail_mode.value,
        "algorithm": room.algorithm.value,
        "appearance": _encode(room.appearance).decode(),
    }


def made_of(row: Row[Any]) -> Room:
    """Return the room that a row of the table is."""
    values = {column.name: getattr(row, column.name) for column in table.c}
    values["status"] = RoomStatus(row.status)
    values["fail_mode"] = FailMode(row.fail_mode)
    values["algorithm"] = Algorithm(row.algorithm)
    values["appearance"] = _decode(row.appearance)
    values["secret"] = bytes(row.secret)
    return Room(**values)
