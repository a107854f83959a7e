"""A room on a real Redis, whose clock the test turns."""

import pytest
import redis

from tests.rooms.rooms import Room


@pytest.fixture
def room(redis_client: redis.Redis) -> Room:
    """A room of 5 inside and 2 a second, with a time-out of 6 s, that was just made."""
    return Room(redis_client)
