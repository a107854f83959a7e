"""What a receiver gets: the body of one request and the id by which it knows repeats."""

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from models.clock import iso_utc

TEST_TYPE: Final = "stanchion.test"
_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A message that a webhook holds; `payload` is JSON text, `message_id` the id on the wire."""

    id: int
    lock_token: str
    message_id: str
    queue: str
    type: str | None
    priority: int
    payload: str
    attempt: int
    created_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """What is sent: the same `webhook_id` and body for each attempt; `attempt` is 0 for a test."""

    webhook_id: str
    attempt: int
    body: bytes


def parcel_of(taken: Taken) -> Parcel:
    """Return what carries a message, its payload to the letter."""
    body = _body(
        taken.message_id,
        type_=taken.type,
        at_ms=taken.created_at_ms,
        data=msgspec.Raw(taken.payload.encode()),
        more={"queue": taken.queue, "priority": taken.priority},
    )
    return Parcel(webhook_id=taken.message_id, attempt=taken.attempt, body=body)


def trial_parcel(webhook_id: str, name: str, *, now_ms: int) -> Parcel:
    """Return what shows that a webhook works; it carries no message."""
    data = {"webhook": name}
    body = _body(webhook_id, type_=TEST_TYPE, at_ms=now_ms, data=data, more={})
    return Parcel(webhook_id=webhook_id, attempt=0, body=body)


def _body(
    webhook_id: str, *, type_: str | None, at_ms: int, data: object, more: dict[str, Any]
) -> bytes:
    facts = {"type": type_, "timestamp": iso_utc(at_ms), "id": webhook_id, **more, "data": data}
    return _encode(facts)
