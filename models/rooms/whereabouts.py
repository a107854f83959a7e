"""What a visitor is told: where one stands, or that one is in."""

from dataclasses import dataclass

from msgspec import Struct

from models.rooms.estimates import Estimate
from models.rooms.passes import SessionPass, Visitor
from models.rooms.room import Room


class Whereabouts(Struct, frozen=True):
    """Where a visitor is; `admitted` is there once the visitor may go in.

    `position` 1 is next and 0 is in. `length` counts who wait, so the visitor too while waiting.
    """

    room: Room
    visitor: Visitor
    position: int
    length: int
    estimate: Estimate | None = None
    admitted: SessionPass | None = None
    drawn: bool | None = None  # where lots are drawn: whether `position` is a place yet

    @property
    def wait_s(self) -> int | None:
        """Return how many seconds are left, as far as that can be said."""
        if self.admitted is not None:
            return 0
        return None if self.estimate is None else self.estimate.seconds


@dataclass(frozen=True, slots=True)
class Entered:
    """What came of joining."""

    whereabouts: Whereabouts
    is_new: bool


@dataclass(frozen=True, slots=True)
class Departed:
    """A place that was given up."""

    position_id: str
    at_ms: int
