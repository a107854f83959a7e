"""The queue in this process on an empty database, and the claim that everybody writes beside it."""

import asyncio
import itertools
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import psycopg
from sqlalchemy import Connection, text

from models import clock, migrate
from models.database import Database
from models.events import Arrivals, Event
from models.messages.rules import Held, LeaseRequest, NewMessage
from models.messages.service import MessageLimits, MessageService
from models.messages.statements.parameters import COLUMNS

BATCH: Final = 100
PAYLOAD: Final = '"' + "x" * 254 + '"'

_FILL_MAX: Final = 50_000  # in one transaction
_FILL: Final = {
    "postgresql": """
        INSERT INTO message_ready (queue, lane, payload, attempt_count, max_attempts, lease_ms,
                                   created_at_ms)
        SELECT 'default', 9, :payload, 0, 3, 30000, 0 FROM generate_series(1, :count)
        """,
    "sqlite": """
        WITH RECURSIVE numbers (n) AS
            (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :count)
        INSERT INTO message_ready (queue, lane, payload, attempt_count, max_attempts, lease_ms,
                                   created_at_ms)
        SELECT 'default', 9, :payload, 0, 3, 30000, 0 FROM numbers
        """,
}
# Two of its rounds, and a minute for the work itself.
_VACUUM_PATIENCE_S: Final = 180
_DEAD: Final = """
    SELECT relname FROM pg_stat_user_tables
    WHERE relname IN ('message_ready', 'message_leased') AND n_dead_tup > 10000
    """
_PLAIN: Final = text(
    f"""
    WITH picked AS (
        DELETE FROM message_ready
        WHERE id = ANY (ARRAY (SELECT id FROM message_ready WHERE queue = 'default'
                               ORDER BY lane, id LIMIT :count FOR UPDATE SKIP LOCKED))
        RETURNING {COLUMNS}
    )
    INSERT INTO message_leased ({COLUMNS}, lock_token, consumer_id, leased_at_ms, lease_length_ms,
                                lease_until_ms)
    SELECT {COLUMNS}, 'plain', 'plain', :now_ms, lease_ms, :now_ms + lease_ms FROM picked
    RETURNING {COLUMNS}, lock_token
    """
)


class Silence:
    """A publisher that tells nobody."""

    def publish(self, domain: str, events: Sequence[Event]) -> None:
        """Do nothing."""

    def wake(self, domain: str, arrived: Arrivals | None) -> None:
        """Do nothing."""


class Nobody:
    """A caller that stays."""

    def has_hung_up(self) -> bool:
        """Say no."""
        return False

    async def hung_up(self) -> None:
        """Never return."""
        await asyncio.Event().wait()


@dataclass
class Times:
    """Seconds that claims took, and the whole of what they were part of."""

    claims_s: list[float]
    took_s: float

    @property
    def claim_ms(self) -> float:
        """Return the median of the claims."""
        return median(self.claims_s) * 1000


class Store:
    """The queue on an empty database."""

    def __init__(self, url: str, *, is_plain: bool = False) -> None:
        migrate.upgrade(url)
        self.url: Final = url
        self.database: Final = Database(url, connections_max=12, timeout_s=60)
        self._is_plain: Final = is_plain
        self._tokens: Final = itertools.count()
        self.service: Final = MessageService(
            self.database, Silence(), clock=clock.now_ms, process=0, limits=MessageLimits()
        )

    async def close(self) -> None:
        """Close the connections."""
        await self.service.close()
        self.database.close()

    def fill(self, count: int) -> None:
        """Store messages that wait."""
        statement = text(_FILL["sqlite" if self.database.is_sqlite else "postgresql"])
        for start in range(0, count, _FILL_MAX):
            rows = min(count - start, _FILL_MAX)
            with self.database.begin() as connection:
                connection.execute(statement, {"payload": PAYLOAD, "count": rows})

    async def claim(self) -> list[Held]:
        """Take BATCH messages, or as many as there are."""
        if self._is_plain:
            return await self.database.run(self._claim_plainly, durable=False)
        requests = [LeaseRequest("bench", f"lt_{next(self._tokens)}") for _ in range(BATCH)]
        leases = await self.service.lease_many(requests, timeout_s=5, caller=Nobody())
        return [Held(given.id, given.lock_token) for given in leases]

    def _claim_plainly(self, connection: Connection) -> list[Held]:
        rows = connection.execute(_PLAIN, {"count": BATCH, "now_ms": clock.now_ms()})
        return [Held(row.id, row.lock_token) for row in rows]

    async def claims(self, count: int) -> Times:
        """Take messages without dealing with them."""
        times: list[float] = []
        for _ in range(count):
            began_s = time.perf_counter()
            await self.claim()
            times.append(time.perf_counter() - began_s)
        return Times(times, sum(times))

    async def cycles(self, count: int) -> Times:
        """Store BATCH messages, take and acknowledge as many, so many times."""
        times: list[float] = []
        start_s = time.perf_counter()
        for _ in range(count):
            await self.service.enqueue([NewMessage(PAYLOAD)] * BATCH, now_ms=clock.now_ms())
            began_s = time.perf_counter()
            helds = await self.claim()
            times.append(time.perf_counter() - began_s)
            await self.service.acknowledge_many(helds, now_ms=clock.now_ms())
        return Times(times, time.perf_counter() - start_s)

    @contextmanager
    def transaction_held(self) -> Iterator[None]:
        """Keep a transaction open that looks at one moment, as a dump does."""
        self.database.check()  # the first connection of the queue's own sets an SQLite file up
        if self.database.is_sqlite:
            connection = sqlite3.connect(self.url.removeprefix("sqlite:///"), isolation_level=None)
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM message_ready").fetchall()
            try:
                yield
            finally:
                connection.close()
            return
        with psycopg.connect(self.url) as elsewhere:
            elsewhere.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            elsewhere.execute("SELECT count(*) FROM message_ready")
            yield

    def wait_for_vacuum(self) -> None:
        """Wait until PostgreSQL's autovacuum, which looks around each minute, has cleared up."""
        if self.database.is_sqlite:
            return
        deadline_s = time.monotonic() + _VACUUM_PATIENCE_S
        with psycopg.connect(self.url, autocommit=True) as connection:
            while connection.execute(_DEAD).fetchone() and time.monotonic() < deadline_s:
                time.sleep(1)

    def size_mb(self) -> tuple[float, float]:
        """Return the size of the database, and what of it is acknowledged messages, kept."""
        if self.database.is_sqlite:
            path = Path(self.url.removeprefix("sqlite:///"))
            return sum(one.stat().st_size for one in path.parent.glob(f"{path.name}*")) / 1e6, 0.0
        with psycopg.connect(self.url) as connection:
            row = connection.execute(
                """
                SELECT pg_database_size(current_database())::bigint,
                       (SELECT sum(pg_total_relation_size(relid))::bigint
                        FROM pg_partition_tree('message_done'))
                """
            ).fetchone()
        assert row is not None
        return row[0] / 1e6, row[1] / 1e6
