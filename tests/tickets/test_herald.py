"""News of a branch reach the stream once, in order, whatever was away when they happened."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis
import redis.asyncio

from models.database import Database
from models.events import decode_entry, stream_key
from models.redis import connect_async
from models.tickets import jobs
from models.tickets.facts import DOMAIN
from models.tickets.herald import Herald
from models.tickets.rules import NewTicket
from models.tickets.scripts import Append, append
from models.tickets.service import TicketService
from models.tickets.turnstile import Turnstile
from tests.servers import RedisServer
from tests.tickets.conftest import House

KEPT_MAX = 1_000


class Displays:
    """A Redis and what is in its stream."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client

    def numbers(self) -> list[tuple[str, int]]:
        """Return what the stream says of tickets: the event and the number, in order."""
        return [
            (str(event["event"]), int(event["ticket"]["number"]))
            for event in self.events()
            if "ticket" in event
        ]

    def events(self) -> list[dict[str, Any]]:
        entries: Any = self.client.xrange(stream_key(DOMAIN))
        return [dict(event.data) for _, fields in entries for event in decode_entry(fields)]

    def sweep(self, house: House) -> int:
        return jobs.sweep(house.database, self.client, kept_max=KEPT_MAX, now_ms=house.now_ms)


@pytest.fixture
def displays(redis_client: redis.Redis) -> Displays:
    return Displays(redis_client)


@pytest.fixture
async def client(
    redis_client: redis.Redis, redis_server: RedisServer
) -> AsyncIterator[redis.asyncio.Redis]:
    assert redis_client.dbsize() == 0
    async with connect_async(redis_server.url) as made:
        yield made


def herald_of(house: House, client: redis.asyncio.Redis) -> Herald:
    return Herald(house.database, client, kept_max=KEPT_MAX, clock=lambda: house.now_ms)


def process_of(house: House, herald: Herald) -> TicketService:
    """Return the service of one more process, whose news a herald gets."""
    return TicketService(house.database, Turnstile(house.database, tell=herald.tell))


async def test_what_happens_is_told_at_once(
    house: House, client: redis.asyncio.Redis, displays: Displays
) -> None:
    herald = herald_of(house, client)
    counter = await house.counter()
    await house.take(counter.id)
    await house.next(counter.id)

    for entry in house.told:
        herald.tell(entry)
    await herald.flush()

    assert displays.numbers() == [
        ("ticket-created", 101),
        ("ticket-updated", 101),
        ("queue-announcement", 101),
    ]
    assert displays.sweep(house) == 0


async def test_another_process_s_news_are_not_overtaken(
    house: House, client: redis.asyncio.Redis, displays: Displays
) -> None:
    counter = await house.counter()
    slow, quick = herald_of(house, client), herald_of(house, client)
    await process_of(house, slow).issue(_new(counter.id), now_ms=house.now_ms)
    await process_of(house, quick).issue(_new(counter.id), now_ms=house.now_ms)

    await quick.flush()
    await slow.flush()

    assert displays.numbers() == [("ticket-created", 101), ("ticket-created", 102)]


async def test_a_sweep_tells_what_a_killed_process_left(house: House, displays: Displays) -> None:
    counter = await house.counter()
    await house.take(counter.id)
    await house.next(counter.id)

    swept = [displays.sweep(house) for _ in range(2)]

    assert swept == [3, 0]
    assert [name for name, _ in displays.numbers()] == [
        *("ticket-created", "ticket-updated", "queue-announcement")
    ]


async def test_what_redis_forgot_is_told_again(
    house: House, client: redis.asyncio.Redis, displays: Displays
) -> None:
    counter = await house.counter()
    herald = herald_of(house, client)
    service = process_of(house, herald)
    displays.sweep(house)
    remembered = displays.client.dump(f"{stream_key(DOMAIN)}:versions")
    await service.issue(_new(counter.id), now_ms=house.now_ms)
    await herald.flush()
    assert displays.numbers() == [("ticket-created", 101)]

    # As a crash of Redis does to its last second.
    displays.client.delete(stream_key(DOMAIN))
    displays.client.restore(f"{stream_key(DOMAIN)}:versions", 0, remembered, replace=True)
    await service.issue(_new(counter.id), now_ms=house.now_ms)
    await herald.flush()

    assert displays.numbers() == [("ticket-created", 101), ("ticket-created", 102)]


async def test_an_empty_redis_is_not_told_of_long_ago(
    house: House, client: redis.asyncio.Redis, displays: Displays
) -> None:
    counter = await house.counter()
    await house.take(counter.id)
    house.move_clock(5)
    herald = herald_of(house, client)
    await process_of(house, herald).issue(_new(counter.id), now_ms=house.now_ms)

    await herald.flush()

    assert displays.numbers() == [("ticket-created", 102)]
    assert displays.sweep(house) == 0


async def test_a_database_from_a_backup_is_told_on(house: House, displays: Displays) -> None:
    counter = await house.counter()
    displays.sweep(house)
    [branch] = await house.hall.branches()
    future = Append(branch=branch.key, version=99, fields={}, is_forced=True)
    append(displays.client, [future], kept_max=KEPT_MAX)

    await house.take(counter.id)
    displays.sweep(house)

    assert displays.numbers() == [("ticket-created", 101)]


async def test_news_are_kept_while_redis_is_away(
    house: House, redis_client: redis.Redis, redis_server: RedisServer, database: Database
) -> None:
    assert database is house.database
    counter = await house.counter()
    async with connect_async(f"{redis_server.url.partition('?')[0]}.gone") as nowhere:
        away = herald_of(house, nowhere)
        await process_of(house, away).issue(_new(counter.id), now_ms=house.now_ms)
        with pytest.raises(redis.ConnectionError):
            await away.flush()

    displays = Displays(redis_client)
    displays.sweep(house)

    assert displays.numbers() == [("ticket-created", 101)]


async def test_old_news_are_forgotten_once_they_were_told(house: House, displays: Displays) -> None:
    counter = await house.counter()
    await house.take(counter.id)
    house.move_clock(60)
    displays.sweep(house)

    displays.client.flushall()
    house.move_clock(-59.9)  # even if they were young
    displays.sweep(house)

    assert displays.events() == []


def _new(counter_id: int) -> NewTicket:
    return NewTicket(counter_id=counter_id)
