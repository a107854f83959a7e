"""Copies of lines in this process, on a real Redis by its own clock."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis
import redis.asyncio

from models.redis import connect_async
from models.rooms import scripts
from models.rooms.replica import Replica
from models.rooms.rules import Arrival, LineConfig, Place, RoomLostError, State
from tests.servers import RedisServer

CONFIG = LineConfig(rate_per_s=0, capacity=100, heartbeat_timeout_ms=60_000)


@pytest.fixture
async def client(
    redis_server: RedisServer, redis_client: redis.Redis
) -> AsyncIterator[redis.asyncio.Redis]:
    """A client of an empty Redis for this loop."""
    assert redis_client is not None
    async with connect_async(redis_server.url) as client:
        yield client


async def make(client: redis.asyncio.Redis, room_id: str = "sale", **changes: float) -> None:
    """Make a room."""
    config = LineConfig(rate_per_s=changes.get("rate_per_s", 0), capacity=100)
    await scripts.run_async(client, scripts.configure(room_id, config))


async def join(client: redis.asyncio.Redis, count: int, lane: int = 0) -> list[Place]:
    """Take some in."""
    joined = await scripts.run_async(client, scripts.join("sale", [Arrival(lane)] * count))
    return [each.place for each in joined if each.place]


async def test_replica_answers_as_the_scripts_do(client: redis.asyncio.Redis) -> None:
    await make(client)
    places = await join(client, 300) + await join(client, 40, lane=2)
    for place in places[::7]:
        await scripts.run_async(client, scripts.leave("sale", place))
    replica = Replica(client)

    copy = await replica.find("sale")

    for place in places[::3]:
        exact = await scripts.run_async(client, scripts.locate("sale", place))
        found = copy.locate(place)
        assert (found.state, found.position) == (exact.state, exact.position)
    assert copy.locate(Place(0, 300)).state is State.UNKNOWN


async def test_refresh_sees_what_was_done_before(client: redis.asyncio.Redis) -> None:
    await make(client)
    replica = Replica(client)
    await replica.find("sale")

    async def join_and_look() -> State:
        [place] = await join(client, 1)
        return (await replica.refresh("sale")).locate(place).state

    states = await asyncio.gather(*[join_and_look() for _ in range(50)])

    assert set(states) == {State.WAITING}


async def test_refreshes_that_come_together_share_a_trip(client: redis.asyncio.Redis) -> None:
    await make(client)
    replica = Replica(client)
    refreshed: list[str] = []
    replica.watch(refreshed.extend)

    await asyncio.gather(*[replica.refresh("sale") for _ in range(100)])

    assert len(refreshed) <= 2


async def test_replica_takes_more_segments_than_one_answer_holds(
    client: redis.asyncio.Redis,
) -> None:
    await make(client)
    key = scripts.room_key("sale")
    segments = 150
    await client.hset(
        key, mapping={"t0": segments * 65_536, "w0": segments * 65_536 - segments, "version": 1}
    )
    prefix = key.removesuffix("room")
    for segment in range(segments):
        await client.setbit(f"{prefix}gone:0:{segment}", 5, 1)
        await client.hset(f"{prefix}gone_counts", f"0:{segment}", "1")
        await client.zadd(f"{prefix}gone_versions", {f"0:{segment}": segment + 2})
    await client.hset(key, "version", segments + 1)
    replica = Replica(client)

    copy = await replica.find("sale")

    last = Place(0, segments * 65_536 - 1)
    assert copy.locate(last).position == last.number - segments + 1
    exact = await scripts.run_async(client, scripts.locate("sale", last))
    assert exact.position == last.number - segments + 1


async def test_run_ticks_a_room_that_nobody_ticks(client: redis.asyncio.Redis) -> None:
    await make(client, rate_per_s=1_000)
    places = await join(client, 3)
    replica = Replica(client, refresh_every_s=0.02)
    await replica.find("sale")
    refreshed = asyncio.Event()
    replica.watch(lambda _: refreshed.set())
    running = asyncio.create_task(replica.run())

    async with asyncio.timeout(20):
        while (await replica.find("sale")).locate(places[2]).state is not State.ADMITTED:
            refreshed.clear()
            await refreshed.wait()
    running.cancel()

    claim = await scripts.run_async(
        client, scripts.claim("sale", places[0], session_id="one", life_ms=1_000)
    )
    assert claim.is_new


async def test_a_room_that_redis_lost_is_dropped(client: redis.asyncio.Redis) -> None:
    await make(client)
    replica = Replica(client)
    await replica.find("sale")
    await client.flushall()

    await replica.refresh_all()

    assert replica.known("sale") is None
    with pytest.raises(RoomLostError):
        await replica.find("sale")


async def test_a_room_made_anew_is_copied_anew(client: redis.asyncio.Redis) -> None:
    await make(client)
    replica = Replica(client)
    places = await join(client, 5)
    await scripts.run_async(client, scripts.leave("sale", places[0]))
    await replica.find("sale")
    await client.flushall()
    await make(client)
    await join(client, 2)

    copy = await replica.refresh("sale")

    assert [copy.locate(Place(0, number)).position for number in range(3)] == [1, 2, 0]
