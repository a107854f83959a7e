"""A room on a real Redis, whose clock the test turns; and rooms of a running system over HTTP."""

from collections.abc import Iterator

import pytest
import redis

from tests.rooms.rooms import Room
from tests.rooms.visitors import Hall
from tests.servers import System


@pytest.fixture
def room(redis_client: redis.Redis) -> Room:
    """A room of 5 inside and 2 a second, with a time-out of 6 s, that was just made."""
    return Room(redis_client)


@pytest.fixture
def hall(system: System) -> Iterator[Hall]:
    """A client of the system that every test shares; it leaves the database as it is."""
    made = Hall(system)
    yield made
    made.close()
