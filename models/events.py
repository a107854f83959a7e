"""Whatever changes is told once: a capped Redis stream for each domain.

One entry holds the events of one commit. An event is a hint and the store is the truth: with Redis
away events are kept up to a limit, then dropped, and a reader that fell behind is told to resync.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

_FIELD: Final = b"events"
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(list[tuple[str, dict[str, Any]]]).decode


@dataclass(frozen=True, slots=True)
class Event:
    """One fact for live clients: its name and data as on the wire of its domain."""

    name: str
    data: Mapping[str, object]


class Publisher(Protocol):
    """Where a service puts its events after the commit; never blocks, never raises."""

    def publish(self, domain: str, events: Sequence[Event]) -> None:
        """Take the events of one commit, in order."""

    def wake(self, domain: str) -> None:
        """Tell every process that somebody's waiting may be over; may be lost."""


def stream_key(domain: str) -> str:
    """Return the key of a domain's stream."""
    return f"events:{domain}"


def wake_channel(domain: str) -> str:
    """Return the Pub/Sub channel on which waiting consumers of a domain are woken."""
    return f"wake:{domain}"


def encode_entry(events: Sequence[Event]) -> dict[Any, Any]:
    """Return the fields of one stream entry."""
    return {_FIELD: _encode([(event.name, event.data) for event in events])}


def decode_entry(fields: Mapping[bytes, bytes]) -> list[Event]:
    """Return the events of one stream entry, in order."""
    return [Event(name, data) for name, data in _decode(fields[_FIELD])]
