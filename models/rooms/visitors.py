"""What visitors say of themselves when they join, on its way to SQL: off every request's path.

An API process collects notes and puts them into one Redis stream of bounded length; a task takes
them from there. With Redis or the tasks away for long the oldest notes are lost, places never are.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import redis.asyncio
import structlog
from msgspec import Struct

from models.redis import RedisAwayError

_log: Final = structlog.get_logger(__name__)

STREAM: Final = "rooms:visitors"
_FIELD: Final = b"note"
_FLUSH_EVERY_S: Final = 0.5
_NOTES_AT_ONCE: Final = 500


class Note(Struct, frozen=True, kw_only=True, array_like=True):
    """What one visitor said; the id of the place is the visitor's, whoever reads it twice."""

    position_id: str
    room_id: str
    lane: int
    number: int
    joined_at_ms: int
    details: Mapping[str, Any]


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Note).decode


def encode(note: Note) -> dict[Any, Any]:
    """Return the fields of one entry of the stream."""
    return {_FIELD: _encode(note)}


def decode(fields: Mapping[bytes, bytes]) -> Note:
    """Return the note of one entry of the stream."""
    return _decode(fields[_FIELD])


class Notes:
    """The notes of one process; `add` never waits and never raises."""

    def __init__(self, client: redis.asyncio.Redis, *, notes_max: int) -> None:
        """Keep at most `notes_max` here while Redis is away, and about as many in Redis."""
        self._client: Final = client
        self._notes_max: Final = notes_max
        self._waiting: Final[deque[Note]] = deque(maxlen=notes_max)

    @property
    def waiting(self) -> Sequence[Note]:
        """Return what did not reach Redis yet, oldest first."""
        return tuple(self._waiting)

    def add(self, note: Note) -> None:
        """Take a note; the oldest one goes when there are too many."""
        self._waiting.append(note)

    async def flush(self) -> None:
        """Put what waits into the stream; with Redis away it waits on."""
        while self._waiting:
            some = [self._waiting.popleft() for _ in range(min(len(self._waiting), _NOTES_AT_ONCE))]
            try:
                await self._send(some)
            except RedisAwayError as error:
                # Those that came meanwhile are newer; what does not fit any more is lost.
                room = self._notes_max - len(self._waiting)
                self._waiting.extendleft(reversed(some[max(0, len(some) - room) :]))
                _log.warning("visitors_not_noted", waiting=len(self._waiting), reason=str(error))
                return

    async def run(self) -> None:
        """Pass notes on, until cancelled."""
        while True:
            await asyncio.sleep(_FLUSH_EVERY_S)
            await self.flush()

    async def _send(self, notes: Sequence[Note]) -> None:
        async with self._client.pipeline(transaction=False) as pipeline:
            for note in notes:
                pipeline.xadd(STREAM, encode(note), maxlen=self._notes_max, approximate=True)
            await pipeline.execute()
