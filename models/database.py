"""SQL, spoken to from threads of its own, so that an event loop never waits for a disk.

One `Database` serves both sides: services await `run` and `read`, jobs call `begin`. What they run
is the same synchronous function of a Connection, so each statement is written once. ADR 0002 says
why threads and not an async driver.

PostgreSQL: a pool of connections, one thread for each. SQLite: one writer thread, since it has one
writer anyway, and a few for reading; WAL, and a transaction that may write takes the lock at its
start, because an upgrade from reading fails at once however long the busy timeout.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine, MetaData, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    DBAPIError,
    DisconnectionError,
    InterfaceError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from models.errors import UnavailableError

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
    }
)

T = TypeVar("T")

_SQLITE_READERS: Final = 4
# Connections to PostgreSQL for work by index, and those whose commits do not wait for the disk,
# beside the others; opened when they are needed: a process that never asks for one has none.
_INDEXED_CONNECTIONS: Final = 8
_RELAXED_CONNECTIONS: Final = 3
# Tables that are empty now and long in a minute: a plan made from their statistics is a bad guess,
# a plan by index is right at any size. Made once for each statement, since planning takes longer
# than doing.
_BY_INDEX: Final = (
    *("enable_seqscan=off", "enable_bitmapscan=off", "enable_sort=off"),
    *("enable_hashjoin=off", "enable_mergejoin=off", "plan_cache_mode=force_generic_plan"),
)
# A connection that rested longer than this is asked whether it still lives before it is used.
_TRUSTED_IDLE_S: Final = 1.0


class Database:
    """A pool of connections to one database, for use from an event loop and from threads.

    Every method raises UnavailableError when the database cannot be reached, is full, or does not
    answer within `timeout_s`; a write that failed so may or may not be stored.
    """

    def __init__(self, url: str, *, connections_max: int, timeout_s: float) -> None:
        self._url: Final = _driver_url(url)
        self.is_sqlite: Final = self._url.get_backend_name() == "sqlite"
        self._timeout_s: Final = timeout_s
        self._readers: Executor
        self._writers: Executor
        if self.is_sqlite:
            self._engine = _sqlite_engine(self._url, timeout_s)
            self._relaxed = self._indexed = self._snapshots = self._engine
            self._writers = ThreadPoolExecutor(1, "sqlite-writer")
            self._readers = ThreadPoolExecutor(_SQLITE_READERS, "sqlite-reader")
        else:
            self._engine = _postgresql_engine(self._url, connections_max, timeout_s)
            self._indexed = _postgresql_engine(
                self._url, _INDEXED_CONNECTIONS, timeout_s, settings=_BY_INDEX
            )
            self._relaxed = _postgresql_engine(
                self._url,
                _RELAXED_CONNECTIONS,
                timeout_s,
                settings=(*_BY_INDEX, "synchronous_commit=off"),
            )
            self._snapshots = self._engine.execution_options(isolation_level="REPEATABLE READ")
            self._writers = self._readers = ThreadPoolExecutor(connections_max, "postgresql")

    async def run(
        self,
        work: Callable[[Connection], T],
        *,
        durable: bool = True,
        by_index: bool = False,
        late: Callable[[T], None] | None = None,
    ) -> T:
        """Run `work` in one transaction and return what it returned, after the commit.

        With `durable` the commit is on disk by then. Without, a crash of the machine may undo it,
        never half of it: for what is safe to do again; such work is by index too. `by_index` says
        that every statement finds its few rows by an index, so PostgreSQL need not choose. `late`
        is told, in the event loop, what `work` returned when it committed after all, though nobody
        waits for it any more.
        """
        engine = self._indexed if by_index else self._engine
        if not durable:
            engine = self._relaxed
        return await self._in_thread(self._writers, self._write, work, engine, durable, late=late)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work`, which only reads, on one snapshot."""
        return await self._in_thread(self._readers, self._read, work)

    @contextmanager
    def snapshot(self, *, timeout_s: float) -> Iterator[Connection]:
        """Open one transaction for a job that sees one moment, and may take `timeout_s`."""
        with _translated(), self._snapshots.begin() as connection:
            if not self.is_sqlite:
                timeout_ms = int(timeout_s * 1000)
                connection.execute(text(f"SET LOCAL statement_timeout = {timeout_ms}"))
            yield connection

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Open one transaction for a job; commits at the end, rolls back on an error."""
        with _translated(), self._engine.begin() as connection:
            yield connection

    def look(self, work: Callable[[Connection], T]) -> T:
        """Run `work`, which only reads, on one snapshot in this thread: for a job."""
        return self._read(work)

    def check(self) -> None:
        """Answer if the database does; blocks, at most about the timeout."""
        self._read(lambda connection: connection.execute(text("SELECT 1")).scalar_one())

    async def ping(self) -> None:
        """Answer if the database does."""
        await self.read(lambda connection: connection.execute(text("SELECT 1")).scalar_one())

    def close(self) -> None:
        """Finish what is under way and close every connection."""
        self._writers.shutdown()
        self._readers.shutdown()
        self._engine.dispose()
        self._indexed.dispose()
        self._relaxed.dispose()

    async def _in_thread(
        self,
        executor: Executor,
        call: Callable[..., T],
        *arguments: object,
        late: Callable[[T], None] | None = None,
    ) -> T:
        work = executor.submit(call, *arguments)
        waiting = asyncio.wrap_future(work)
        # The statements have a deadline of their own; this one is for a peer that went silent.
        done, _ = await asyncio.wait({waiting}, timeout=self._timeout_s * 2)
        if done:
            return waiting.result()
        if not work.cancel() and late is not None:
            work.add_done_callback(_telling(asyncio.get_running_loop(), late))
        raise UnavailableError("database", "it did not answer in time")

    def _write(self, work: Callable[[Connection], T], engine: Engine, durable: bool) -> T:  # noqa: FBT001
        with _translated(), engine.connect() as connection:
            if self.is_sqlite:
                _set_sqlite_durability(connection, durable=durable)
            with connection.begin():
                return work(connection)

    def _read(self, work: Callable[[Connection], T]) -> T:
        with _translated(), self._snapshots.connect() as connection:
            connection.info["reads_only"] = True
            try:
                with connection.begin():
                    return work(connection)
            finally:
                connection.info["reads_only"] = False


def _telling(
    loop: asyncio.AbstractEventLoop, late: Callable[[T], None]
) -> Callable[[Future[T]], None]:
    """Return a callback for a thread that tells a loop, which may be closed by then."""

    def tell(work: Future[T]) -> None:
        if work.exception() is None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(late, work.result())

    return tell


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except PoolTimeoutError as error:
        raise UnavailableError("database", "no connection became free in time") from error
    except (OperationalError, InterfaceError) as error:
        raise UnavailableError("database", _reason(error)) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise UnavailableError("database", _reason(error)) from error
        raise


def _reason(error: DBAPIError) -> str:
    return " ".join(str(error.orig).split())[:200]


def _driver_url(url: str) -> URL:
    parsed = make_url(url)
    drivers = {"sqlite": "sqlite+pysqlite", "postgresql": "postgresql+psycopg"}
    return parsed.set(drivername=drivers[parsed.get_backend_name()])


def _sqlite_engine(url: URL, timeout_s: float) -> Engine:
    engine = create_engine(
        url,
        pool_size=_SQLITE_READERS + 1,
        max_overflow=16,  # jobs run in the worker's threads and each needs its own
        connect_args={"timeout": timeout_s, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver shall not begin transactions of its own
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        reads = connection.info.get("reads_only", False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def _set_sqlite_durability(connection: Connection, *, durable: bool) -> None:
    """Switch whether a commit waits for the disk; SQLite allows that between transactions only."""
    if connection.info.get("durable", True) != durable:
        cursor = connection.connection.cursor()  # beside SQLAlchemy, which would begin
        cursor.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        cursor.close()
        connection.info["durable"] = durable


def _postgresql_engine(
    url: URL, connections_max: int, timeout_s: float, *, settings: Sequence[str] = ()
) -> Engine:
    timeout_ms = int(timeout_s * 1000)
    options = (
        f"-c timezone=utc -c statement_timeout={timeout_ms} -c lock_timeout={timeout_ms}"
        f" -c idle_in_transaction_session_timeout={timeout_ms * 3}"
        f" -c synchronous_commit=on -c jit=off{''.join(f' -c {setting}' for setting in settings)}"
    )
    engine = create_engine(
        url,
        pool_size=connections_max,
        max_overflow=0,
        pool_timeout=timeout_s,
        pool_use_lifo=True,
        connect_args={
            "options": options,
            "connect_timeout": max(2, int(timeout_s)),
            "application_name": "stanchion",
            "tcp_user_timeout": timeout_ms * 2,
            "keepalives_idle": 30,
        },
    )

    @event.listens_for(engine, "checkin")
    def _checkin(_connection: object, record: Any) -> None:
        record.info["rested_since_s"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _checkout(connection: Any, record: Any, _proxy: object) -> None:
        since_s = record.info.get("rested_since_s")
        if since_s is not None and time.monotonic() - since_s > _TRUSTED_IDLE_S:
            try:
                connection.execute("SELECT 1")
                connection.rollback()
            except Exception as error:
                raise DisconnectionError from error

    return engine
