"""What is known of a room now, today and before: for whoever asks within a request."""

from typing import Final

import redis.asyncio
from sqlalchemy import Connection

from models.database import Database
from models.errors import InvalidError, UnavailableError
from models.redis import RedisAwayError
from models.rooms import counters
from models.rooms.room import Room, RoomNotFoundError
from models.rooms.statements import rooms, samples
from models.rooms.statistics import (
    MINUTE_MS,
    POINTS_MAX,
    Base,
    Counts,
    Point,
    Reading,
    Stats,
    admitted_since,
    day_of,
    filled,
    minute_of,
    step_for,
    with_look,
)


class Reports:
    """The numbers of rooms: counters of the store, and samples of the database."""

    def __init__(self, database: Database, client: redis.asyncio.Redis) -> None:
        self._database: Final = database
        self._client: Final = client

    async def stats(self, room_id: str, *, now_ms: int) -> tuple[Room, Stats]:
        """Return a room and how it fares; exact, whatever was sampled and when.

        Raises RoomNotFoundError, or UnavailableError while one of the stores is away.
        """

        def read(connection: Connection) -> tuple[Room | None, Base, Counts, int]:
            sampled, peak_today = samples.since(connection, room_id, since_ms=day_of(now_ms))
            base = samples.base(connection, room_id)
            return rooms.read(connection, room_id), base, sampled, peak_today

        # Counters are read after the snapshot, and what is sampled in between is not in it: nothing
        # counts twice.
        room, base, sampled, peak_today = await self._database.read(read)
        if room is None:
            raise RoomNotFoundError(room_id)
        reading = await self._reading(room_id)
        new = reading.counts.since(base.counts)
        looks = with_look(base.looks, now_ms, reading.counts.admitted)
        recent = admitted_since(looks, now_ms - MINUTE_MS)
        highest = reading.peak if reading.peak > base.peak else 0
        return room, Stats(
            waiting=reading.waiting,
            inside=reading.inside,
            today=sampled + new,
            peak=max(base.peak, reading.peak, reading.waiting),
            peak_today=max(peak_today, reading.waiting, highest),
            rate_per_s=recent * 1000 / MINUTE_MS,
        )

    async def readings(self, room_ids: list[str]) -> dict[str, Reading]:
        """Return what is counted of some rooms now; raises UnavailableError."""
        try:
            return await counters.read_async(self._client, room_ids)
        except RedisAwayError as error:
            raise UnavailableError("redis", str(error)) from error

    async def history(
        self, room_id: str, *, since_ms: int, until_ms: int, step_ms: int | None
    ) -> tuple[int, list[Point]]:
        """Return the step in ms, and a point for each step from `since_ms` to `until_ms`.

        Without a step one is chosen that makes some hundred points. The span begins and ends at
        whole steps. Raises InvalidError when it is none or has more than POINTS_MAX steps, and
        RoomNotFoundError.
        """
        if until_ms <= since_ms:
            raise InvalidError({"until": "Expected a moment after since"})
        step = step_ms or step_for(until_ms - since_ms)
        since, until = _whole(since_ms, until_ms, step)
        if (until - since) // step > POINTS_MAX:
            raise InvalidError({"step": f"Expected a step that makes at most {POINTS_MAX} points"})

        def read(connection: Connection) -> dict[int, Point]:
            if rooms.read(connection, room_id) is None:
                raise RoomNotFoundError(room_id)
            return samples.history(
                connection, room_id, since_ms=since, until_ms=until, step_ms=step
            )

        points = await self._database.read(read)
        return step, filled(points, since_ms=since, until_ms=until, step_ms=step)

    async def _reading(self, room_id: str) -> Reading:
        # A room that the store lost, or was not told of yet, has counted nothing.
        return (await self.readings([room_id])).get(room_id, Reading())


def _whole(since_ms: int, until_ms: int, step_ms: int) -> tuple[int, int]:
    since_ms = minute_of(since_ms) // step_ms * step_ms
    return since_ms, -(-until_ms // step_ms) * step_ms
