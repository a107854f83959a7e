"""Two of each process on one database and one broker, as a client sees them: one system."""

import itertools
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import redis

from beat.scheduler import LEASE_KEY
from models import outbox
from models.clock import now_ms
from models.database import Database
from models.vitals import read_vitals
from tests.deploy.conftest import NewNginx
from tests.deploy.nginx import Nginx
from tests.deploy.rabbitmq import RabbitmqServer
from tests.deploy.watchers import Watcher, watchers
from tests.messages.test_crash import Ledger, consume, is_empty, produce, tokens_on_disk
from tests.postgresql import PostgresqlServer
from tests.servers import RedisServer, System, free_port, wait_until

# Twelve processes on a small machine: what takes minutes is not for every run.
pytestmark = pytest.mark.xdist_group("scale")

ROLES = ("api", "relay", "worker", "beat")
# How soon work that no worker claimed is sent again; the default is 10 s.
RESEND_AFTER_S = 2
_numbers = itertools.count()


@dataclass
class Town:
    """Two of each role, nginx before them, and the stores that they share."""

    database_url: str
    redis: RedisServer
    broker: RedisServer | RabbitmqServer
    nginx: Nginx
    processes: dict[str, System] = field(default_factory=dict)  # by "api1", "api2", "relay1", …

    def kill(self, name: str) -> None:
        """End one process, or the broker, as a crash would."""
        if name == "broker":
            self.broker.process.kill()
        else:
            self.processes[name].running[name[:-1]].kill()

    def revive(self, name: str) -> None:
        """Start it again, as a service manager would."""
        if name == "broker":
            self.broker.start()
        else:
            self.start(name)

    def start(self, name: str) -> None:
        """Start a process without waiting for it."""
        command = ("api.cli", name[:-1], *(("--name", name) if "worker" in name else ()))
        self.processes[name].start(name[:-1], command=command)

    def leader(self) -> str:
        """Return the beat that leads: its lease names its process."""
        with redis.Redis.from_url(self.redis.url) as client:
            lease = wait_until(lambda: client.get(LEASE_KEY), "a beat leads", timeout_s=60)
        pid = int(lease.decode().split(":")[1])
        [name] = [
            name
            for name, system in self.processes.items()
            if "beat" in name and system.running["beat"].pid == pid
        ]
        return name

    def wait_for_tasks(self, victim: str) -> None:
        """Wait until a tick went from beat through the broker into a worker, from now on."""
        since_ms = now_ms()
        with redis.Redis.from_url(self.redis.url) as client:
            wait_until(
                lambda: (read_vitals(client).tick_ran_at_ms or 0) > since_ms,
                f"a tick runs without {victim}",
                timeout_s=60,
            )

    def is_well(self) -> bool:
        """Say whether both APIs find every component healthy."""
        answers = [httpx.get(f"{self.processes[name].url}/health") for name in ("api1", "api2")]
        return all(set(each.json()["components"].values()) == {"healthy"} for each in answers)


@pytest.fixture(scope="module", params=["redis", pytest.param("rabbitmq", marks=pytest.mark.slow)])
def town(
    request: pytest.FixtureRequest,
    postgresql_server: PostgresqlServer,
    new_nginx: NewNginx,
    new_folder: Callable[[str], Path],
) -> Iterator[Town]:
    """Everything twice, on the broker that the parameter names; a test leaves it well."""
    with ExitStack() as stack:
        server = stack.enter_context(RedisServer(new_folder("r"), appends=True))
        broker: RedisServer | RabbitmqServer = server
        if request.param == "rabbitmq":
            folder = request.getfixturevalue("rabbitmq_folder")
            broker = stack.enter_context(RabbitmqServer(folder))
        name = f"town{next(_numbers)}"
        url = postgresql_server.create_database(name, template="migrated")
        binds = {f"{role}{n}": f"127.0.0.1:{free_port()}" for role in ROLES for n in (1, 2)}
        nginx = new_nginx(
            api=[binds["api1"], binds["api2"]], relay=[binds["relay1"], binds["relay2"]]
        )
        town = Town(url, server, broker, nginx)
        for name, bind in binds.items():
            town.processes[name] = System(
                new_folder("y"),
                database_url=url,
                redis_url=server.url,
                processes=(name[:-1],),
                settings={
                    "BIND": bind,
                    "RELAY_BIND": bind,
                    "BROKER_URL": broker.url,
                    "OUTBOX_RESEND_AFTER_S": str(RESEND_AFTER_S),
                },
            )
            town.start(name)
            stack.callback(town.processes[name].__exit__)
        stack.enter_context(nginx)
        wait_until(town.is_well, "everything is well", timeout_s=60)
        yield town


def add_work(database: Database) -> int:
    """Note work that must happen, and send no hint: as if the sender died after its commit."""
    with database.begin() as connection:
        hint = outbox.add(
            connection,
            task="system.probe",
            task_queue="system",
            now_ms=now_ms(),
            resend_after_ms=RESEND_AFTER_S * 1000,
            claim_ms=5_000,
        )
    return hint.outbox_id


def is_done(database: Database, outbox_id: int) -> bool:
    with database.begin() as connection:
        entry = outbox.read(connection, outbox_id)
    return entry is not None and entry.finished_at_ms is not None


def lose(town: Town, victim: str, ledger: Ledger, watching: Mapping[str, Watcher]) -> None:
    """Kill one process, see the others do its work, and start it again."""
    victim = town.leader() if victim == "leader" else victim
    town.kill(victim)
    if victim == "broker":
        stored = len(ledger.stored)
        wait_until(lambda: len(ledger.stored) > stored + 10, "messages flow without broker")
        town.revive(victim)
    stored = len(ledger.stored)
    seen = {way: len(watcher.seen) for way, watcher in watching.items()}
    wait_until(lambda: len(ledger.stored) > stored + 10, f"messages flow without {victim}")
    for way, watcher in watching.items():
        wait_until(
            lambda way=way, watcher=watcher: len(watcher.seen) > seen[way] + 10,
            f"events flow by {way} without {victim}",
            timeout_s=60,
        )
    town.wait_for_tasks(victim)
    if victim != "broker":
        town.revive(victim)


def test_a_client_of_one_process_sees_what_was_done_through_the_others(town: Town) -> None:
    one, other = (town.processes[name].url for name in ("api1", "api2"))
    relays = [town.processes[name].url for name in ("relay1", "relay2")]
    taken: list[str] = []

    def take() -> None:
        answer = httpx.get(f"{one}/api/queue/message?timeout=20&type=far", timeout=30)
        taken.append(answer.json()["id"])

    with Watcher(relays[0]) as first, Watcher(relays[1]) as second:
        taking = threading.Thread(target=take)
        taking.start()
        stored = httpx.post(f"{other}/api/queue/message", json={"type": "far", "payload": {}})
        taking.join()
        message_id = stored.json()["id"]
        wait_until(lambda: message_id in first.seen & second.seen, "both relays tell of it")

    assert taken == [message_id]


@pytest.mark.parametrize(
    "victims",
    [
        pytest.param(("api1", "relay1", "worker1", "leader"), id="briefly"),
        pytest.param(
            ("broker", *(f"{role}{n}" for n in (1, 2) for role in ROLES), "leader", "broker"),
            id="at-length",
            marks=[pytest.mark.slow, pytest.mark.timeout(600)],
        ),
    ],
)
def test_whatever_is_killed_the_rest_is_one_system_and_nothing_is_lost(
    town: Town, victims: tuple[str, ...]
) -> None:
    ledger, work = Ledger(), []
    url = town.nginx.url
    database = Database(town.database_url, connections_max=4, timeout_s=10)
    # An ack is a request of its own: as many consumers as producers would fall behind for minutes.
    acts = (produce, consume, consume) * 2
    threads = [threading.Thread(target=act, args=(url, ledger)) for act in acts]
    for thread in threads:
        thread.start()
    try:
        with watchers(url) as watching:
            for victim in victims:
                work.append(add_work(database))
                lose(town, victim, ledger, watching)
                work.append(add_work(database))
                wait_until(town.is_well, f"everything is well after {victim}", timeout_s=60)
            ledger.producers_are_over.set()
            wait_until(lambda: is_empty(url), "everything is dealt with", timeout_s=60)
            wait_until(lambda: all(is_done(database, each) for each in work), "all work was done")
    finally:
        ledger.producers_are_over.set()
        ledger.is_over.set()
        for thread in threads:
            thread.join()
        database.close()

    done = tokens_on_disk(town.database_url)
    assert len(ledger.stored) > 50
    assert set(ledger.stored) <= set(done)
    assert all(done[message_id] == token for message_id, token in ledger.acknowledged)


def test_processes_stop_at_once_when_told_to(town: Town) -> None:
    for name, system in town.processes.items():
        process = system.running[name[:-1]]
        process.send_signal(signal.SIGTERM)

        assert process.wait(10) == 0, process.log()[-2000:]
