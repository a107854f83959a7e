"""How long visitors of each room will wait, as far as this process has watched it."""

from collections.abc import Collection
from typing import Final

from models.rooms import estimates
from models.rooms.estimates import Estimate
from models.rooms.paces import SAMPLED_EVERY_MS, Pace, Samples, sample_of
from models.rooms.replica import Replica
from models.rooms.room import Room
from models.rooms.rules import LineState, Place


class _Watched:
    def __init__(self) -> None:
        self.samples: Final = Samples()
        self.sampled_at_ms = 0
        self.pace = Pace()


class Outlooks:
    """Samples the rooms that the replica copies, once a second."""

    def __init__(self, replica: Replica) -> None:
        self._replica: Final = replica
        self._rooms: Final[dict[str, _Watched]] = {}
        replica.watch(self._sample)

    def of(self, room: Room, line: LineState, place: Place, position: int) -> Estimate | None:
        """Return how long a visitor waits; None while the room admits nobody."""
        watched = self._rooms.get(room.id)
        return estimates.tell(
            line,
            place,
            position=position,
            pace=watched.pace if watched else Pace(),
            session_ms=room.session_ms,
        )

    def _sample(self, room_ids: Collection[str]) -> None:
        for room_id in room_ids:
            copy = self._replica.peek(room_id)
            if copy is None:
                continue
            watched = self._rooms.setdefault(room_id, _Watched())
            line = copy.line
            if line.at_ms - watched.sampled_at_ms >= SAMPLED_EVERY_MS:
                watched.sampled_at_ms = line.at_ms
                watched.samples.add(sample_of(line))
                watched.pace = watched.samples.pace()
