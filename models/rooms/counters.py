"""Read what the scripts of rooms count, from the hash of each room, in one trip for many."""

from collections.abc import Mapping, Sequence
from typing import Final

import redis
import redis.asyncio

from models.rooms.rules import LANES
from models.rooms.scripts import room_key
from models.rooms.statistics import Counts, Reading

# Some thousand fields are read in a few milliseconds, in which Redis does nothing else.
_ROOMS_AT_ONCE: Final = 500
_JOINED: Final = tuple(f"joined{lane}" for lane in LANES)
_WAITING: Final = tuple(f"w{lane}" for lane in LANES)
_COUNTED: Final = ("admitted", "expired", "cancelled", "no_shows", "waits_ms")
_FIELDS: Final = (*_JOINED, *_WAITING, *_COUNTED, "inside", "peak")


def read(client: redis.Redis, room_ids: Sequence[str]) -> dict[str, Reading]:
    """Return what is counted of rooms; one that the store does not know is left out."""
    found: dict[str, Reading] = {}
    for start in range(0, len(room_ids), _ROOMS_AT_ONCE):
        some = room_ids[start : start + _ROOMS_AT_ONCE]
        with client.pipeline(transaction=False) as pipeline:
            for room_id in some:
                pipeline.hmget(room_key(room_id), *_FIELDS)
            found |= _readings(some, pipeline.execute())
    return found


async def read_async(client: redis.asyncio.Redis, room_ids: Sequence[str]) -> dict[str, Reading]:
    """Do the same from an event loop."""
    found: dict[str, Reading] = {}
    for start in range(0, len(room_ids), _ROOMS_AT_ONCE):
        some = room_ids[start : start + _ROOMS_AT_ONCE]
        async with client.pipeline(transaction=False) as pipeline:
            for room_id in some:
                pipeline.hmget(room_key(room_id), *_FIELDS)
            found |= _readings(some, await pipeline.execute())
    return found


def _readings(
    room_ids: Sequence[str], answers: Sequence[Sequence[bytes | None]]
) -> dict[str, Reading]:
    return {
        room_id: _reading(dict(zip(_FIELDS, answer, strict=True)))
        for room_id, answer in zip(room_ids, answers, strict=True)
        if answer[0] is not None  # the store knows the room
    }


def _reading(fields: Mapping[str, bytes | None]) -> Reading:
    numbers = {name: int(value or 0) for name, value in fields.items()}
    counts = Counts(
        joined=sum(numbers[name] for name in _JOINED),
        **{name: numbers[name] for name in _COUNTED},
    )
    return Reading(
        counts=counts,
        waiting=sum(numbers[name] for name in _WAITING),
        inside=numbers["inside"],
        peak=numbers["peak"],
    )
