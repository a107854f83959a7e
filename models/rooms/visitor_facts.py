"""What live clients are told of visitors; names and data of the events are those of the wire."""

from models.clock import iso_utc
from models.events import Event


def joined(room_id: str, *, count: int, length: int, at_ms: int) -> Event:
    """Tell that visitors joined together, and how many wait now."""
    data = {
        "queue_id": room_id,
        "count": count,
        "queue_length": length,
        "enqueued_at": iso_utc(at_ms),
    }
    return Event("waitingroom.position.enqueued.v1", data)


def cancelled(room_id: str, position_id: str, *, at_ms: int) -> Event:
    """Tell that somebody gave a place up."""
    data = {
        "queue_id": room_id,
        "position_id": position_id,
        "cancelled_at": iso_utc(at_ms),
    }
    return Event("waitingroom.position.cancelled.v1", data)


def session_started(
    room_id: str, session_id: str, position_id: str, *, started_at_ms: int, ends_at_ms: int
) -> Event:
    """Tell that somebody who was admitted came in."""
    data = {
        "queue_id": room_id,
        "session_id": session_id,
        "position_id": position_id,
        "started_at": iso_utc(started_at_ms),
        "expires_at": iso_utc(ends_at_ms),
    }
    return Event("waitingroom.session.started.v1", data)
