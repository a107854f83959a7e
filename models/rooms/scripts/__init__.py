"""Every word said to Redis about rooms: each function makes a call, which `run` and its kin send.

`now_ms` 0 is the clock of Redis, which all processes share; only tests pass another.
"""

from models.rooms.scripts.admission import configure, forget, reap, recover, tick
from models.rooms.scripts.calls import (
    Call,
    Script,
    room_key,
    run,
    run_all,
    run_all_async,
    run_async,
)
from models.rooms.scripts.codes import spend_code
from models.rooms.scripts.copies import snapshot
from models.rooms.scripts.draws import freeze_draw, open_drawn, read_marks
from models.rooms.scripts.index import delist, enlist, list_rooms, list_rooms_async
from models.rooms.scripts.line import beat, fade, join, leave, locate, present
from models.rooms.scripts.sessions import (
    claim,
    end_session,
    find_session,
    read_session,
    restore_session,
    sessions,
    touch_session,
)

__all__ = [
    "Call",
    "Script",
    "beat",
    "claim",
    "configure",
    "delist",
    "end_session",
    "enlist",
    "fade",
    "find_session",
    "forget",
    "freeze_draw",
    "join",
    "leave",
    "list_rooms",
    "list_rooms_async",
    "locate",
    "open_drawn",
    "present",
    "read_marks",
    "read_session",
    "reap",
    "recover",
    "restore_session",
    "room_key",
    "run",
    "run_all",
    "run_all_async",
    "run_async",
    "sessions",
    "snapshot",
    "spend_code",
    "tick",
    "touch_session",
]
