"""Calls about a room as a whole: its settings, who is let in, who is taken out of the line."""

from typing import Any, Final

from models.rooms.rules import LANES, Grant, LineConfig, Reaped, Ticked
from models.rooms.scripts.calls import AFTER_RESTART, Call, Script

_CONFIGURE: Final = Script("configure_room.lua", (AFTER_RESTART,))
_TICK: Final = Script("tick_room.lua", (AFTER_RESTART,))
_REAP: Final = Script("reap_line.lua")
_RECOVER: Final = Script("recover_room.lua", (AFTER_RESTART,))
_FORGET: Final = Script("forget_room.lua")


def configure(
    room_id: str, line: LineConfig, *, is_new: bool = False, now_ms: int = 0
) -> Call[bool]:
    """Tell a room its settings; makes the room the first time, and then answers True.

    With `is_new` nobody can have joined yet, so its numbers begin at 0. A repeat changes nothing. A
    new time-out begins anew for everybody. Settings hold from the next step on: lowered limits
    admit nobody until there is room below them, and send nobody out.
    """
    arguments = (
        now_ms,
        line.status.value,
        line.rate_per_s,
        line.capacity,
        line.line_max,
        line.claim_ms,
        line.heartbeat_timeout_ms,
        line.opens_at_ms,
        int(line.draw),
        line.created_at_ms,
        int(is_new),
    )
    return Call(_CONFIGURE, room_id, arguments, lambda answer: bool(answer[0]))


def tick(room_id: str, *, now_ms: int = 0) -> Call[Ticked]:
    """Let the next visitors in; any number of ticks, late, doubled or missing, is safe."""
    return Call(_TICK, room_id, (now_ms,), _read_tick)


def reap(room_id: str, *, now_ms: int = 0) -> Call[Reaped]:
    """Take out of the line who was silent for the time-out; once in a bucket it costs something."""
    return Call(_REAP, room_id, (now_ms,), _read_reap)


def recover(room_id: str, *, now_ms: int = 0) -> Call[bool]:
    """Put a room in order after a restart of Redis; say whether there was one.

    `join` and `tick` do it by themselves: no number is given out before it was done.
    """
    return Call(_RECOVER, room_id, (now_ms,), lambda answer: bool(answer[0]))


def forget(room_id: str, *, created_at_ms: int = 0) -> Call[bool]:
    """Delete a room, some thousand keys a call; answers True while there is more to delete.

    One of this name that was made at another time than `created_at_ms` is left alone.
    """
    return Call(_FORGET, room_id, (0, created_at_ms), bool)


def _read_tick(answer: Any) -> Ticked:
    at_ms, admitted, inside, waiting, no_shows, was_restarted, spans, ended = answer
    return Ticked(
        at_ms=at_ms,
        admitted=admitted,
        inside=inside,
        waiting=waiting,
        no_shows=no_shows,
        was_restarted=bool(was_restarted),
        grants=tuple(Grant(*spans[each : each + 4]) for each in range(0, len(spans), 4)),
        ended_session_ids=tuple(each.decode() for each in ended),
    )


def _read_reap(answer: Any) -> Reaped:
    return Reaped(at_ms=answer[0], by_lane=tuple(answer[1 + lane] for lane in LANES))
