"""Visitors who listen for longer than a token lasts, in one process with a clock of its own."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import redis

from api.rooms.telling import Teller
from models.clock import now_ms
from models.database import Database
from models.rooms import scripts
from models.rooms.joining import Joining
from models.rooms.outlooks import Outlooks
from models.rooms.passes import QUEUE_TOKEN_MS, Passes
from models.rooms.replica import Replica
from models.rooms.rules import RoomStatus
from models.rooms.service import RoomService
from models.rooms.sight import Sight
from models.rooms.trips import Trips
from models.rooms.visitors import Notes
from models.rooms.visits import Visits
from models.tokens.issuer import Issuer
from tests.rooms.test_administration import ACTOR, SALE, House
from tests.servers import RedisServer

pytestmark = pytest.mark.on_sqlite

WAITS = replace(SALE, status=RoomStatus.PAUSED)


@dataclass
class Ear:
    """A client that is in, and what it was sent."""

    holds: object | None = None
    keeps_up: bool = True
    heard: list[tuple[str, Any]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def send(self, name: str, data: bytes) -> None:
        self.heard.append((name, json.loads(data)))
        self.news.set()

    async def dismiss(self) -> None:
        self.heard.append(("dismissed", None))


class Venue(House):
    """One process that serves visitors, `later_ms` ahead of the real clock."""

    def __init__(self, database: Database, redis_url: str) -> None:
        super().__init__(database, redis_url)
        self.later_ms = 0
        replica = Replica(self.client)
        sight = Sight(replica, Outlooks(replica), self._repair, clock=self.clock)
        trips = Trips(self.client, self._repair)
        passes = Passes(Issuer(database, clock=self.clock), clock=self.clock, kept_max=10)
        visits = Visits(self.registry, sight, passes, trips, self.recorder, clock=self.clock)
        self.service = RoomService(
            registry=self.registry,
            sight=sight,
            passes=passes,
            trips=trips,
            visits=visits,
            notes=Notes(self.client, notes_max=10),
            publisher=self.recorder,
            clock=self.clock,
        )
        self.teller = Teller(self.service, sight, self.registry)

    def clock(self) -> int:
        return now_ms() + self.later_ms

    async def _repair(self, room_id: str) -> bool:
        room = self.registry.known(room_id)
        return room is not None and await self.mirror.write(room)

    async def listen(self) -> Ear:
        """Join and listen until something was told."""
        joined = await self.service.join("sale", Joining(address="2001:db8::", metadata={}))
        ear = Ear()
        token = joined.whereabouts.visitor.token
        self.teller.enter(await self.teller.welcome("sale", token), ear)
        assert ear.heard[0][1]["position"] == 1
        return ear

    async def until_told(self, ear: Ear, name: str) -> Any:
        """Return what somebody is told by a name."""
        with telling(self.teller):
            async with asyncio.timeout(10):
                while not (told := [data for each, data in ear.heard if each == name]):
                    ear.news.clear()
                    await ear.news.wait()
                return told[0]

    async def admit(self) -> None:
        """Tick until the rate has earned a place for somebody."""
        async with asyncio.timeout(10):
            while True:
                ticked = await scripts.run_async(self.client, scripts.tick("sale"))
                if ticked.admitted:
                    return
                await asyncio.sleep(0.05)


@contextmanager
def telling(teller: Teller) -> Iterator[None]:
    task = asyncio.create_task(teller.run())
    yield
    task.cancel()


@pytest.fixture
async def venue(
    database: Database, redis_server: RedisServer, redis_client: redis.Redis
) -> AsyncIterator[Venue]:
    assert redis_client is not None  # emptied
    made = Venue(database, redis_server.url)
    await made.rooms.create(WAITS, ACTOR, now_ms=now_ms())
    yield made
    await made.client.aclose()


async def test_who_listened_for_longer_than_the_token_lasts_is_let_in(venue: Venue) -> None:
    ear = await venue.listen()
    venue.later_ms = QUEUE_TOKEN_MS + 1_000

    await venue.rooms.change("sale", {"status": RoomStatus.ACTIVE}, ACTOR, now_ms=now_ms())
    await venue.admit()

    assert (await venue.until_told(ear, "admitted"))["redirect_url"] == SALE.target_url
    assert [name for name, _ in ear.heard if name == "expired"] == []


async def test_who_listens_hears_nothing_of_a_room_made_again(venue: Venue) -> None:
    ear = await venue.listen()
    await venue.rooms.delete("sale", ACTOR, now_ms=now_ms())
    await venue.rooms.create(WAITS, ACTOR, now_ms=now_ms() + 1)

    assert await venue.until_told(ear, "expired") == {"reason": "token_expired"}


async def test_a_sign_of_life_hides_no_step_from_its_visitor(venue: Venue) -> None:
    first, second = [
        (await venue.service.join("sale", Joining(address=f"2001:db8:{n}::", metadata={})))
        for n in (1, 2)
    ]
    ear = Ear()
    listener = await venue.teller.welcome("sale", second.whereabouts.visitor.token)
    venue.teller.enter(listener, ear)
    assert ear.heard[-1][1]["position"] == 2

    await venue.service.leave("sale", first.whereabouts.visitor.token)
    await venue.teller.beat(listener)  # before the round in which the step is told

    with telling(venue.teller):
        async with asyncio.timeout(10):
            while ear.heard[-1][1]["position"] != 1:
                ear.news.clear()
                await ear.news.wait()
