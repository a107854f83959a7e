"""One room as far as somebody here listens to it: who is due to be told what; no I/O, no clock."""

import math
from collections.abc import Callable
from typing import Final

from api.rooms.audience import UNTOLD, Audience, Listener
from models.rooms.estimates import Estimate
from models.rooms.line_copy import LineCopy
from models.rooms.rules import Place

# How often all places of a room are worked out while its line moves.
WALK_S: Final = 0.25
# Nobody is told a place more often than this.
_PAUSE_S: Final = 1.0
# Who joined behind somebody is no news by itself.
_REST_S: Final = 10.0


class Hall:
    """A room with listeners; moments are seconds of the event loop's clock."""

    __slots__ = ("audience", "due_s", "room_id", "seen", "waits", "walk_s", "walked")

    def __init__(self, room_id: str) -> None:
        self.room_id: Final = room_id
        self.audience: Final = Audience()
        self.seen: object = None  # the line when it was looked at last
        self.walked: object = None  # the line when its places were worked out last
        self.walk_s = 0.0  # when they may be again
        self.due_s = 0.0  # when somebody is to be told what changed before
        self.waits: Final[dict[tuple[int, int], Estimate | None]] = {}  # estimates, of one walk

    def is_due(self, seen: object, now_s: float) -> bool:
        """Say whether to work out places: the line moved, or somebody could not be told before."""
        return now_s >= self.walk_s and (seen != self.walked or now_s >= self.due_s)

    def walk(
        self, copy: LineCopy, now_s: float, *, version: int = UNTOLD
    ) -> tuple[list[Listener], list[Listener]]:
        """Return who is to be told of a new place now, and who does not wait any more.

        Whoever heard of an older `version` of the room's settings is told again where they stand.
        The first have it noted already. A slow reader gets no more of what it has not read: the
        place that it hears next is the newest.
        """
        news: list[Listener] = []
        gone: list[Listener] = []
        self.walk_s, self.due_s = now_s + WALK_S, math.inf
        self.waits.clear()
        length = copy.line.length
        for listener, position in self.audience.walk(copy):
            if not position:
                gone.append(listener)
                continue
            if position != listener.position or version != listener.version:
                at_s = listener.told_s + _PAUSE_S
            elif length != listener.length:
                at_s = listener.told_s + _REST_S
            else:
                continue
            if at_s <= now_s and listener.present is not None and listener.present.keeps_up:
                listener.position, listener.length = position, length
                listener.version = version
                news.append(listener)
            else:
                self.due_s = min(self.due_s, max(at_s, self.walk_s))
        return news, gone

    def move(self, place_of: Callable[[Place], Place]) -> None:
        """Put everybody where they are by now: a draw gives those who came before it new places."""
        listeners = list(self.audience)
        for listener in listeners:
            self.audience.discard(listener)
        for listener in listeners:
            listener.place = place_of(listener.own)
            self.audience.add(listener)
