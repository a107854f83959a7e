"""What is told about mail, once: the events of its stream, named as clients hear them."""

from collections.abc import Sequence
from typing import Final

import msgspec

from models.clock import iso_utc
from models.events import Event
from models.mail.alarms import Alarm
from models.mail.dialogues import Piece
from models.mail.log_batches import LogBatch
from models.mail.rules import Batch

DOMAIN: Final = "mail"
QUEUE_UPDATE: Final = "queue_update"
LOGGED: Final = "logged"
HEARD: Final = "dialogue"
ALARM: Final = "system_alert"  # the original's word for it
# An event names so many messages at most; a client that has others on its page asks for the list.
_NAMED_MAX: Final = 100


def acted(action: str, message_id: str, *, now_ms: int) -> Event:
    """Say that something was done to a message."""
    return Event(
        QUEUE_UPDATE,
        {
            "action": action,
            "message_id": message_id,
            "status": "success",
            "timestamp": iso_utc(now_ms),
        },
    )


def acted_on_many(action: str, message_ids: Sequence[str], result: object, *, now_ms: int) -> Event:
    """Say what was done to many messages; `result` is what the caller is answered."""
    return Event(
        QUEUE_UPDATE,
        {
            "action": f"bulk_{action}",
            "message_ids": list(message_ids),
            "result": result,
            "status": "completed",
            "timestamp": iso_utc(now_ms),
        },
    )


def changed(batch: Batch, *, now_ms: int) -> list[Event]:
    """Say what a host told of its queue: which messages are new or otherwise, which are gone."""
    if not batch.there and not batch.gone:
        return []
    return [
        Event(
            QUEUE_UPDATE,
            {
                "action": "changed",
                "host": batch.host,
                "message_ids": [each.message_id for each in batch.there[:_NAMED_MAX]],
                "gone": list(batch.gone[:_NAMED_MAX]),
                "count": len(batch.there) + len(batch.gone),
                "status": "completed",
                "timestamp": iso_utc(now_ms),
            },
        )
    ]


def alarmed(alarm: Alarm, *, now_ms: int) -> Event:
    """Say that something needs somebody, or is over."""
    return Event(ALARM, alarm_data(alarm, now_ms=now_ms))


def alarm_data(alarm: Alarm, *, now_ms: int) -> dict[str, object]:
    """Return what a client or a receiver learns of an alarm."""
    return {
        "kind": alarm.kind.value,
        "host": alarm.host,
        "state": "over" if alarm.is_over else "raised",
        "value": alarm.value,
        "threshold": alarm.threshold,
        "since": iso_utc(alarm.since_ms),
        "message": str(alarm),
        "timestamp": iso_utc(now_ms),
    }


def heard(piece: Piece) -> Event:
    """Say what was said in an attempt, as a client hears it."""
    return Event(HEARD, msgspec.to_builtins(piece))


def logged(batch: LogBatch) -> list[Event]:
    """Say that a host's log has new lines."""
    if not batch.lines:
        return []
    return [Event(LOGGED, {"host": batch.host, "lines": len(batch.lines)})]
