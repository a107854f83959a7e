"""Draws in the background: rooms whose opening has come are opened."""

from typing import Final

import redis
import structlog

from models.database import Database
from models.rooms import scripts
from models.rooms.opening import Fix, Steps, opening
from models.rooms.room import Room
from models.rooms.rules import RoomLostError
from models.rooms.statements import draws as statements

_log: Final = structlog.get_logger(__name__)


def open_drawn_rooms(database: Database, client: redis.Redis, *, now_ms: int) -> list[str]:
    """Open each room whose draw is due; return the ids of those that are open by a draw.

    Harmless to repeat, to do twice at once, and to be killed in. A room that Redis does not know is
    left until somebody has set it up again.
    """
    with database.begin() as connection:
        rooms = statements.due(connection, now_ms=now_ms)
    return [room.id for room in rooms if _open(database, client, room, now_ms=now_ms)]


def _open(database: Database, client: redis.Redis, room: Room, *, now_ms: int) -> bool:
    try:
        return follow(database, client, room, opening(room.id, room.secret), now_ms=now_ms)
    except RoomLostError:
        _log.warning("room_not_drawn", room_id=room.id, reason="redis does not know it")
        return False


def follow(
    database: Database, client: redis.Redis, room: Room, steps: Steps, *, now_ms: int
) -> bool:
    """Run the steps of an opening one after the other, and return what they return."""
    answer = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as end:
            return bool(end.value)
        if isinstance(step, Fix):
            with database.begin() as connection:
                answer = statements.fix(connection, room, step.lanes, now_ms=now_ms)
        else:
            answer = scripts.run(client, step)
