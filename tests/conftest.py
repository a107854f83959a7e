"""Servers and stores for every test; each pytest-xdist worker has its own set.

What a test names decides what is started: `redis_client`, `database` (runs on SQLite and on
PostgreSQL), `system` (the real processes, on each), `http` (a client of it). Tests that kill or
freeze something start their own with `start_system`.
"""

import itertools
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import httpx
import kombu.pools
import pytest
import redis

from models import migrate
from models.database import Database
from models.errors import UnavailableError
from models.settings import load_settings
from tests.postgresql import PostgresqlServer
from tests.servers import ALL_PROCESSES, BACKENDS, RedisServer, System, temporary_folder
from workers.app import app, configure


class StartSystem(Protocol):
    """Starts processes of the product for one test, on stores of their own."""

    def __call__(self, *processes: str, **settings: str) -> System:
        """Start the roles and wait until they are ready; settings have no prefix."""


# Groups that take minutes, whatever their number of tests: a worker that began them last would
# work on alone.
LONG_GROUPS = ("supervisor", "browser", "dev", "scale")
_SYSTEM = "system-"
_CLEAN_TURNS = 5


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep tests that share processes in one xdist worker (--dist loadgroup): they start once.

    Long groups come first, then large ones, then what stands alone, and at last those that share
    the processes of `system`: these run until the worker's end, and take a tenth of a core.
    """
    if not config.pluginmanager.hasplugin("xdist"):
        return
    for item in items:
        assert isinstance(item, pytest.Function)
        if group := _group(item):
            item.add_marker(pytest.mark.xdist_group(group))
    sizes = Counter(_marked_group(item) for item in items)

    def place(item: pytest.Item) -> tuple[int, int, str]:
        group = _marked_group(item)
        if group is None:
            return len(LONG_GROUPS) + 1, 0, ""
        if group in LONG_GROUPS:
            return LONG_GROUPS.index(group), 0, group
        if group.startswith(_SYSTEM):
            return len(LONG_GROUPS) + 2, -sizes[group], group
        return len(LONG_GROUPS), -sizes[group], group

    items.sort(key=place)


def _marked_group(item: pytest.Item) -> str | None:
    marker = item.get_closest_marker("xdist_group")
    return None if marker is None else str(marker.args[0])


def _group(item: pytest.Function) -> str | None:
    if "browser" in item.fixturenames:
        # Playwright's loop runs on beneath every test until its browser stops: no test that
        # starts a loop of its own may come between.
        return "browser"
    if "system" in item.fixturenames:
        return f"{_SYSTEM}{item.callspec.params['backend']}"
    if "running" in item.fixturenames:  # by convention, processes that one module shares
        return f"{item.path.stem}-{item.callspec.params['backend']}"
    return None


@pytest.fixture(scope="session")
def run_folder() -> Iterator[Path]:
    """A folder for everything of this run, removed at its end."""
    with temporary_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def new_folder(run_folder: Path) -> Callable[[str], Path]:
    """Makes a folder of its own for a server."""
    numbers = itertools.count()

    def make(name: str) -> Path:
        folder = run_folder / f"{name}{next(numbers)}"
        folder.mkdir()
        return folder

    return make


@pytest.fixture(scope="session")
def redis_server(new_folder: Callable[[str], Path]) -> Iterator[RedisServer]:
    """A Redis for tests that leave it running."""
    with RedisServer(new_folder("r")) as server:
        yield server


@pytest.fixture
def redis_client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """A client of an empty Redis."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
        yield client


@pytest.fixture(scope="session")
def postgresql_server(new_folder: Callable[[str], Path]) -> Iterator[PostgresqlServer]:
    """A PostgreSQL with the migrated database `migrated` to clone from."""
    if PostgresqlServer.program("initdb") is None:
        reason = "PostgreSQL is not installed (Debian: postgresql)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with PostgresqlServer(new_folder("p")) as server:
        migrate.upgrade(server.create_database("migrated"))
        yield server


@pytest.fixture(scope="session")
def migrated_file(new_folder: Callable[[str], Path]) -> Path:
    """A migrated SQLite file to copy from."""
    path = new_folder("m") / "migrated.db"
    migrate.upgrade(f"sqlite:///{path}")
    return path


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what reaches a database on each of them, and what says `on_sqlite` on SQLite alone."""
    given = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    if "backend" not in metafunc.fixturenames or any("backend" in names for names in given):
        return
    is_alone = metafunc.definition.get_closest_marker("on_sqlite") is not None
    databases = ("sqlite",) if is_alone else BACKENDS
    metafunc.parametrize("backend", databases, indirect=True, scope="session")


@pytest.fixture(scope="session")
def backend(request: pytest.FixtureRequest) -> str:
    """The database that a test runs on."""
    return str(request.param)


@pytest.fixture(scope="session")
def new_database_url(
    backend: str, request: pytest.FixtureRequest, new_folder: Callable[[str], Path]
) -> Callable[[], str]:
    """Makes an empty, migrated database and returns its address."""
    if backend == "postgresql":
        server: PostgresqlServer = request.getfixturevalue("postgresql_server")
        # This fixture is made anew whenever tests come back to a database; folders never repeat.
        return lambda: server.create_database(new_folder("test").name, template="migrated")
    migrated: Path = request.getfixturevalue("migrated_file")
    return lambda: f"sqlite:///{shutil.copy(migrated, new_folder('s') / 'stanchion.db')}"


@pytest.fixture(scope="session")
def database_url(new_database_url: Callable[[], str]) -> str:
    """A migrated database that no process of the product runs on."""
    return new_database_url()


@pytest.fixture(scope="session")
def open_database(database_url: str) -> Iterator[Database]:
    """Hold the connections that `database` hands to one test after the other."""
    database = Database(database_url, connections_max=4, timeout_s=10)
    yield database
    database.close()


@pytest.fixture
def database(open_database: Database) -> Database:
    """An empty database, without any process of the product on it."""
    delete_all_rows(open_database)
    return open_database


@pytest.fixture(scope="session")
def system(
    new_database_url: Callable[[], str], new_folder: Callable[[str], Path]
) -> Iterator[System]:
    """API, worker and beat, started once for each database; leave them running."""
    with (
        RedisServer(new_folder("r")) as server,
        System(
            new_folder("y"),
            database_url=new_database_url(),
            redis_url=server.url,
            # Tests set up more rooms in a minute than an admin may.
            settings={"WEBHOOK_NETWORKS": "127.0.0.0/8", "ROOM_ADMIN_PER_MINUTE_MAX": "100000"},
        ) as started,
    ):
        yield started


@pytest.fixture(scope="session")
def open_system_database(system: System) -> Iterator[Database]:
    """Hold the connections that `system_database` hands to one test after the other."""
    database = Database(system.database_url, connections_max=4, timeout_s=10)
    yield database
    database.close()


@pytest.fixture
def system_database(open_system_database: Database) -> Database:
    """The database of `system`, emptied."""
    delete_all_rows(open_system_database)
    return open_system_database


@pytest.fixture
def http(system: System, system_database: Database) -> Iterator[httpx.Client]:
    """A client of `system`, whose database was emptied."""
    assert system_database is not None
    with httpx.Client(base_url=system.url, timeout=20) as client:
        yield client


@pytest.fixture
def start_system(
    new_database_url: Callable[[], str], new_folder: Callable[[str], Path]
) -> Iterator[StartSystem]:
    """Starts processes on a Redis and a database of their own, for a test that does them harm."""
    with ExitStack() as stack:

        def start(*processes: str, **settings: str) -> System:
            server = stack.enter_context(RedisServer(new_folder("r"), appends=True))
            system = System(
                new_folder("y"),
                database_url=new_database_url(),
                redis_url=server.url,
                processes=processes or ALL_PROCESSES,
                settings=settings,
            )
            system.redis_server = server
            return stack.enter_context(system)

        yield start


@pytest.fixture
def send_through() -> Iterator[Callable[[str], None]]:
    """Makes `workers.app.send` of this process use the broker at an address."""

    def let_go() -> None:
        kombu.pools.reset()
        app.amqp._producer_pool = None
        app._pool = None

    def use(broker_url: str) -> None:
        name = "STANCHION_BROKER_URL" if broker_url.startswith("amqp") else "STANCHION_REDIS_URL"
        configure(load_settings({name: broker_url, "STANCHION_TIMEZONE": "UTC"}))
        let_go()  # whoever asked a broker in this process before kept a connection

    yield use
    let_go()


def delete_all_rows(database: Database) -> None:
    """Empty every table; some 0.3 ms, where TRUNCATE takes 14.

    A server may still be writing for a client that has gone, and lock rows in another order.
    """
    for turns_left in reversed(range(_CLEAN_TURNS)):
        try:
            with database.begin() as connection:
                for table in reversed(migrate.all_tables().sorted_tables):
                    connection.execute(table.delete())
        except UnavailableError as error:
            if turns_left == 0 or "deadlock" not in str(error):
                raise
        else:
            return
