"""Copies of the lines of the rooms that a process is asked about, kept fresh in one trip for all.

A status costs Redis nothing: it is read from here, exact as of the last refresh. While nobody else
ticks a room, whoever keeps a copy of it does, so that admission goes on without workers.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from typing import Final

import redis.asyncio
import structlog

from models.errors import UnavailableError
from models.redis import RedisAwayError
from models.rooms import scripts
from models.rooms.line_copy import LineCopy
from models.rooms.rules import Reaped, RoomLostError, Snapshot, Ticked

_log: Final = structlog.get_logger(__name__)

REFRESH_EVERY_S: Final = 0.2
# Who is polled by somebody is asked about more often than this.
_UNUSED_S: Final = 60.0
# Beat ticks four times a second; after two missing ones the processes that serve do it themselves.
_UNTICKED_MS: Final = 500
_AWAY_PAUSE_S: Final = 1.0

Watcher = Callable[[Collection[str]], None]
# Told of what this process's own ticks did: (room id, what was admitted, who was taken out).
TickListener = Callable[[str, Ticked | None, Reaped | None], None]


class Replica:
    """The copies of one process; `run` keeps them fresh, and each question keeps one in use."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        *,
        refresh_every_s: float = REFRESH_EVERY_S,
        ticks: bool = True,
        on_tick: TickListener | None = None,
    ) -> None:
        """With `ticks` false this process never ticks a room itself."""
        self._client: Final = client
        self._refresh_every_s: Final = refresh_every_s
        self._ticks: Final = ticks
        self._on_tick: Final = on_tick
        self._copies: Final[dict[str, LineCopy]] = {}
        self._asked_at_s: Final[dict[str, float]] = {}
        self._watchers: Final[list[Watcher]] = []
        self._refreshes: Final[dict[str, _Refresh]] = {}
        self._is_away = False
        # One trip at a time: an answer that is overtaken by a newer one would undo it.
        self._turn: Final = asyncio.Lock()

    @property
    def is_away(self) -> bool:
        """Say whether Redis did not answer the last time: copies are as they were."""
        return self._is_away

    def watch(self, watcher: Watcher) -> None:
        """Have somebody called in the loop, after each time, with the rooms that were refreshed."""
        self._watchers.append(watcher)

    def known(self, room_id: str) -> LineCopy | None:
        """Return the copy of a room as it is, None when there is none; keeps it in use."""
        copy = self._copies.get(room_id)
        if copy is not None:
            self._asked_at_s[room_id] = time.monotonic()
        return copy

    def peek(self, room_id: str) -> LineCopy | None:
        """Return the copy of a room, if there is one, without keeping it in use."""
        return self._copies.get(room_id)

    async def find(self, room_id: str) -> LineCopy:
        """Return the copy of a room, made now if there is none.

        Raises RoomLostError when Redis does not know the room, UnavailableError when it is away.
        """
        return self.known(room_id) or await self.refresh(room_id)

    async def refresh(self, room_id: str) -> LineCopy:
        """Return a copy that has seen all that was done before this call; raises as `find`.

        Calls that come together share a trip.
        """
        self._asked_at_s[room_id] = time.monotonic()
        refresh = self._refreshes.get(room_id)
        if refresh is None or refresh.has_begun:
            refresh = self._refreshes[room_id] = _Refresh(refresh)
            refresh.task = asyncio.create_task(self._refresh_one(room_id, refresh))
        assert refresh.task
        await asyncio.shield(refresh.task)
        return self._copies[room_id]

    def drop(self, room_id: str) -> None:
        """Forget a room that was deleted."""
        self._copies.pop(room_id, None)
        self._asked_at_s.pop(room_id, None)

    async def run(self) -> None:
        """Keep the copies fresh, and rooms that nobody ticks ticked, until cancelled."""
        while True:
            began_s = time.monotonic()
            try:
                await self.refresh_all()
            except RedisAwayError as error:
                self._note_away(error)
                await asyncio.sleep(_AWAY_PAUSE_S)
            await asyncio.sleep(max(self._refresh_every_s - (time.monotonic() - began_s), 0.01))

    async def refresh_all(self) -> None:
        """Bring all copies up to date in one trip, drop those nobody asked about."""
        oldest_s = time.monotonic() - _UNUSED_S
        for room_id in [each for each, at_s in self._asked_at_s.items() if at_s < oldest_s]:
            self.drop(room_id)
        room_ids = list(self._copies)
        refreshed = await self._fetch(room_ids)
        if self._ticks:
            unticked = [each for each in refreshed if self._needs_tick(each)]
            if unticked:
                await self._tick(unticked)
                await self._fetch(unticked)
        for watcher in self._watchers:
            watcher(refreshed)

    async def _refresh_one(self, room_id: str, refresh: "_Refresh") -> None:
        if refresh.before and refresh.before.task:
            await asyncio.wait([refresh.before.task])
            refresh.before = None
        refresh.has_begun = True
        try:
            if not await self._fetch([room_id]):
                raise RoomLostError(room_id)
        except RedisAwayError as error:
            self._note_away(error)
            raise UnavailableError("redis", str(error) or type(error).__name__) from error
        finally:
            if self._refreshes.get(room_id) is refresh:
                del self._refreshes[room_id]
        for watcher in self._watchers:
            watcher([room_id])

    async def _fetch(self, room_ids: Sequence[str]) -> list[str]:
        """Bring rooms up to date; return those that Redis knows."""
        async with self._turn:
            taken = await self._take(room_ids)
            for room_id, snapshots in taken.items():
                self._apply(room_id, snapshots)
        self._is_away = False
        return list(taken)

    async def _take(self, room_ids: Sequence[str]) -> dict[str, list[Snapshot]]:
        taken: dict[str, list[Snapshot]] = {each: [] for each in room_ids}
        wanted = list(room_ids)
        while wanted:
            calls = [self._call(each, taken[each]) for each in wanted]
            answers = await scripts.run_all_async(self._client, calls)
            more = []
            for room_id, answer in zip(wanted, answers, strict=True):
                if isinstance(answer, RoomLostError):
                    self._copies.pop(room_id, None)
                    del taken[room_id]
                    continue
                if taken[room_id] and taken[room_id][-1].line.epoch != answer.line.epoch:
                    taken[room_id].clear()
                taken[room_id].append(answer)
                if not answer.is_all:
                    more.append(room_id)
            wanted = more
        return taken

    def _call(self, room_id: str, taken: list[Snapshot]) -> scripts.Call[Snapshot]:
        if taken:
            last = taken[-1]
            return scripts.snapshot(room_id, epoch=last.line.epoch, version=last.version)
        if copy := self._copies.get(room_id):
            return scripts.snapshot(room_id, epoch=copy.line.epoch, version=copy.version)
        return scripts.snapshot(room_id)

    def _apply(self, room_id: str, snapshots: list[Snapshot]) -> None:
        copy = self._copies.get(room_id)
        if copy is None:
            copy = self._copies[room_id] = LineCopy(snapshots[0])
        copy.update(snapshots)

    def _needs_tick(self, room_id: str) -> bool:
        line = self._copies[room_id].line
        return line.at_ms - line.ticked_at_ms > _UNTICKED_MS

    async def _tick(self, room_ids: Sequence[str]) -> None:
        ticks = await scripts.run_all_async(self._client, [scripts.tick(each) for each in room_ids])
        reaps = await scripts.run_all_async(self._client, [scripts.reap(each) for each in room_ids])
        if recovered := [
            room_id
            for room_id, ticked in zip(room_ids, ticks, strict=True)
            if not isinstance(ticked, RoomLostError) and ticked.was_restarted
        ]:
            _log.warning("rooms_recovered", rooms=recovered)
        if self._on_tick is None:
            return
        for room_id, ticked, reaped in zip(room_ids, ticks, reaps, strict=True):
            self._on_tick(
                room_id,
                None if isinstance(ticked, RoomLostError) else ticked,
                None if isinstance(reaped, RoomLostError) else reaped,
            )

    def _note_away(self, error: Exception) -> None:
        if not self._is_away:
            _log.warning("rooms_not_refreshed", reason=str(error) or type(error).__name__)
        self._is_away = True


class _Refresh:
    """A refresh that is under way or about to be; `before` is the one it waits for."""

    def __init__(self, before: "_Refresh | None") -> None:
        self.before = before
        self.has_begun = False
        self.task: asyncio.Task[None] | None = None
