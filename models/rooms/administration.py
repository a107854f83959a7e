"""What an admin does with rooms; each change is audited with it, then copied to Redis and told."""

import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from models import audit
from models.audit import Actor, Change
from models.database import Database
from models.errors import InvalidError
from models.events import Publisher
from models.rooms import facts
from models.rooms.mirror import Mirror
from models.rooms.registry import Registry
from models.rooms.room import (
    SECRET_BYTES,
    Room,
    RoomExistsError,
    RoomNotFoundError,
    TooManyRoomsError,
    check,
)
from models.rooms.statements import rooms as statements
from models.rooms.statements import samples

# How the log of changes calls it that a room was deleted.
DELETED: Final = "room_deleted"


class Administration:
    """The rooms of one database. What a method changed is on disk when it returns.

    With Redis away a change is stored all the same, and reaches the room once Redis is back.
    """

    def __init__(
        self,
        database: Database,
        registry: Registry,
        mirror: Mirror,
        publisher: Publisher,
        *,
        rooms_max: int,
    ) -> None:
        self._database: Final = database
        self._registry: Final = registry
        self._mirror: Final = mirror
        self._publisher: Final = publisher
        self._rooms_max: Final = rooms_max

    async def page(self, *, after: str, count: int) -> list[Room]:
        """Return up to `count` rooms by id, those behind `after`."""
        return await self._database.read(
            lambda connection: statements.page(connection, after=after, count=count)
        )

    async def get(self, room_id: str) -> Room:
        """Return one room; raises RoomNotFoundError."""
        return await self._database.read(lambda connection: _read(connection, room_id))

    async def create(self, room: Room, actor: Actor, *, now_ms: int) -> Room:
        """Make a room as given, with a secret of its own.

        Raises InvalidError, RoomExistsError or TooManyRoomsError.
        """
        check(room)
        made = replace(
            room,
            secret=secrets.token_bytes(SECRET_BYTES),
            created_at_ms=now_ms,
            updated_at_ms=now_ms,
            version=1,
        )

        def write(connection: Connection) -> None:
            if statements.read(connection, made.id) is not None:
                raise RoomExistsError(made.id)
            if statements.count_among_makers(connection) >= self._rooms_max:
                raise TooManyRoomsError(self._rooms_max)
            statements.create(connection, made)
            samples.start(connection, made.id, now_ms=now_ms)
            details = {"status": made.status.value, "target_url": made.target_url}
            _note(connection, actor, "room_created", made.id, details, now_ms=now_ms)

        try:
            await self._database.run(write)
        except IntegrityError:
            raise RoomExistsError(made.id) from None
        # First, so that nobody who knows the room from here finds that Redis does not.
        await self._mirror.write(made, is_new=True)
        self._registry.put(made)
        self._publisher.publish(facts.DOMAIN, [facts.room_created(made)])
        return made

    async def change(
        self, room_id: str, changes: Mapping[str, Any], actor: Actor, *, now_ms: int
    ) -> Room:
        """Set some fields of a room, called as in Room; what is as it was changes nothing.

        Raises InvalidError or RoomNotFoundError.
        """

        def write(connection: Connection) -> tuple[Room, list[str]]:
            was = _read(connection, room_id, lock=True)
            now = replace(was, **changes)
            check(now)
            _check_opening(was, now, now_ms=now_ms)
            changed = [name for name in changes if getattr(was, name) != getattr(now, name)]
            if not changed:
                return was, changed
            now = replace(now, updated_at_ms=now_ms, version=was.version + 1)
            statements.store(connection, now)
            details = {name: _shown(getattr(now, name)) for name in changed}
            _note(connection, actor, "room_changed", room_id, details, now_ms=now_ms)
            return now, changed

        room, changed = await self._database.run(write)
        if changed:
            self._registry.put(room)
            await self._mirror.write(room)
            self._publisher.publish(facts.DOMAIN, facts.room_changed(room, changed))
        return room

    async def delete(self, room_id: str, actor: Actor, *, now_ms: int) -> None:
        """Delete a room, its line, its sessions and its history; raises RoomNotFoundError.

        Tokens of its places and sessions are void, also if a room of this id is made again.
        """

        def write(connection: Connection) -> Room:
            was = _read(connection, room_id, lock=True)
            statements.remove(connection, room_id)
            _note(connection, actor, DELETED, room_id, {}, now_ms=now_ms)
            return was

        was = await self._database.run(write)
        self._registry.drop(room_id)
        await self._mirror.forget(room_id, created_at_ms=was.created_at_ms)
        self._publisher.publish(facts.DOMAIN, [facts.room_deleted(room_id, now_ms=now_ms)])


def _read(connection: Connection, room_id: str, *, lock: bool = False) -> Room:
    found = statements.read(connection, room_id, lock=lock)
    if found is None:
        raise RoomNotFoundError(room_id)
    return found


def _check_opening(was: Room, now: Room, *, now_ms: int) -> None:
    """Raise InvalidError for a draw that changes once the room has opened.

    Then places are drawn, or people wait in the order in which they came: neither is to be mixed.
    """
    is_opened = was.opens_at_ms is not None and was.opens_at_ms <= now_ms
    if not is_opened or not (was.draw or now.draw):
        return
    faults = {
        name: "Expected no change: the room has opened"
        for name in ("opens_at_ms", "draw")
        if getattr(was, name) != getattr(now, name)
    }
    if faults:
        raise InvalidError(faults)


def _shown(value: object) -> object:
    """Return a setting as the log of changes keeps it; the words of a page are too long for it."""
    return value if isinstance(value, bool | int | float | str) or value is None else "changed"


def _note(
    connection: Connection,
    actor: Actor,
    action: str,
    room_id: str,
    details: Mapping[str, object],
    *,
    now_ms: int,
) -> None:
    change = Change(action=action, target=room_id, details=details)
    audit.add(connection, actor, change, now_ms=now_ms)
