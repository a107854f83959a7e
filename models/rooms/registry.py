"""What a process knows of the rooms: all of them, in memory, a second old at most."""

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import structlog

from models.database import Database
from models.errors import UnavailableError
from models.rooms.room import Room, RoomNotFoundError
from models.rooms.statements import rooms as statements

_log: Final = structlog.get_logger(__name__)

READ_EVERY_S: Final = 1.0
# An id that nobody knows may be new; but made-up ids shall not make us ask each time.
_ASKED_AGAIN_AFTER_S: Final = 0.1


def read_rooms(database: Database) -> list[Room]:
    """Return all rooms by id; blocks, for who has no event loop."""
    rooms = database.look(partial(statements.read_all, known={}))
    return [rooms[room_id] for room_id in sorted(rooms)]


class Registry:
    """The rooms as this process read them last; with the database away they stay as they were."""

    def __init__(self, database: Database) -> None:
        self._database: Final = database
        self._rooms: dict[str, Room] = {}
        self._is_known = False
        self._read_at_s = float("-inf")
        self._generation = 0  # grows with what this process changed itself
        self._lock: Final = asyncio.Lock()
        self._next_read: asyncio.Task[None] | None = None
        self._watchers: Final[list[Callable[[Mapping[str, Room]], None]]] = []

    @property
    def rooms(self) -> Mapping[str, Room]:
        """Return all rooms by id, as last read; a new mapping with each change."""
        return self._rooms

    def known(self, room_id: str) -> Room | None:
        """Return a room as far as it is remembered: for paths that wait for nothing."""
        return self._rooms.get(room_id)

    async def find(self, room_id: str) -> Room:
        """Return a room; one that is not remembered may be new, so ask again.

        A room that was made before this is called is found. Raises RoomNotFoundError, or
        UnavailableError while no room was ever read.
        """
        room = self._rooms.get(room_id)
        if room is not None:
            return room
        if self._next_read is None:
            self._next_read = asyncio.create_task(self._read_soon())
        await asyncio.shield(self._next_read)
        room = self._rooms.get(room_id)
        if room is None:
            if not self._is_known:
                raise UnavailableError("database", "the rooms cannot be read")
            raise RoomNotFoundError(room_id)
        return room

    def watch(self, watcher: Callable[[Mapping[str, Room]], None]) -> None:
        """Have somebody told of all rooms, in the event loop, whenever any of them changed."""
        self._watchers.append(watcher)

    def put(self, room: Room) -> None:
        """Remember a room that this process has just stored."""
        self._generation += 1
        self._set(self._rooms | {room.id: room})

    def drop(self, room_id: str) -> None:
        """Forget a room that this process has just deleted."""
        self._generation += 1
        self._set({each: room for each, room in self._rooms.items() if each != room_id})

    async def refresh(self) -> None:
        """Read what changed; never raises, with the database away what is remembered stays."""
        async with self._lock:
            try:
                await self._read()
            except UnavailableError as error:
                _log.warning("rooms_not_read", reason=str(error))
            self._read_at_s = time.monotonic()

    async def run(self) -> None:
        """Keep what is remembered fresh, until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(READ_EVERY_S)

    async def _read(self) -> None:
        # What this process changed meanwhile may be newer than what was read: read again.
        generation = -1
        while generation != self._generation:
            generation, known = self._generation, self._rooms
            rooms = await self._database.read(partial(statements.read_all, known=known))
        self._is_known = True
        self._set(rooms)

    def _set(self, rooms: dict[str, Room]) -> None:
        if rooms == self._rooms:
            return
        self._rooms = rooms
        for watcher in self._watchers:
            watcher(rooms)

    async def _read_soon(self) -> None:
        """Read for all who wait for it, and not too often."""
        await asyncio.sleep(self._read_at_s + _ASKED_AGAIN_AFTER_S - time.monotonic())
        # Who comes from here on may ask for a room that this reading does not see yet.
        self._next_read = None
        await self.refresh()
