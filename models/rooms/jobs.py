"""What moves the lines of all rooms: who is let in, and who is taken out for being silent.

Everything is harmless to repeat, to do twice at once, or to leave out for a while; scripts decide
by the clock of Redis. It needs no database.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

import redis

from models.events import Event
from models.rooms import scripts
from models.rooms.moves import events_of_reap, events_of_tick
from models.rooms.rules import RoomLostError

# So many rooms in one trip: others get their turn in between.
_ROOMS_AT_ONCE: Final = 50

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What live clients are told, and which rooms were put in order after a restart of Redis."""

    events: tuple[Event, ...]
    recovered_room_ids: tuple[str, ...] = ()


def admit(client: redis.Redis) -> Moved:
    """Let the next visitors of each room in, as its settings allow."""
    events: list[Event] = []
    recovered: list[str] = []
    for room_id, ticked in _each_room(client, scripts.tick):
        events += events_of_tick(room_id, ticked)
        if ticked.was_restarted:
            recovered.append(room_id)
    return Moved(events=tuple(events), recovered_room_ids=tuple(recovered))


def expire(client: redis.Redis) -> Moved:
    """Take out of each line who was silent for the room's time-out."""
    events: list[Event] = []
    for room_id, reaped in _each_room(client, scripts.reap):
        events += events_of_reap(room_id, reaped)
    return Moved(events=tuple(events))


def _each_room(
    client: redis.Redis, call: Callable[[str], scripts.Call[Answer]]
) -> Iterator[tuple[str, Answer]]:
    """Call for each room; one that Redis lost is passed over until somebody sets it up again."""
    room_ids = scripts.list_rooms(client)
    for start in range(0, len(room_ids), _ROOMS_AT_ONCE):
        some = room_ids[start : start + _ROOMS_AT_ONCE]
        answers = scripts.run_all(client, [call(room_id) for room_id in some])
        for room_id, answer in zip(some, answers, strict=True):
            if not isinstance(answer, RoomLostError):
                yield room_id, answer
