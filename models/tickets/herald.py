"""Brings what happened from the database into the stream that displays are fed from, in order.

Events are kept with their change. After the commit they are appended at once; what failed, because
Redis or this process went away, is found by its number and appended from the database. So no call
is lost, none comes twice, and none overtakes another of its branch.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import redis
import redis.asyncio
import structlog
from sqlalchemy import Connection, Row

from models.database import Database
from models.errors import UnavailableError
from models.events import Event, encode_entry
from models.redis import RedisAwayError
from models.tickets import scripts
from models.tickets.rules import Branch
from models.tickets.scripts import Append
from models.tickets.statements import halls, news
from models.tickets.turnstile import Entry

_decode: Final = msgspec.json.Decoder(list[tuple[str, dict[str, Any]]]).decode
_log: Final = structlog.get_logger(__name__)

_RETRY_S: Final = 0.5
_ROWS_AT_ONCE: Final = 500
# A stream that knows nothing of a branch gets what is this young: who listens to it is new too.
_YOUNG_MS: Final = 60_000
# Kept so long after it is in the stream: a Redis that forgot its last second gets it again.
_KEPT_MS: Final = 600_000


class Herald:
    """Appends what this process did, as soon as it is on disk."""

    def __init__(
        self,
        database: Database,
        client: redis.asyncio.Redis,
        *,
        kept_max: int,
        clock: Callable[[], int],
    ) -> None:
        self._database: Final = database
        self._client: Final = client
        self._kept_max: Final = kept_max
        self._clock: Final = clock
        self._entries: list[Entry] = []
        self._behind: dict[str, Branch] = {}
        self._has_news: Final = asyncio.Event()

    def tell(self, entry: Entry) -> None:
        """Take what a transaction did; never waits."""
        self._entries.append(entry)
        self._has_news.set()

    async def run(self) -> None:
        """Append what comes, until cancelled."""
        while True:
            await self._has_news.wait()
            self._has_news.clear()
            while self._entries or self._behind:
                try:
                    await self.flush()
                except (*RedisAwayError, UnavailableError) as error:
                    _log.warning("ticket_news_kept_back", reason=str(error))
                    await asyncio.sleep(_RETRY_S)

    async def flush(self) -> None:
        """Append everything that is at hand; raises when a store is away, and then keeps it."""
        entries, self._entries = self._entries, []
        self._behind |= {each.branch.key: each.branch for each in entries}
        appends = [_append_of_entry(each) for each in entries]
        if appends:
            lasts = await scripts.append_async(self._client, appends, kept_max=self._kept_max)
            wanted = {each.branch: each.version for each in appends}
            for each, last in zip(appends, lasts, strict=True):
                if last >= wanted[each.branch]:
                    self._behind.pop(each.branch, None)
        for branch in list(self._behind.values()):
            await self._catch_up(branch)
            self._behind.pop(branch.key, None)

    async def _catch_up(self, branch: Branch) -> None:
        """Append from the database what another process did before and did not append yet."""
        probe = Append(branch=branch.key, version=0, fields={})
        [last] = await scripts.append_async(self._client, [probe], kept_max=self._kept_max)
        while True:
            rows = await self._database.read(
                lambda connection, last=last: _rows_behind(  # type: ignore[misc]
                    connection, branch.id, last, now_ms=self._clock()
                )
            )
            if not rows:
                return
            appends = _appends(branch.key, rows)
            [*_, last] = await scripts.append_async(self._client, appends, kept_max=self._kept_max)


def sweep(database: Database, client: redis.Redis, *, kept_max: int, now_ms: int) -> int:
    """Append what is missing in the stream and forget what is old; returns how many changes.

    For a job: finds what processes left behind that ended, and what a Redis lost. Raises
    UnavailableError or what redis-py raises.
    """
    # In this order, so that what others do meanwhile is not taken for a database of before.
    known = scripts.versions(client)
    there = database.look(halls.branches)
    appended = 0
    for branch in there:
        last = known.get(branch.key, 0)
        if last > branch.version:
            scripts.forget_version(client, branch.key)
            last = 0
        while last < branch.version:
            seen = last
            rows = database.look(
                lambda connection, of=branch.id, seen=seen: _rows_behind(  # type: ignore[misc]
                    connection, of, seen, now_ms=now_ms
                )
            )
            if not rows:
                # Too old to be told: the stream goes on from here.
                version = branch.version
                skip = Append(branch=branch.key, version=version, fields={}, is_forced=True)
                [last] = scripts.append(client, [skip], kept_max=kept_max)
                break
            [*_, last] = scripts.append(client, _appends(branch.key, rows), kept_max=kept_max)
            appended += len(rows)
        with database.begin() as connection:
            news.forget(connection, branch.id, seen=last, before_ms=now_ms - _KEPT_MS)
    return appended


def _rows_behind(
    connection: Connection, branch_id: int, last: int, *, now_ms: int
) -> Sequence[Row[Any]]:
    since_ms = 0 if last else now_ms - _YOUNG_MS
    return news.behind(connection, branch_id, seen=last, since_ms=since_ms, count=_ROWS_AT_ONCE)


def _append_of_entry(entry: Entry) -> Append:
    fields = encode_entry(entry.events, at_ms=entry.at_ms) if entry.events else {}
    return Append(branch=entry.branch.key, version=entry.version, fields=fields)


def _appends(branch: str, rows: Sequence[Row[Any]]) -> list[Append]:
    """Return rows of the database as appends; a gap before the first one is there for good."""
    return [
        Append(
            branch=branch,
            version=row.version,
            fields=_fields(row),
            is_forced=place == 0,
        )
        for place, row in enumerate(rows)
    ]


def _fields(row: Row[Any]) -> dict[Any, Any]:
    events = [Event(name, data) for name, data in _decode(row.events)]
    return encode_entry(events, at_ms=row.at_ms) if events else {}
