"""The visitors of one room who listen in this process, in the order of the line.

Pure: it knows places and what each was told, and nothing of clocks or stores. Who is passed by the
head of the line is found by halving, however many wait behind it.
"""

from bisect import bisect_left, insort_left
from collections.abc import Iterator
from operator import attrgetter
from typing import Final

from api.live.channel import Present
from models.rooms.line_copy import LineCopy
from models.rooms.passes import Visitor
from models.rooms.rules import LANES, LineState

# Of a listener who was told nothing yet.
UNTOLD: Final = -1


class Listener:
    """A visitor who is connected, and what it was told last."""

    __slots__ = (
        *("is_over", "last", "length", "own", "place", "position", "present", "room_id"),
        *("told_s", "version", "visitor"),
    )

    def __init__(self, visitor: Visitor) -> None:
        """`own` is what the token says; where that is in the line a draw may change."""
        self.room_id: Final = visitor.room_id
        self.visitor = visitor  # with the newest token
        self.own: Final = visitor.place
        self.place = visitor.place
        self.position = UNTOLD
        self.length = UNTOLD
        self.told_s = 0.0
        self.version = UNTOLD  # of the room's settings
        self.present: Present | None = None  # until it is in, and after it went
        # The name and data of what is still to be said at the end, and whether it was said.
        self.last: tuple[str, bytes] | None = None
        self.is_over = False


_number = attrgetter("place.number")


class Audience:
    """The listeners of a room who wait, each in its lane by its number."""

    def __init__(self) -> None:
        self._lanes: Final[dict[int, list[Listener]]] = {lane: [] for lane in LANES}

    def __len__(self) -> int:
        return sum(map(len, self._lanes.values()))

    def __iter__(self) -> Iterator[Listener]:
        for lane in self._lanes.values():
            yield from lane

    def add(self, listener: Listener) -> None:
        """Let somebody listen; several may, by the same place."""
        insort_left(self._lanes[listener.place.lane], listener, key=_number)

    def discard(self, listener: Listener) -> None:
        """Let somebody go; a repeat changes nothing."""
        lane = self._lanes[listener.place.lane]
        index = bisect_left(lane, listener.place.number, key=_number)
        while index < len(lane) and lane[index].place == listener.place:
            if lane[index] is listener:
                del lane[index]
                return
            index += 1

    def take_passed(self, line: LineState) -> list[Listener]:
        """Take out and return who does not wait in this line.

        Those below the head are admitted or gone. Those from the tail on have places that this line
        does not know: it is older than they are, or the store lost them and gives them back.
        """
        passed: list[Listener] = []
        for number, lane in self._lanes.items():
            below = bisect_left(lane, line.heads[number], key=_number)
            beyond = bisect_left(lane, line.tails[number], key=_number)
            passed += lane[:below] + lane[beyond:]
            del lane[beyond:], lane[:below]
        return passed

    def walk(self, copy: LineCopy) -> Iterator[tuple[Listener, int]]:
        """Yield each listener with its position, 1 is next, or 0 for who does not wait any more.

        From the head of the line to its end; to be ended before anybody comes or goes.
        """
        locate = copy.locate
        for lane in reversed(self._lanes.values()):
            for listener in lane:
                yield listener, locate(listener.place).position
