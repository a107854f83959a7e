"""Whatever changes is told once: a capped Redis stream for each domain.

One entry holds the events of one commit. An event is a hint and the store is the truth: with Redis
away events are kept up to a limit, then dropped, and a reader that fell behind is told to resync.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct

_FIELD: Final = b"events"
_AT_FIELD: Final = b"at"
_DROPPED_FIELD: Final = b"dropped"
# With more kinds than that in one wake-up everybody is tried.
_KINDS_MAX: Final = 100
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(list[tuple[str, dict[str, Any]]]).decode
_decode_wake: Final = msgspec.json.Decoder(
    tuple[str, list[tuple[str, str | None, int]] | None]
).decode


class Event(Struct, frozen=True):
    """One fact for live clients: its name and data as on the wire of its domain."""

    name: str
    data: Mapping[str, object]


# What has come in, counted by queue and type.
Arrivals = Mapping[tuple[str, str | None], int]


class Publisher(Protocol):
    """Where a service puts its events after the commit; never blocks, never raises."""

    def publish(self, domain: str, events: Sequence[Event]) -> None:
        """Take the events of one commit, in order."""

    def wake(self, domain: str, arrived: Arrivals | None) -> None:
        """Tell every process what has arrived for those who wait, None: anything; may be lost."""


def stream_key(domain: str) -> str:
    """Return the key of a domain's stream."""
    return f"events:{domain}"


def wake_channel(domain: str) -> str:
    """Return the Pub/Sub channel on which waiting consumers of a domain are woken."""
    return f"wake:{domain}"


def encode_entry(
    events: Sequence[Event], *, at_ms: int | None = None, dropped: int = 0
) -> dict[Any, Any]:
    """Return the fields of one stream entry.

    `at_ms` is when the events were told, before they waited for Redis; `dropped` says how many
    commits' events were lost before this one.
    """
    fields: dict[Any, Any] = {_FIELD: _encode([(event.name, event.data) for event in events])}
    if at_ms is not None:
        fields[_AT_FIELD] = at_ms
    if dropped:
        fields[_DROPPED_FIELD] = dropped
    return fields


def decode_entry(fields: Mapping[bytes, bytes]) -> list[Event]:
    """Return the events of one stream entry, in order."""
    return [Event(name, data) for name, data in _decode(fields[_FIELD])]


def moment_of_entry(fields: Mapping[bytes, bytes]) -> int | None:
    """Return when the events of an entry were told, in Unix milliseconds, if it says so."""
    return int(fields[_AT_FIELD]) if _AT_FIELD in fields else None


def dropped_before(fields: Mapping[bytes, bytes]) -> int:
    """Return how many commits' events were lost before an entry, by the process that wrote it."""
    return int(fields.get(_DROPPED_FIELD, 0))


def encode_wake(process: str, arrived: Arrivals | None) -> bytes:
    """Return a wake-up from a process; None says that anything may have changed."""
    if arrived is None:
        return _encode((process, None))
    kinds = [(queue, type_, count) for (queue, type_), count in arrived.items()]
    return _encode((process, kinds if len(kinds) <= _KINDS_MAX else None))


def decode_wake(message: bytes) -> tuple[str, Arrivals | None]:
    """Return who sent a wake-up and what arrived; None: anything may have."""
    if not message:  # from a worker, which puts back messages of many kinds
        return "", None
    process, kinds = _decode_wake(message)
    if kinds is None:
        return process, None
    return process, {(queue, type_): count for queue, type_, count in kinds}
