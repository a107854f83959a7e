"""What an admin does with rooms, on both databases, with a real Redis."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import pytest
import redis
from sqlalchemy import Connection

from models import audit
from models.audit import Actor
from models.database import Database
from models.errors import InvalidError
from models.events import Arrivals, Event
from models.redis import connect_async
from models.rooms import scripts
from models.rooms.administration import Administration
from models.rooms.leftovers import Leftovers
from models.rooms.mirror import Mirror
from models.rooms.registry import Registry
from models.rooms.room import (
    Appearance,
    Room,
    RoomExistsError,
    RoomNotFoundError,
    TooManyRoomsError,
    Words,
    check,
    fault_of_url,
)
from models.rooms.rules import Arrival, LineState, RoomStatus
from models.rooms.statements import rooms as statements
from tests.servers import RedisServer

T = TypeVar("T")
NOW_MS = 1_800_000_000_000
ACTOR = Actor(kind="admin_key", name="ADMIN_KEY")
SALE = Room(id="sale", name="Sale", target_url="https://example.com/in")


class Recorder:
    """Keeps what is told."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def publish(self, domain: str, events: Sequence[Event]) -> None:
        assert domain == "rooms"
        self.events += events

    def wake(self, domain: str, arrived: Arrivals | None) -> None:
        raise AssertionError(domain, arrived)

    def names(self) -> list[str]:
        return [event.name.removeprefix("waitingroom.queue.") for event in self.events]


class House:
    """One process that administers rooms."""

    def __init__(self, database: Database, redis_url: str, *, rooms_max: int = 10) -> None:
        self.database = database
        self.client = connect_async(redis_url)
        self.registry = Registry(database)
        self.mirror = Mirror(self.client, lambda: self.registry.rooms)
        self.leftovers = Leftovers(database, self.client, self.registry, self.mirror)
        self.recorder = Recorder()
        self.rooms = Administration(
            database, self.registry, self.mirror, self.recorder, rooms_max=rooms_max
        )

    async def line(self, room_id: str = "sale") -> LineState:
        return (await scripts.run_async(self.client, scripts.snapshot(room_id))).line


@pytest.fixture
async def house(
    database: Database, redis_server: RedisServer, redis_client: redis.Redis
) -> AsyncIterator[House]:
    assert redis_client is not None  # emptied
    made = House(database, redis_server.url)
    yield made
    await made.client.aclose()


def log_of(database: Database) -> list[tuple[str, str, object]]:
    with database.begin() as connection:
        entries = audit.page(connection, count=100)
    return [
        (entry.change.action, entry.change.target, dict(entry.change.details))
        for entry in reversed(entries)
    ]


async def test_room_is_stored_copied_noted_and_told(house: House) -> None:
    made = await house.rooms.create(SALE, ACTOR, now_ms=NOW_MS)

    assert len(made.secret) == 32
    assert await house.rooms.get("sale") == made
    assert house.registry.known("sale") == made
    assert (await house.line()).capacity == made.capacity
    assert house.recorder.names() == ["created.v1"]
    details = {"status": "active", "target_url": SALE.target_url}
    assert log_of(house.database) == [("room_created", "sale", details)]
    assert made.secret not in repr(made).encode()


async def test_every_setting_comes_back_from_the_database(house: House) -> None:
    words = Appearance(title="Sale", languages={"vi": Words(title="Giảm giá")})
    room = replace(
        SALE, rate_per_s=0.5, draw=True, opens_at_ms=NOW_MS, appearance=words, invite_only=True
    )

    made = await house.rooms.create(room, ACTOR, now_ms=NOW_MS)

    assert await house.rooms.get("sale") == replace(
        room, secret=made.secret, created_at_ms=NOW_MS, updated_at_ms=NOW_MS
    )


@pytest.mark.parametrize("changes", [{"opens_at_ms": NOW_MS + 9_000}, {"draw": False}])
async def test_draw_is_not_changed_once_the_room_has_opened(
    house: House, changes: dict[str, object]
) -> None:
    opening = replace(SALE, draw=True, opens_at_ms=NOW_MS + 1_000)
    made = await house.rooms.create(opening, ACTOR, now_ms=NOW_MS)

    with pytest.raises(InvalidError) as refused:
        await house.rooms.change("sale", changes, ACTOR, now_ms=NOW_MS + 1_000)

    assert list(refused.value.details) == list(changes)
    assert await house.rooms.get("sale") == made
    await house.rooms.change("sale", changes, ACTOR, now_ms=NOW_MS + 999)


async def test_second_room_of_an_id_is_a_conflict(house: House) -> None:
    made = await house.rooms.create(SALE, ACTOR, now_ms=NOW_MS)

    with pytest.raises(RoomExistsError):
        await house.rooms.create(replace(SALE, name="Other"), ACTOR, now_ms=NOW_MS)

    assert await house.rooms.get("sale") == made
    assert len(log_of(house.database)) == 1


async def test_there_are_only_so_many_rooms(house: House) -> None:
    for number in range(10):
        await house.rooms.create(replace(SALE, id=f"room{number}"), ACTOR, now_ms=NOW_MS)

    with pytest.raises(TooManyRoomsError):
        await house.rooms.create(SALE, ACTOR, now_ms=NOW_MS)

    page = await house.rooms.page(after="room3", count=2)
    assert [room.id for room in page] == ["room4", "room5"]


async def test_change_holds_at_once_and_is_told_by_its_name(house: House) -> None:
    await house.rooms.create(SALE, ACTOR, now_ms=NOW_MS)

    changed = await house.rooms.change(
        "sale", {"capacity": 7, "status": RoomStatus.PAUSED}, ACTOR, now_ms=NOW_MS + 1
    )

    assert (changed.capacity, changed.status, changed.version) == (7, RoomStatus.PAUSED, 2)
    assert changed.updated_at_ms == NOW_MS + 1
    line = await house.line()
    assert (line.capacity, line.status) == (7, RoomStatus.PAUSED)
    assert house.recorder.names()[1:] == ["updated.v1", "paused.v1"]
    details = {"capacity": 7, "status": "paused"}
    assert log_of(house.database)[1:] == [("room_changed", "sale", details)]


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (RoomStatus.PAUSED, "paused"),
        (RoomStatus.MAINTENANCE, "maintenance"),
        (RoomStatus.CLOSED, "updated"),
    ],
)
async def test_status_has_an_event_of_its_own_and_ends_with_another(
    house: House, status: RoomStatus, name: str
) -> None:
    await house.rooms.create(SALE, ACTOR, now_ms=NOW_MS)

    await house.rooms.change("sale", {"status": status}, ACTOR, now_ms=NOW_MS)
    await house.rooms.change("sale", {"status": RoomStatus.ACTIVE}, ACTOR, now_ms=NOW_MS)

    assert house.recorder.names()[1:] == [f"{name}.v1", "resumed.v1"]


async def test_change_to_what_is_there_changes_nothing(house: House) -> None:
    made = await house.rooms.create(SALE, ACTOR, now_ms=NOW_MS)

    same = await house.rooms.change("sale", {"name": "Sale"}, ACTOR, now_ms=NOW_MS + 1)

    assert same == made
    assert len(log_of(house.database)) == len(house.recorder.events) == 1


async def test_wrong_change_changes_nothing(house: House) -> None:
    made = await house.rooms.create(SALE, ACTOR, now_ms=NOW_MS)

    for changes in (
        {"heartbeat_timeout_ms": 5_000},
        {"target_url": "javascript:alert(1)", "capacity": 1},
        {"draw": True},
        {"session_renewal": True, "session_cap_ms": 1_000},
    ):
        with pytest.raises(InvalidError):
            await house.rooms.change("sale", changes, ACTOR, now_ms=NOW_MS + 1)
    with pytest.raises(RoomNotFoundError):
        await house.rooms.change("none", {"capacity": 1}, ACTOR, now_ms=NOW_MS)

    assert await house.rooms.get("sale") == made
    assert len(log_of(house.database)) == 1


async def test_deleted_room_is_gone_everywhere(house: House) -> None:
    await house.rooms.create(SALE, ACTOR, now_ms=NOW_MS)
    await scripts.run_async(house.client, scripts.join("sale", [Arrival(0)] * 3))

    await house.rooms.delete("sale", ACTOR, now_ms=NOW_MS)

    with pytest.raises(RoomNotFoundError):
        await house.rooms.get("sale")
    assert house.registry.known("sale") is None
    assert [key async for key in house.client.scan_iter("{q:sale}*") if b"beats" not in key] == []
    assert house.recorder.names()[1:] == ["deleted.v1"]
    assert log_of(house.database)[1:] == [("room_deleted", "sale", {})]
    with pytest.raises(RoomNotFoundError):
        await house.rooms.delete("sale", ACTOR, now_ms=NOW_MS)


async def test_room_made_again_begins_anew(house: House) -> None:
    first = await house.rooms.create(SALE, ACTOR, now_ms=NOW_MS)
    await scripts.run_async(house.client, scripts.join("sale", [Arrival(0)] * 3))
    await house.rooms.delete("sale", ACTOR, now_ms=NOW_MS)

    second = await house.rooms.create(SALE, ACTOR, now_ms=NOW_MS + 1)

    assert second.secret != first.secret
    assert (await house.line()).length == 0


async def keys_of(house: House, room_id: str = "sale") -> list[bytes]:
    found = [key async for key in house.client.scan_iter(f"{{q:{room_id}}}*")]
    return [key for key in found if b"beats" not in key]  # they go by themselves


async def test_room_deleted_while_redis_was_away_is_swept_out(house: House) -> None:
    await house.rooms.create(SALE, ACTOR, now_ms=NOW_MS)
    await scripts.run_async(house.client, scripts.join("sale", [Arrival(0)] * 3))
    away = House(house.database, "redis://127.0.0.1:1")
    await away.rooms.delete("sale", ACTOR, now_ms=NOW_MS)
    await away.client.aclose()
    await house.registry.refresh()
    assert await keys_of(house)

    assert await house.leftovers.sweep() == ["sale"]

    assert await keys_of(house) == []
    assert await house.leftovers.sweep() == []


async def test_only_what_was_deleted_is_swept_out(house: House, redis_server: RedisServer) -> None:
    other = House(house.database, redis_server.url)
    await other.registry.refresh()
    await house.rooms.create(SALE, ACTOR, now_ms=NOW_MS)
    await scripts.run_async(house.client, scripts.join("sale", [Arrival(0)]))

    # One has not heard of the room, and one of another database knows nothing of it.
    assert await other.leftovers.sweep() == []
    with house.database.begin() as connection:
        statements.remove(connection, "sale")
    assert await other.leftovers.sweep() == []

    assert (await house.line()).length == 1
    await other.client.aclose()


async def test_room_made_again_outlives_the_deletion_of_the_first(house: House) -> None:
    first = await house.rooms.create(SALE, ACTOR, now_ms=NOW_MS)
    # So many segments that more than one call deletes them.
    await house.client.hset("{q:sale}:room", "t0", 200_000_000)
    forget = scripts.forget("sale", created_at_ms=first.created_at_ms)
    assert await scripts.run_async(house.client, forget)

    second = replace(first, secret=b"s" * 32, created_at_ms=NOW_MS + 1)
    assert await house.mirror.write(second, is_new=True)
    await scripts.run_async(house.client, scripts.join("sale", [Arrival(0)]))
    assert not await scripts.run_async(house.client, forget)

    assert (await house.line()).length == 1


async def test_process_learns_of_rooms_of_others(house: House, redis_server: RedisServer) -> None:
    other = House(house.database, redis_server.url)
    await other.registry.refresh()
    made = await house.rooms.create(SALE, ACTOR, now_ms=NOW_MS)

    assert await other.registry.find("sale") == made
    changed = await house.rooms.change("sale", {"capacity": 3}, ACTOR, now_ms=NOW_MS)
    await other.registry.refresh()
    assert other.registry.known("sale") == changed
    await house.rooms.delete("sale", ACTOR, now_ms=NOW_MS)
    await other.registry.refresh()
    with pytest.raises(RoomNotFoundError):
        await other.registry.find("sale")
    await other.client.aclose()


class CountingDatabase(Database):
    """A database that says how often it was read."""

    reads = 0

    async def read(self, work: Callable[[Connection], T]) -> T:
        self.reads += 1
        return await super().read(work)


async def test_unknown_ids_do_not_ask_the_database_each_time(
    database: Database, database_url: str
) -> None:
    assert database is not None  # emptied
    counting = CountingDatabase(database_url, connections_max=2, timeout_s=10)
    registry = Registry(counting)

    async def ask() -> None:
        with pytest.raises(RoomNotFoundError):
            await registry.find("none")

    await asyncio.gather(*(ask() for _ in range(50)))
    counting.close()

    assert counting.reads == 1


async def test_watchers_are_told_of_changes_only(house: House) -> None:
    told: list[int] = []
    house.registry.watch(lambda rooms: told.append(len(rooms)))

    await house.registry.refresh()
    await house.rooms.create(SALE, ACTOR, now_ms=NOW_MS)
    await house.registry.refresh()
    await house.rooms.delete("sale", ACTOR, now_ms=NOW_MS)

    assert told == [1, 0]


@pytest.mark.parametrize("made_ms_ago", [10, 100_000_000_000])
async def test_emptied_redis_is_told_again(house: House, made_ms_ago: int) -> None:
    made_at_ms = int(time.time() * 1000) - made_ms_ago
    made = await house.rooms.create(SALE, ACTOR, now_ms=made_at_ms)
    await house.rooms.change("sale", {"status": RoomStatus.PAUSED}, ACTOR, now_ms=NOW_MS)
    await house.client.flushall()

    assert await house.mirror.check() == 1
    assert await house.mirror.check() == 0

    line = await house.line()
    assert (line.status, line.capacity) == (RoomStatus.PAUSED, made.capacity)
    # Old tokens hold numbers that nobody gets anew.
    assert min(line.tails) > 0


async def test_older_settings_do_not_undo_newer_ones(
    house: House, redis_server: RedisServer
) -> None:
    await house.rooms.create(SALE, ACTOR, now_ms=NOW_MS)
    other = House(house.database, redis_server.url)
    await other.registry.refresh()
    await house.rooms.change("sale", {"capacity": 3}, ACTOR, now_ms=NOW_MS)

    assert await other.mirror.check() == 0

    assert (await house.line()).capacity == 3
    await other.client.aclose()


async def test_redis_away_loses_no_change(database: Database) -> None:
    house = House(database, "redis://127.0.0.1:1")

    made = await house.rooms.create(SALE, ACTOR, now_ms=NOW_MS)
    changed = await house.rooms.change("sale", {"capacity": 3}, ACTOR, now_ms=NOW_MS)

    assert changed == replace(made, capacity=3, version=2)
    assert house.registry.known("sale") == changed
    await house.client.aclose()


def test_read_again_takes_only_what_changed(database: Database) -> None:
    made = replace(SALE, secret=b"s" * 32)
    with database.begin() as connection:
        for number in range(3):
            statements.create(connection, replace(made, id=f"room{number}"))
        first = statements.read_all(connection, {})
        statements.store(connection, replace(first["room1"], capacity=3, version=2))
        second = statements.read_all(connection, first)

    assert second["room0"] is first["room0"]
    assert second["room1"].capacity == 3


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "example.com",
            "//example.com/",
            "/checkout",
            "javascript:alert(1)",
            "data:text/html,",
        ),
        *(
            "http://",
            "https:///path",
            "https://user:secret@example.com/",
            "https://example.com\\@e",
        ),
        *(
            "https://exa mple.com/",
            "https://example.com/\n",
            "https://example.com:port/",
            "ftp://e",
        ),
        *("https://exämple.com/", "https://[::1/", "https://@example.com/", "HTTPS:example.com"),
    ],
)
def test_nobody_is_sent_to_such_an_address(url: str) -> None:
    assert fault_of_url(url) is not None


@pytest.mark.parametrize(
    "url",
    [
        *("https://example.com", "http://127.0.0.1:8000/in?x=1&y=%20#top", "https://[::1]:8443/"),
        *("https://xn--exmple-cua.com/", "http://shop_1.internal/"),
    ],
)
def test_admitted_may_be_sent_to_such_an_address(url: str) -> None:
    assert fault_of_url(url) is None


def test_settings_that_do_not_go_together_are_all_named() -> None:
    room = replace(
        SALE,
        name="\x00",
        target_url="x",
        heartbeat_interval_ms=60_000,
        session_renewal=True,
        session_cap_ms=1_000,
        draw=True,
    )

    with pytest.raises(InvalidError) as raised:
        check(room)

    named = {"name", "target_url", "heartbeat_interval_ms", "session_cap_ms", "draw"}
    assert set(raised.value.details) == named


def test_words_of_a_language_stand_before_the_common_ones() -> None:
    look = Appearance(title="Sale", text="Soon", languages={"vi": Words(title="Giảm giá")})

    assert look.words("vi") == Words(title="Giảm giá", text="Soon")
    assert look.words("en") == look.words("de") == Words(title="Sale", text="Soon")
