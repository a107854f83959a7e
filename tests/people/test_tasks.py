"""The tasks about people, sent through the broker to a worker that runs as in production."""

from collections.abc import Callable, Sequence

import pytest

from models import audit
from models.clock import now_ms
from models.database import Database
from models.people.rules import Role
from models.tokens import rotation
from models.tokens.keys import StoredKey
from tests.people.conftest import House
from tests.servers import System, wait_until
from workers import people
from workers.app import send

DAY_MS = 86_400_000
YEAR_MS = 365 * DAY_MS


@pytest.fixture
def send_task(system: System, send_through: Callable[[str], None]) -> Callable[[str], None]:
    """Sends a task to the worker of `system`, as beat does."""
    send_through(system.redis_url)
    return lambda name: send(name, queue="people", expires_s=60)


async def test_forget_deletes_what_is_over_and_nothing_else(
    system_database: Database, send_task: Callable[[str], None]
) -> None:
    house = House(system_database)
    await house.add("lan", "good password", Role.OFFICER)
    over = await house.open_session("lan", "good password")
    old = entries(system_database)
    house.now_ms = now_ms()
    lives = await house.open_session("lan", "good password")

    send_task(people.forget.name)

    wait_until(
        lambda: not {each.id for each in old} & {each.id for each in entries(system_database)},
        "old entries of the audit log are gone",
    )
    assert len(entries(system_database)) == 1
    assert await house.user_of(lives) is not None
    house.now_ms = old[0].at_ms
    assert await house.user_of(over) is None
    house.service.close()


def test_rotate_makes_a_successor_and_deletes_whose_tokens_are_over(
    system_database: Database, send_task: Callable[[str], None]
) -> None:
    long_ago_ms = now_ms() - 2 * YEAR_MS
    with system_database.begin() as connection:
        [first] = rotation.ensure_key(connection, "ES256", now_ms=long_ago_ms)
        later_ms = long_ago_ms + YEAR_MS
        rotation.rotate(connection, rotate_after_ms=DAY_MS, life_ms_max=DAY_MS, now_ms=later_ms)
    [_, second] = keys(system_database)

    send_task(people.rotate.name)

    wait_until(lambda: first not in keys(system_database), "the oldest key is gone")
    [kept, third] = keys(system_database)
    assert kept == second
    assert third.signs_from_ms > now_ms()


def test_a_key_stays_while_a_session_of_a_room_may_hold_a_token_of_it(
    system_database: Database, send_task: Callable[[str], None]
) -> None:
    at_ms = now_ms()
    with system_database.begin() as connection:
        for algorithm, begins_ms, ends_ms in (
            ("ES256", at_ms - YEAR_MS, at_ms - 20 * DAY_MS),
            ("RS256", at_ms - 2 * YEAR_MS, at_ms - YEAR_MS),
        ):
            rotation.ensure_key(connection, algorithm, now_ms=begins_ms)
            rotation.rotate(connection, rotate_after_ms=DAY_MS, life_ms_max=0, now_ms=ends_ms)
    over, held, *_ = keys(system_database)

    send_task(people.rotate.name)

    wait_until(lambda: over not in keys(system_database), "the key whose tokens are over is gone")
    assert held in keys(system_database)


def entries(database: Database) -> Sequence[audit.Entry]:
    with database.begin() as connection:
        return audit.page(connection, count=100)


def keys(database: Database) -> list[StoredKey]:
    with database.begin() as connection:
        return rotation.read_keys(connection)
