"""What the two databases are told about durability, snapshots and silence."""

import threading

import pytest
from sqlalchemy import Connection, text

from models.database import Database
from models.errors import UnavailableError


async def test_commit_waits_for_the_disk_unless_it_need_not(database: Database) -> None:
    setting = "PRAGMA synchronous" if database.is_sqlite else "SHOW synchronous_commit"
    full, relaxed = (2, 1) if database.is_sqlite else ("on", "off")

    def ask(connection: Connection) -> object:
        return connection.execute(text(setting)).scalar_one()

    answers = [await database.run(ask, durable=durable) for durable in (True, False, True)]

    assert answers == [full, relaxed, full]


async def test_work_by_index_is_never_planned_as_a_scan(database: Database) -> None:
    if database.is_sqlite:
        pytest.skip("SQLite always goes by index")

    def plan(connection: Connection) -> str:
        question = "EXPLAIN SELECT id FROM message_leased WHERE id = ANY ('{1}'::bigint[])"
        connection.execute(text("ANALYZE message_leased"))  # it is empty: a scan costs nothing
        return str(connection.execute(text(question)).scalars().all())

    def may_scan(connection: Connection) -> str:
        return str(connection.execute(text("SHOW enable_seqscan")).scalar_one())

    assert await database.run(may_scan) == "on"
    assert "Index" in await database.run(plan, by_index=True)
    assert "Index" in await database.run(plan, durable=False)


async def test_read_sees_one_moment(database: Database) -> None:
    def count(connection: Connection) -> int:
        return int(connection.execute(text("SELECT count(*) FROM message_mark")).scalar_one())

    def count_around_a_commit(connection: Connection) -> tuple[int, int]:
        before = count(connection)
        with database.begin() as other:
            other.execute(text("INSERT INTO message_mark VALUES ('x', 1)"))
        return before, count(connection)

    assert await database.read(count_around_a_commit) == (0, 0)
    assert await database.read(count) == 1


async def test_work_that_comes_too_late_is_told_of(database_url: str) -> None:
    database = Database(database_url, connections_max=6, timeout_s=0.1)
    may_go_on, told = threading.Event(), []
    heard = threading.Event()

    def work(_connection: Connection) -> str:
        may_go_on.wait()
        return "done"

    def late(outcome: str) -> None:
        told.append(outcome)
        heard.set()

    with pytest.raises(UnavailableError):
        await database.run(work, late=late)
    may_go_on.set()
    while not heard.is_set():
        await database.ping()

    assert told == ["done"]
    database.close()
