"""Calls about the draw of a room: who is drawn, whose marks move, and the opening itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from models.rooms.draw import Draw, LaneDraw, Marks
from models.rooms.rules import LANES
from models.rooms.scripts.calls import Call, Script

_FREEZE: Final = Script("freeze_drawn.lua")
_READ: Final = Script("read_gone.lua")
_OPEN: Final = Script("open_by_draw.lua")
# What is kept of those who are gone, in this order: that they are, why, and who may come back.
KINDS: Final = ("gone", "expired", "limbo")
_NOT_DUE: Final = 0
_DRAWN: Final = 2


@dataclass(frozen=True, slots=True)
class Frozen:
    """Which arrivals are drawn; by lane."""

    is_due: bool  # else there is no draw, or it is not time
    is_drawn: bool
    lanes: tuple[LaneDraw, ...]


@dataclass(frozen=True, slots=True)
class Marked:
    """Who is gone, in segments by lane and kind, as of one version of the room."""

    version: int
    marks: Mapping[tuple[int, str], Marks]


def freeze_draw(room_id: str, *, now_ms: int = 0) -> Call[Frozen]:
    """Fix who is drawn, once the opening has come; a repeat answers what was fixed."""
    return Call(_FREEZE, room_id, (now_ms,), _read_frozen)


def read_marks(room_id: str, lanes: Sequence[LaneDraw], *, now_ms: int = 0) -> Call[Marked]:
    """Read who is gone among those who are drawn, and whoever shares their segments."""
    arguments = [now_ms]
    for lane, drawn in enumerate(lanes):
        if drawn.count:
            arguments += (lane, drawn.first, drawn.count)
    return Call(_READ, room_id, tuple(arguments), _read_marked)


def open_drawn(room_id: str, draw: Draw, moved: Marked, *, now_ms: int = 0) -> Call[bool]:
    """Open a room by its draw; False when marks changed since they were read: move those too."""
    arguments: list[str | bytes | int | float] = [now_ms, moved.version, draw.secret.hex()]
    for drawn, table in zip(draw.lanes, draw.tables(), strict=True):
        arguments += (drawn.first, drawn.count, table)
    for lane in LANES:
        by_kind = [moved.marks.get((lane, kind), {}) for kind in KINDS]
        for segment in sorted({segment for marks in by_kind for segment in marks}):
            arguments += (lane, segment, *(marks.get(segment, b"") for marks in by_kind))
    return Call(_OPEN, room_id, tuple(arguments), lambda answer: bool(answer[0]))


def _read_frozen(answer: Any) -> Frozen:
    state, _, *spans = answer
    lanes = tuple(LaneDraw(*spans[each : each + 2]) for each in range(0, len(spans), 2))
    return Frozen(is_due=state != _NOT_DUE, is_drawn=state == _DRAWN, lanes=lanes)


def _read_marked(answer: Any) -> Marked:
    _, version, *parts = answer
    marks: dict[tuple[int, str], dict[int, bytes]] = {}
    for each in range(0, len(parts), 2 + len(KINDS)):
        lane, segment, *bitmaps = parts[each : each + 2 + len(KINDS)]
        for kind, bits in zip(KINDS, bitmaps, strict=True):
            marks.setdefault((lane, kind), {})[segment] = bits
    return Marked(version, marks)
