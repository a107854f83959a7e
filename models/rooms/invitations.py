"""Codes within a request: made for an admin."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from models import audit
from models.audit import Actor, Change
from models.database import Database
from models.rooms import codes
from models.rooms.codes import Code
from models.rooms.registry import Registry

COUNT_MAX: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Which codes somebody wants."""

    priority: int | None  # None: an invitation alone
    uses_max: int
    life_ms: int
    count: int


class Invitations:
    """Makes codes; nothing is stored of one, but who made how many is in the audit log."""

    def __init__(self, database: Database, registry: Registry) -> None:
        self._database: Final = database
        self._registry: Final = registry

    async def make(
        self, room_id: str, wish: Wish, actor: Actor, *, now_ms: int
    ) -> Sequence[tuple[str, Code]]:
        """Return new codes of a room with what they give.

        They are good for the wanted time, up to a minute less. Raises RoomNotFoundError, and
        InvalidError for what no code can be.
        """
        room = await self._registry.find(room_id)
        made = [
            Code(
                serial=secrets.token_bytes(codes.SERIAL_BYTES),
                priority=wish.priority,
                uses_max=wish.uses_max,
                expires_at_ms=codes.whole_minute(now_ms + wish.life_ms),
            )
            for _ in range(wish.count)
        ]
        written = [(codes.issue(room.secret, code), code) for code in made]
        details = {
            "count": wish.count,
            "priority": wish.priority,
            "uses": wish.uses_max,
            "life_ms": wish.life_ms,
        }
        change = Change(action="room_codes_made", target=room_id, details=details)
        await self._database.run(
            lambda connection: audit.add(connection, actor, change, now_ms=now_ms)
        )
        return written
