"""What workers do for all rooms, on a real Redis by its own clock."""

import redis

from models.rooms import jobs, scripts
from models.rooms.rules import State
from tests.rooms.rooms import Room
from tests.servers import wait_until


def enlist(client: redis.Redis, *room_ids: str) -> None:
    """Have rooms moved."""
    client.sadd("rooms:ids", *room_ids)


def test_admit_moves_every_room_and_passes_over_lost_ones(redis_client: redis.Redis) -> None:
    rooms = [Room(redis_client, room_id=each, now_ms=0) for each in ("one", "two")]
    places = [room.join_some(1)[0] for room in rooms]
    enlist(redis_client, "one", "two", "lost")
    events = []

    def all_are_in() -> bool:
        events.extend(jobs.admit(redis_client).events)
        return len(events) >= 2

    wait_until(all_are_in, "both are admitted")

    assert [event.name for event in events] == ["waitingroom.position.admitted.v1"] * 2
    assert sorted(str(event.data["queue_id"]) for event in events) == ["one", "two"]
    assert events[0].data["spans"] == [{"priority": 0, "start": 0, "end": 1, "count": 1}]
    for room, place in zip(rooms, places, strict=True):
        assert room.locate(place).state is State.ADMITTED


def test_expire_tells_how_many_were_silent(redis_client: redis.Redis) -> None:
    room = Room(redis_client, now_ms=0)
    room.configure(heartbeat_timeout_ms=2_000, rate_per_s=0)
    room.join_some(3)
    enlist(redis_client, room.id)
    events = []

    def all_are_out() -> bool:
        events.extend(jobs.expire(redis_client).events)
        return bool(events)

    wait_until(all_are_out, "silence is noticed")

    [event] = events
    assert event.name == "waitingroom.position.expired.v1"
    assert (event.data["count"], event.data["reason"]) == (3, "heartbeat_timeout")


def test_a_tick_without_anything_to_tell_tells_nothing(redis_client: redis.Redis) -> None:
    Room(redis_client, now_ms=0)
    enlist(redis_client, "sale")

    assert jobs.admit(redis_client).events == ()
    assert jobs.expire(redis_client).events == ()
    assert scripts.list_rooms(redis_client) == ["sale"]
