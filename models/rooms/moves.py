"""What live clients are told when a line moves: one event for each step, however many it moved.

Names and data are those of the wire; each process works out whom of its own clients they concern.
"""

from models.clock import iso_utc
from models.events import Event
from models.rooms.rules import Reaped, Ticked


def events_of_tick(room_id: str, ticked: Ticked) -> list[Event]:
    """Tell who was admitted, as spans of numbers, and whose sessions ended; often nothing."""
    events = []
    at = iso_utc(ticked.at_ms)
    if ticked.grants:
        data = {
            "queue_id": room_id,
            "count": ticked.admitted,
            # In each span [start, end) so many were admitted; the others had left before.
            "spans": [
                {"priority": each.lane, "start": each.start, "end": each.end, "count": each.count}
                for each in ticked.grants
            ],
            "admitted_at": at,
        }
        events.append(Event("waitingroom.position.admitted.v1", data))
    if ticked.ended_session_ids:
        data = {
            "queue_id": room_id,
            "count": len(ticked.ended_session_ids),
            "session_ids": list(ticked.ended_session_ids),
            "expired_at": at,
        }
        events.append(Event("waitingroom.session.expired.v1", data))
    if ticked.no_shows:
        events.append(_expired(room_id, ticked.no_shows, "claim_timeout", at))
    return events


def events_of_reap(room_id: str, reaped: Reaped) -> list[Event]:
    """Tell how many were taken out for being silent; often nothing."""
    if not reaped.count:
        return []
    return [_expired(room_id, reaped.count, "heartbeat_timeout", iso_utc(reaped.at_ms))]


def _expired(room_id: str, count: int, reason: str, at: str) -> Event:
    data = {"queue_id": room_id, "count": count, "reason": reason, "expired_at": at}
    return Event("waitingroom.position.expired.v1", data)
