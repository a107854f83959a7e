"""Acknowledged messages by day, on PostgreSQL: made ahead, dropped whole, never in the way."""

from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from alembic import command
from sqlalchemy import text

from models import clock, migrate
from models.database import Database
from models.messages import jobs
from models.messages.rules import Held, MessageState, NewMessage
from models.messages.statements import partitions
from models.messages.statements.partitions import BEFORE, DAY_MS, DEFAULT
from tests.messages.conftest import Queue
from tests.postgresql import PostgresqlServer

KEPT_MS = 7 * DAY_MS


@pytest.fixture
def url(postgresql_server: PostgresqlServer, new_folder: Callable[[str], Path]) -> str:
    """A database of this test's own, whose days nobody else makes."""
    return postgresql_server.create_database(new_folder("d").name, template="migrated")


@pytest.fixture
async def daily(url: str) -> AsyncIterator[Queue]:
    """A queue at noon of the day after tomorrow, so that today's migration is past."""
    database = Database(url, connections_max=6, timeout_s=10)
    queue = Queue(database)
    now_ms = clock.now_ms()
    queue.now_ms = now_ms - now_ms % DAY_MS + 2 * DAY_MS + DAY_MS // 2
    yield queue
    await queue.service.close()
    database.close()


def grow_old(queue: Queue) -> tuple[int, int]:
    return jobs.grow_old(
        queue.database, archive_after_ms=DAY_MS, delete_after_ms=KEPT_MS, now_ms=queue.now_ms
    )


async def acknowledge(queue: Queue, count: int = 1) -> list[Held]:
    await queue.put(*(NewMessage("{}", type="a") for _ in range(count)))
    helds = []
    for _ in range(count):
        lease = await queue.take()
        assert lease is not None
        helds.append(Held(lease.id, lease.lock_token))
    assert not any(
        isinstance(outcome, Exception)
        for outcome in await queue.service.acknowledge_many(helds, now_ms=queue.now_ms)
    )
    return helds


def rows_by_partition(queue: Queue) -> dict[str, int]:
    with queue.database.begin() as connection:
        rows = connection.execute(
            text("SELECT CAST(tableoid::regclass AS text), count(*) FROM message_done GROUP BY 1")
        )
        return {name: count for name, count in rows}  # noqa: C416


def days(queue: Queue) -> list[str]:
    with queue.database.begin() as connection:
        return [name for name in partitions.days(connection) if name != BEFORE]


def name_of(now_ms: int) -> str:
    return f"message_done_{datetime.fromtimestamp(now_ms / 1000, UTC):%Y%m%d}"


@contextmanager
def dump_under_way(url: str) -> Iterator[None]:
    with psycopg.connect(url) as elsewhere:
        elsewhere.execute("SELECT count(*) FROM message_done")
        yield


async def test_days_are_made_ahead_and_a_repeat_makes_none(daily: Queue) -> None:
    grow_old(daily)
    made = days(daily)
    grow_old(daily)

    assert made == [name_of(daily.now_ms + day * DAY_MS) for day in range(4)] == days(daily)


async def test_tasks_at_the_same_time_make_each_day_once(daily: Queue) -> None:
    with ThreadPoolExecutor(4) as executor:
        for task in [executor.submit(grow_old, daily) for _ in range(4)]:
            task.result()
    grow_old(daily)  # whoever came in the way of another left days for later

    assert days(daily) == [name_of(daily.now_ms + day * DAY_MS) for day in range(4)]


async def test_days_follow_each_other_as_time_goes_by(daily: Queue) -> None:
    for _ in range(3):
        grow_old(daily)
        await acknowledge(daily)
        daily.now_ms += DAY_MS

    assert set(rows_by_partition(daily)) == {
        name_of(daily.now_ms - day * DAY_MS) for day in range(1, 4)
    }


async def test_repeated_ack_is_answered_from_any_day(daily: Queue) -> None:
    grow_old(daily)
    [held] = await acknowledge(daily)
    at_ms = daily.now_ms
    daily.now_ms += 3 * DAY_MS
    grow_old(daily)

    assert await daily.service.acknowledge(held, now_ms=daily.now_ms) == at_ms


async def test_day_that_is_over_is_dropped_whole_with_its_counts(daily: Queue) -> None:
    grow_old(daily)
    old = name_of(daily.now_ms)
    await acknowledge(daily, 5)
    daily.now_ms += DAY_MS
    await acknowledge(daily, 2)
    daily.now_ms += KEPT_MS - DAY_MS // 2 - 2  # the last moment at which a part of it is kept

    assert grow_old(daily)[1] == 0
    daily.now_ms += 1
    assert grow_old(daily)[1] == 5
    assert old not in days(daily)
    assert await daily.counts() == {"archived": 2}
    assert jobs.recount(daily.database) == {}


async def test_tasks_at_the_same_time_drop_a_day_once(daily: Queue) -> None:
    grow_old(daily)
    await acknowledge(daily, 4)
    daily.now_ms += KEPT_MS + DAY_MS

    with ThreadPoolExecutor(3) as executor:
        tasks = [executor.submit(grow_old, daily) for _ in range(3)]
        deleted = sum(task.result()[1] for task in tasks)
    deleted += grow_old(daily)[1]

    assert deleted == 4
    assert await daily.counts() == {}
    assert jobs.recount(daily.database) == {}


async def test_day_without_a_partition_goes_to_the_default_and_from_there(daily: Queue) -> None:
    await acknowledge(daily, 3)

    grow_old(daily)  # a partition of today would lack those three

    assert rows_by_partition(daily) == {DEFAULT: 3}
    assert name_of(daily.now_ms) not in days(daily)
    assert name_of(daily.now_ms + DAY_MS) in days(daily)
    daily.now_ms += KEPT_MS
    assert grow_old(daily) == (3, 3)
    assert await daily.counts() == {}


async def test_dump_puts_the_end_of_a_day_off_and_holds_up_no_ack(daily: Queue, url: str) -> None:
    grow_old(daily)
    await acknowledge(daily, 3)
    daily.now_ms += KEPT_MS + DAY_MS
    with dump_under_way(url):
        assert grow_old(daily) == (3, 0)
        await acknowledge(daily, 2)

    grow_old(daily)

    assert await daily.counts() == {"acknowledged": 2}
    assert jobs.recount(daily.database) == {}


async def test_emptied_queue_leaves_no_day_behind(daily: Queue) -> None:
    for _ in range(2):
        grow_old(daily)
        await acknowledge(daily, 2)
        daily.now_ms += 2 * DAY_MS

    await daily.service.queues.purge("default", states=frozenset(MessageState))

    assert rows_by_partition(daily) == {}


def test_upgrade_keeps_what_was_acknowledged(
    postgresql_server: PostgresqlServer, new_folder: Callable[[str], Path]
) -> None:
    url = postgresql_server.create_database(new_folder("d").name)
    with migrate._connected(url) as connection:
        command.upgrade(migrate._config(connection), "0008")
        connection.execute(_OLD_ROWS, {"now_ms": clock.now_ms()})

    migrate.upgrade(url)

    migrate.check(url)
    with psycopg.connect(url) as connection:
        names = connection.execute("SELECT DISTINCT tableoid::regclass::text FROM message_done")
        assert names.fetchall() == [(BEFORE,)]
        plan = connection.execute("EXPLAIN SELECT * FROM message_done WHERE id = 7").fetchall()
        assert not any("Seq Scan" in line for (line,) in plan)


_OLD_ROWS = text(
    """
    INSERT INTO message_done (id, queue, lane, payload, attempt_count, max_attempts, lease_ms,
                              created_at_ms, lock_token, consumer_id, acknowledged_at_ms)
    SELECT n, 'default', 9, '{}', 1, 3, 30000, 0, 'lt_' || n, 'c', :now_ms - n * 1000
    FROM generate_series(1, 5000) AS n
    """
)
