"""Guarantee 5: places survive the store, on servers of their own that are killed."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from models.rooms import jobs, scripts
from models.rooms.rules import Left, Place, State
from tests.rooms.rooms import SESSION_MS, Room, session_id
from tests.servers import RedisServer


@pytest.fixture
def folder(new_folder: Callable[[str], Path]) -> Path:
    """A folder for a server."""
    return new_folder("k")


@pytest.fixture
def server(folder: Path) -> Iterator[RedisServer]:
    """A Redis that writes what it does to a file."""
    with RedisServer(folder, appends=True) as started:
        yield started


@contextmanager
def losing(server: RedisServer, folder: Path, client: redis.Redis) -> Iterator[None]:
    """Kill the server at the end, and have it come back as it was at the beginning."""
    client.execute_command("WAITAOF", 1, 0, 10_000)
    kept = folder / "kept"
    shutil.copytree(folder / "appendonlydir", kept)
    yield
    server.process.kill()
    shutil.rmtree(folder / "appendonlydir")
    kept.rename(folder / "appendonlydir")
    server.start()


@pytest.fixture
def client(server: RedisServer) -> Iterator[redis.Redis]:
    """A client of it."""
    with redis.Redis.from_url(server.url) as client:
        yield client


def after_hold(room: Room) -> None:
    """Let the time pass in which nobody is admitted after a restart."""
    for _ in range(12):
        room.now_ms += 1_000
        room.tick()


def test_guarantee_5_places_survive_a_killed_store(
    server: RedisServer, client: redis.Redis
) -> None:
    room = Room(client)
    places = room.join_some(10)
    room.leave(places[3])
    client.execute_command("WAITAOF", 1, 0, 10_000)

    server.process.kill()
    server.start()

    assert room.positions(places) == [1, 2, 3, 0, 4, 5, 6, 7, 8, 9]
    assert room.tick().was_restarted
    assert room.positions(places) == [1, 2, 3, 0, 4, 5, 6, 7, 8, 9]


def test_guarantee_5_lost_places_come_back_in_order(
    server: RedisServer, folder: Path, client: redis.Redis
) -> None:
    room = Room(client)
    kept = room.join_some(3)
    with losing(server, folder, client):
        lost = room.join_some(5)
    new = room.join_some(2)
    assert not set(new) & set(lost)

    def present(place: Place) -> State:
        call = scripts.present(room.id, place, now_ms=room.now_ms)
        return scripts.run(client, call).state

    assert room.locate(lost[0]).state is State.GONE
    assert [present(lost[number]) for number in (4, 1, 2)] == [State.WAITING] * 3

    assert room.positions([*kept, lost[1], lost[2], lost[4], *new]) == list(range(1, 9))
    assert present(lost[1]) is State.WAITING
    assert room.line().length == 8


def test_guarantee_5_nobody_is_admitted_until_sessions_were_heard_of(
    server: RedisServer, folder: Path, client: redis.Redis
) -> None:
    room = Room(client)
    places = room.join_some(8)
    with losing(server, folder, client):
        room.now_ms += 2_000
        room.tick()
        began_ms = [room.claim(place).at_ms for place in places[:4]]
    room.now_ms += 5_000
    held_back = room.tick()
    room.now_ms += 1_000
    still = room.tick().admitted
    restored = [
        room.run(
            scripts.restore_session(
                room.id,
                place,
                session_id=session_id(place),
                began_at_ms=began,
                ends_at_ms=began + SESSION_MS,
                now_ms=room.now_ms,
            )
        )
        for place, began in zip(places[:3], began_ms, strict=False)
    ]

    assert (held_back.was_restarted, held_back.admitted, still) == (True, 0, 0)
    assert restored == [True, True, True]
    assert (room.line().inside, room.line().length) == (3, 5)
    after_hold(room)
    assert room.line().inside == room.config.capacity
    assert room.claim(places[0]).session
    assert [room.leave(place) for place in places[:3]] == [Left.SESSION] * 3
    assert room.line().inside == 2


def test_guarantee_5_sessions_of_an_emptied_store_are_counted_again(
    redis_client: redis.Redis,
) -> None:
    room = Room(redis_client)
    [inside] = room.join_some(1)
    room.now_ms += 1_000
    room.tick()
    began_ms = room.claim(inside).at_ms
    redis_client.flushall()
    room.now_ms += 5_000
    room.configure(created_at_ms=began_ms - 60_000)

    def restore() -> bool:
        call = scripts.restore_session(
            room.id,
            inside,
            session_id=session_id(inside),
            began_at_ms=began_ms,
            ends_at_ms=began_ms + SESSION_MS,
            now_ms=room.now_ms,
        )
        return room.run(call)

    assert (restore(), restore(), room.line().inside) == (True, False, 1)
    assert room.claim(inside).session
    assert room.leave(inside) is Left.SESSION
    assert (restore(), room.line().inside) == (False, 0)


def test_a_session_that_ended_is_not_restored(server: RedisServer, client: redis.Redis) -> None:
    room = Room(client)
    [place] = room.join_some(1)
    room.now_ms += 1_000
    room.tick()
    began_ms = room.claim(place).at_ms
    room.run(scripts.end_session(room.id, place, now_ms=room.now_ms))
    client.execute_command("WAITAOF", 1, 0, 10_000)
    server.process.kill()
    server.start()
    room.tick()

    was_restored = room.run(
        scripts.restore_session(
            room.id,
            place,
            session_id=session_id(place),
            began_at_ms=began_ms,
            ends_at_ms=began_ms + SESSION_MS,
            now_ms=room.now_ms,
        )
    )

    assert not was_restored
    assert room.line().inside == 0


def test_a_lost_place_that_was_passed_by_comes_in_when_a_slot_is_free(
    server: RedisServer, folder: Path, client: redis.Redis
) -> None:
    room = Room(client)
    with losing(server, folder, client):
        [lost] = room.join_some(1)
    new = room.join_some(6)
    after_hold(room)
    full = room.claim(lost).state
    for place in new[:5]:
        room.claim(place)
    room.leave(new[0])

    claim = room.claim(lost)

    assert full is State.WAITING
    assert claim.is_new
    assert room.line().inside == room.config.capacity


def test_a_restart_is_told_of_once(server: RedisServer, client: redis.Redis) -> None:
    rooms = [Room(client, room_id=room_id, now_ms=0) for room_id in ("one", "two")]
    client.sadd("rooms:ids", "one", "two")
    client.execute_command("WAITAOF", 1, 0, 10_000)
    before = jobs.admit(client).recovered_room_ids
    server.process.kill()
    server.start()
    rooms[0].join_some(1)  # a visitor comes before the first tick, and puts the room in order

    after = jobs.admit(client).recovered_room_ids

    assert (before, after) == ((), ("one", "two"))
    assert jobs.admit(client).recovered_room_ids == ()
