"""The opening of a room that draws: arrivals become places, once, whoever is killed on the way.

What it takes is written as steps, which jobs run one after the other and API processes between
other work: calls of scripts, and `Fix`, which is the database's. Until the last step nothing has
changed that counts, and each step repeated does what it did before.
"""

from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from models.rooms import scripts
from models.rooms.draw import Draw, LaneDraw, Marks, differing, moved, secret_of
from models.rooms.scripts import Call
from models.rooms.scripts.draws import Frozen, Marked

# Somebody leaves between reading the marks and putting them back: then only that is moved, which
# takes no time. So many in a row are no chance; the next tick tries again.
_ATTEMPTS_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class Fix:
    """Have the database remember who is drawn; its answer is what it remembered first.

    Redis may lose its last second, and an order that somebody has seen must not change.
    """

    lanes: tuple[LaneDraw, ...]


Steps = Generator[Call[Any] | Fix, Any, bool]


def opening(room_id: str, room_secret: bytes, *, now_ms: int = 0) -> Steps:
    """Yield the steps that open a room by its draw; returns whether it is open by one now.

    A room without a draw, or before its time, is left alone. Raises RoomLostError through the call
    when Redis does not know the room.
    """
    frozen: Frozen = yield scripts.freeze_draw(room_id, now_ms=now_ms)
    if frozen.is_drawn or not frozen.is_due:
        return frozen.is_drawn
    lanes: tuple[LaneDraw, ...] = yield Fix(frozen.lanes)
    draw = Draw(secret_of(room_secret), lanes)
    moving = _Moving(draw)
    for _ in range(_ATTEMPTS_MAX):
        read: Marked = yield scripts.read_marks(room_id, lanes, now_ms=now_ms)
        placed = moving.follow(read)
        is_open: bool = yield scripts.open_drawn(room_id, draw, placed, now_ms=now_ms)
        if is_open:
            return True
    return False


class _Moving:
    """Keeps moved marks up to date with those they were moved from."""

    def __init__(self, draw: Draw) -> None:
        self._draw: Final = draw
        self._read: dict[tuple[int, str], Marks] = {}
        self._moved: dict[tuple[int, str], Marks] = {}

    def follow(self, read: Marked) -> Marked:
        """Return the marks where they belong after the draw; only what changed is moved."""
        for of, marks in read.marks.items():
            changed = differing(marks, self._read.get(of, {}))
            lane, _ = of
            to = moved(changed, partial(self._draw.number_of, lane))
            self._moved[of] = differing(self._moved.get(of, {}), to)
            self._read[of] = marks
        return Marked(read.version, dict(self._moved))
