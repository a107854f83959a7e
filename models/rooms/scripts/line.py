"""Calls about places in the line."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from models.rooms.rules import Arrival, Entry, Joined, Left, Place, Standing, State
from models.rooms.scripts.calls import (
    AFTER_RESTART,
    DRAWN_NUMBERS,
    IDENTITY_BUCKETS,
    SESSION_END,
    Call,
    Script,
)

_JOIN: Final = Script("join_line.lua", (AFTER_RESTART, DRAWN_NUMBERS, IDENTITY_BUCKETS))
_BEAT: Final = Script("note_beats.lua", (DRAWN_NUMBERS,))
_FADE: Final = Script("fade_beats.lua", (DRAWN_NUMBERS,))
_LEAVE: Final = Script("leave_room.lua", (DRAWN_NUMBERS, SESSION_END))
_LOCATE: Final = Script("locate_place.lua", (DRAWN_NUMBERS,))
_ENTRIES: Final = {
    1: Entry.JOINED,
    0: Entry.KNOWN,
    -1: Entry.FULL,
    -2: Entry.MAINTENANCE,
    -3: Entry.CLOSED,
}
_LEFT: Final = {0: Left.NOTHING, 1: Left.LINE, 2: Left.SLOT, 3: Left.SESSION}
_STATES: Final = {
    1: State.WAITING,
    2: State.ADMITTED,
    0: State.GONE,
    -1: State.EXPIRED,
    -2: State.UNKNOWN,
}


def join(room_id: str, arrivals: Sequence[Arrival], *, now_ms: int = 0) -> Call[list[Joined]]:
    """Take visitors into the line in this order; each answer is that of the arrival at its index.

    Who is here keeps the place (KNOWN); after expiry, leaving or a session there is a new one. A
    visitor who joined counts as heard of.
    """
    arguments: list[str | bytes | int | float] = [now_ms]
    for arrival in arrivals:
        arguments += (arrival.lane, arrival.digest)
    return Call(_JOIN, room_id, tuple(arguments), _read_joined)


def beat(room_id: str, places: Iterable[Place], *, now_ms: int = 0) -> Call[int]:
    """Note that visitors were heard of; answers when, Unix ms."""
    arguments = [now_ms]
    for place in places:
        arguments += (place.lane, place.number)
    return Call(_BEAT, room_id, tuple(arguments), int)


def fade(room_id: str, place: Place, *, within_ms: int, now_ms: int = 0) -> Call[int]:
    """Take a visitor for gone `within_ms` from now unless heard of; never later than without."""
    return Call(_FADE, room_id, (now_ms, place.lane, place.number, within_ms), int)


def leave(room_id: str, place: Place, *, now_ms: int = 0) -> Call[Left]:
    """Take a visitor out of wherever the visitor is; a repeat finds NOTHING."""
    arguments = (now_ms, place.lane, place.number)
    return Call(_LEAVE, room_id, arguments, lambda answer: _LEFT[answer[0]])


def locate(room_id: str, place: Place, *, now_ms: int = 0) -> Call[Standing]:
    """Say exactly where a place stands, and change nothing."""
    return Call(_LOCATE, room_id, (now_ms, place.lane, place.number, 0), _read_standing)


def present(room_id: str, place: Place, *, now_ms: int = 0) -> Call[Standing]:
    """Say exactly where a place stands; one that the store lost is given back, in its order.

    Only for a place that a signed token proves.
    """
    return Call(_LOCATE, room_id, (now_ms, place.lane, place.number, 1), _read_standing)


def _read_joined(answer: Any) -> list[Joined]:
    at_ms, length = answer[:2]
    joined = []
    for index in range(2, len(answer), 4):
        outcome, lane, number, position = answer[index : index + 4]
        place = Place(lane, number) if outcome >= 0 else None
        joined.append(Joined(_ENTRIES[outcome], place, position, length, at_ms))
    return joined


def _read_standing(answer: Any) -> Standing:
    state, position, length, at_ms = answer
    return Standing(_STATES[state], position, length, at_ms)
