"""Calls about codes: how often one was used."""

from typing import Final

from models.rooms.codes import UNLIMITED, Code
from models.rooms.scripts.calls import Call, Script

_SPEND: Final = Script("count_code_use.lua")


def spend_code(room_id: str, code: Code, *, now_ms: int = 0) -> Call[bool]:
    """Count a place that a code gave; False when all that it was good for were given.

    Only for a code with a limit.
    """
    assert code.uses_max != UNLIMITED, "nobody counts uses without a limit"
    arguments = (now_ms, code.serial.hex(), code.uses_max)
    return Call(_SPEND, room_id, arguments, lambda answer: bool(answer[0]))
