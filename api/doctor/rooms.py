"""Checks of rooms: what is risky in how they are set up."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from api.doctor.findings import Finding, ok, warn
from models import migrate
from models.database import Database
from models.rooms.registry import read_rooms
from models.rooms.room import FailMode, Room
from models.rooms.rules import RoomStatus
from models.settings import Settings

_NAMED_MAX: Final = 5


def check_rooms(settings: Settings, _environ: Mapping[str, str]) -> Iterator[Finding]:
    """Name rooms with a risk: visitors get ahead by their word, all come in, or nobody does."""
    if migrate.current(settings.database_url) != migrate.head():
        return  # as another check says
    database = Database(
        settings.database_url, connections_max=1, timeout_s=settings.database_timeout_s
    )
    try:
        rooms = [room for room in read_rooms(database) if room.status is not RoomStatus.CLOSED]
    finally:
        database.close()
    boastful = [room for room in rooms if room.public_priority_max > 0 and not room.invite_only]
    if boastful:
        told = f"{_names(boastful)}: visitors say themselves which priority they have"
        advice = "set public_priority_max to 0 and hand out codes: `stanchion rooms code`"
        yield warn("rooms", told, advice)
    opening = [room for room in rooms if room.fail_mode is FailMode.OPEN]
    if opening:
        told = f"{_names(opening)}: open to everybody while the store is away"
        yield warn("rooms", told, "that is what fail_mode open means")
    shut = [room for room in rooms if room.status is RoomStatus.ACTIVE and _lets_nobody_in(room)]
    if shut:
        told = f"{_names(shut)}: active, and nobody is ever let in: a limit is 0"
        yield warn("rooms", told, "set max_active_users and admission_rate, or pause the room")
    if not boastful and not opening and not shut:
        yield ok("rooms", f"{len(rooms)} take visitors")


def _lets_nobody_in(room: Room) -> bool:
    return room.capacity == 0 or room.rate_per_s == 0


def _names(rooms: Sequence[Room]) -> str:
    names = ", ".join(room.id for room in rooms[:_NAMED_MAX])
    more = len(rooms) - _NAMED_MAX
    return f"{names} and {more} more" if more > 0 else names
