"""Databases that are full, slow or held by somebody else, and clocks that jump."""

import contextlib
import itertools
import os
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest

from models import migrate
from models.messages.rules import Held, Lease, LockLostError, NewMessage
from tests.messages.conftest import Queue
from tests.messages.test_contract import take
from tests.messages.test_crash import Ledger, check, consume, is_empty, produce
from tests.postgresql import DurablePostgresqlServer
from tests.servers import RedisServer, System, wait_until

STALL_S = 10.0
HOUR_MS = 3_600_000
_numbers = itertools.count()


@dataclass
class Place:
    """An API on a database of its own."""

    system: System
    database_url: str
    postgresql: DurablePostgresqlServer | None

    @contextlib.contextmanager
    def stalled(self) -> Iterator[None]:
        """Let the database answer nobody."""
        if self.postgresql is not None:
            with self.postgresql.frozen():
                yield
        else:
            with contextlib.closing(self.connect_sqlite()) as connection:
                connection.execute("BEGIN IMMEDIATE")
                yield
                connection.execute("ROLLBACK")

    def connect_sqlite(self) -> sqlite3.Connection:
        path = self.database_url.removeprefix("sqlite:///")
        return sqlite3.connect(path, isolation_level=None, timeout=20)

    @contextlib.contextmanager
    def transaction_left_open(self) -> Iterator[None]:
        """Look at the oldest message, on PostgreSQL lock it, and stay in the transaction."""
        look = "SELECT id FROM message_ready ORDER BY id LIMIT 1"
        if self.postgresql is not None:
            with psycopg.connect(self.database_url) as connection:
                assert connection.execute(f"{look} FOR UPDATE").fetchall()
                yield
                connection.rollback()
        else:
            with contextlib.closing(self.connect_sqlite()) as connection:
                connection.execute("BEGIN")
                assert connection.execute(look).fetchall()
                yield


@pytest.fixture(scope="module")
def mortal_server(
    backend: str, new_folder: Callable[[str], Path], request: pytest.FixtureRequest
) -> Iterator[DurablePostgresqlServer | None]:
    """A PostgreSQL that nobody else uses; None for SQLite."""
    if backend == "sqlite":
        yield None
        return
    request.getfixturevalue("postgresql_server")  # it says so if there is none
    with DurablePostgresqlServer(new_folder("p")) as server:
        yield server


@pytest.fixture
def place(
    mortal_server: DurablePostgresqlServer | None,
    new_folder: Callable[[str], Path],
    redis_server: RedisServer,
) -> Iterator[Place]:
    with contextlib.ExitStack() as stack:
        url = f"sqlite:///{new_folder('d')}/queue.db"
        if mortal_server is not None:
            url = mortal_server.create_database(f"place{next(_numbers)}")
        migrate.upgrade(url)
        system = start(stack, new_folder("y"), url, redis_server)
        yield Place(system, url, mortal_server)


def start(stack: contextlib.ExitStack, folder: Path, url: str, redis_server: RedisServer) -> System:
    return stack.enter_context(
        System(
            folder,
            database_url=url,
            redis_url=redis_server.url,
            processes=("api",),
            settings={"DATABASE_TIMEOUT_S": "2"},
        )
    )


def test_a_database_that_stalls_loses_nothing(place: Place) -> None:
    ledger, url = Ledger(), place.system.url
    acts = (produce, consume, consume) * 2
    threads = [threading.Thread(target=act, args=(url, ledger)) for act in acts]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: len(ledger.acknowledged) > 50, "messages flow")
        with place.stalled():
            time.sleep(STALL_S)
        stored = len(ledger.stored)
        wait_until(lambda: len(ledger.stored) > stored + 50, "messages flow again")
        ledger.producers_are_over.set()
        wait_until(lambda: is_empty(url), "everything is dealt with", timeout_s=60)
    finally:
        ledger.producers_are_over.set()
        ledger.is_over.set()
        for thread in threads:
            thread.join()

    check(ledger, place.database_url)


def test_a_stalled_database_is_told_before_long(place: Place) -> None:
    with httpx.Client(base_url=place.system.url, timeout=30) as http:
        assert put(http).status_code == 201
        with place.stalled():
            answers = [put(http), http.get("/api/queue/message?timeout=1")]
        wait_until(lambda: put(http).status_code == 201, "it is well again")

    assert {answer.status_code for answer in answers} == {503}
    assert {answer.headers["Retry-After"] for answer in answers} == {"1"}


def test_a_transaction_left_open_elsewhere_holds_nobody_up(place: Place) -> None:
    with httpx.Client(base_url=place.system.url, timeout=30) as http:
        ids = [put(http).json()["id"] for _ in range(3)]
        with place.transaction_left_open():
            locked = 1 if place.postgresql is not None else 0
            taken = [take(http, timeout=0) for _ in ids[locked:]]
            for message in taken:
                held = {"id": message["id"], "lock_token": message["lock_token"]}
                assert http.post("/api/queue/ack", json=held).status_code == 200
            ids.append(put(http).json()["id"])
        rest = [take(http, timeout=20)["id"] for _ in range(1 + locked)]

    assert [message["id"] for message in taken] + sorted(rest) == ids[locked:3] + sorted(
        [*ids[:locked], ids[3]]
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a disk that is soon full")
def test_a_full_disk_is_told_and_loses_nothing(
    new_folder: Callable[[str], Path], redis_server: RedisServer
) -> None:
    disk = new_folder("f")
    with contextlib.ExitStack() as stack:
        mount("-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk))
        stack.callback(subprocess.run, ["umount", "-l", str(disk)], check=True)
        url = f"sqlite:///{disk}/queue.db"
        migrate.upgrade(url)
        system = start(stack, new_folder("y"), url, redis_server)
        http = stack.enter_context(httpx.Client(base_url=system.url, timeout=30))
        answers = [put(http, "x" * 50_000)]
        while answers[-1].status_code == 201:
            assert len(answers) < 1_000
            answers.append(put(http, "x" * 50_000))

        assert answers[-1].status_code == 503
        assert answers[-1].json()["message"] == "database is unavailable"
        mount("-o", "remount,size=64m", str(disk))
        wait_until(lambda: put(http).status_code == 201, "there is room again")
        stored = [answer.json()["id"] for answer in answers[:-1]]
        assert [take(http)["id"] for _ in stored] == stored


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def put(http: httpx.Client, text: str = "") -> httpx.Response:
    return http.post("/api/queue/message", json={"payload": {"text": text}})


async def test_a_clock_that_jumps_ahead_ends_leases_and_no_more(queue: Queue) -> None:
    await queue.put(NewMessage("{}"))
    first = await queue.take()
    assert first is not None

    queue.now_ms += HOUR_MS
    second = await queue.take()

    assert second is not None
    assert second.id == first.id
    with pytest.raises(LockLostError):
        await acknowledge(queue, first)
    await acknowledge(queue, second)
    assert await queue.counts() == {"acknowledged": 1}


async def test_a_clock_that_jumps_back_loses_nothing(queue: Queue) -> None:
    queue.now_ms += HOUR_MS
    ids = await queue.put(NewMessage("{}"), NewMessage("{}"), NewMessage("{}"))
    held, lapsing = await queue.take(), await queue.take()
    assert held is not None
    assert lapsing is not None

    queue.now_ms -= HOUR_MS
    ids += await queue.put(NewMessage("{}"))
    await acknowledge(queue, held)
    rest = [await queue.take(), await queue.take()]
    queue.now_ms += HOUR_MS + 60_000
    rest.append(await queue.take())

    # Their order is that of their coming, whatever the clock said; the lease ended at its moment.
    assert [each and each.id for each in rest] == [ids[2], ids[3], lapsing.id]


async def acknowledge(queue: Queue, lease: Lease) -> None:
    await queue.service.acknowledge(Held(lease.id, lease.lock_token), now_ms=queue.now_ms)
