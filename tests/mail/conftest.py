"""A real Exim with a spool of its own, a sink for what it sends, and the index of it."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from models.database import Database
from models.mail.jobs import apply_batch
from models.mail.watcher import Watcher
from tests.mail.exim_server import EximServer, Sink, require_exim
from tests.mail.mail_system import PASSWORD, MailSystem
from tests.servers import RedisServer, System, wait_until


class House:
    """A mail host in this process: Exim, its watcher, and the index that it keeps."""

    def __init__(self, exim: EximServer, database: Database, host: str = "mx1") -> None:
        self.exim = exim
        self.database = database
        self.host = host
        self.now_ms = 1_700_000_000_000
        self.watcher = Watcher(exim.spool, host, generation=1)

    def settle(self) -> None:
        """Tell the index what changed, in as many batches as it takes."""
        self.watcher.note()
        while True:
            batch = self.watcher.take_batch()
            applied = apply_batch(self.database, batch, now_ms=self.now_ms)
            assert applied.holds == (batch.generation, batch.number)
            if not self.watcher.has_changes:
                return

    def close(self) -> None:
        self.watcher.close()


@pytest.fixture(scope="session")
def sink() -> Iterator[Sink]:
    """An SMTP server on loopback that takes, defers or refuses by the name of the recipient."""
    with Sink() as started:
        yield started


@pytest.fixture(scope="session")
def exim_server(sink: Sink, new_folder: Callable[[str], Path]) -> EximServer:
    """An Exim that all tests of this run share, each with an empty spool."""
    require_exim()
    return EximServer(new_folder("e"), sink_port=sink.port)


@pytest.fixture
def exim(exim_server: EximServer) -> EximServer:
    """An Exim with an empty spool."""
    exim_server.empty()
    return exim_server


@pytest.fixture
def house(exim: EximServer, database: Database) -> Iterator[House]:
    """A mail host and its index, on both databases."""
    made = House(exim, database)
    yield made
    made.close()


@pytest.fixture(scope="session")
def running(
    backend: str,  # noqa: ARG001  # the database that all of this runs on
    new_database_url: Callable[[], str],
    new_folder: Callable[[str], Path],
    exim_server: EximServer,
    sink: Sink,
) -> Iterator[MailSystem]:
    """API, worker and mail-watch, started once for each database."""
    with contextlib.ExitStack() as stack:
        redis_server = stack.enter_context(RedisServer(new_folder("r")))
        system = System(
            new_folder("y"),
            database_url=new_database_url(),
            redis_url=redis_server.url,
            processes=("api", "worker"),
            settings={
                "ADMIN_PASSWORD": PASSWORD,
                "EXIM": " ".join(exim_server.command),
                "MAIL_ANSWER_S": "3",
            },
        )
        system.__enter__()
        stack.push(system)
        system.start("mail-watch", command=("api.cli", "mail-watch", "--host", "mx1"))
        made = MailSystem(system, exim_server, sink)
        stack.callback(made.http.close)
        hosts = lambda: made.http.get("/api/v1/queue/hosts").json()["data"]["hosts"]  # noqa: E731
        wait_until(hosts, "a host is known", process=system.running["mail-watch"])
        yield made


@pytest.fixture
def mail(running: MailSystem, exim: EximServer) -> MailSystem:
    """The running system, its queue empty."""
    running.wait_for()
    assert exim is running.exim
    return running
