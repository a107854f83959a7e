"""What live clients are told of rooms; names and data of the events are those of the wire."""

from collections.abc import Collection
from typing import Final

from models.clock import iso_utc
from models.events import Event
from models.rooms.room import Room
from models.rooms.rules import DOMAIN, RoomStatus, Session

__all__ = ["DOMAIN", "room_changed", "room_created", "room_deleted", "session_terminated"]

_OF_STATUS: Final = {
    RoomStatus.ACTIVE: "resumed",
    RoomStatus.PAUSED: "paused",
    RoomStatus.MAINTENANCE: "maintenance",
    RoomStatus.CLOSED: "updated",
}


def room_created(room: Room) -> Event:
    """Tell of a new room."""
    return _of_room("created", room)


def room_changed(room: Room, changed: Collection[str]) -> list[Event]:
    """Tell which fields changed, under their names in Room; a new status has a name of its own."""
    names = ["updated"] if set(changed) - {"status"} else []
    if "status" in changed and (name := _OF_STATUS[room.status]) not in names:
        names.append(name)
    return [_of_room(name, room) for name in names]


def room_deleted(room_id: str, *, now_ms: int) -> Event:
    """Tell of a room that is gone, with everybody in it."""
    data = {"queue_id": room_id, "deleted_at": iso_utc(now_ms)}
    return Event("waitingroom.queue.deleted.v1", data)


def session_terminated(room_id: str, session: Session, *, position_id: str) -> Event:
    """Tell of a session that somebody ended."""
    data = {
        "queue_id": room_id,
        "session_id": session.id,
        "position_id": position_id,
        "reason": session.over,
        "terminated_at": iso_utc(session.over_at_ms),
    }
    return Event("waitingroom.session.terminated.v1", data)


def _of_room(name: str, room: Room) -> Event:
    data = {
        "queue_id": room.id,
        "status": room.status.value,
        "version": room.version,
        "updated_at": iso_utc(room.updated_at_ms),
    }
    return Event(f"waitingroom.queue.{name}.v1", data)
