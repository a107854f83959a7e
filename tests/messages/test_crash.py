"""Everything is killed under load, in any order; every acknowledged message is counted."""

import contextlib
import itertools
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from models.database import Database
from tests.postgresql import DurablePostgresqlServer
from tests.servers import wait_until
from tests.system.supervised import Up

PRODUCERS, CONSUMERS = 4, 4
# More attempts than there are kills, so that none dies of them.
MESSAGE = {"payload": {"pad": "x" * 100}, "max_attempts": 100}
PAUSE_S_MAX = 2.0  # of load between one kill and the next


@dataclass
class Ledger:
    """What clients were told; an answer that never came is in no list."""

    stored: list[str] = field(default_factory=list)
    acknowledged: list[tuple[str, str]] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)
    producers_are_over: threading.Event = field(default_factory=threading.Event)


def produce(base_url: str, ledger: Ledger) -> None:
    with httpx.Client(base_url=base_url, timeout=10) as http:
        while not ledger.producers_are_over.is_set():
            try:
                answer = http.post("/api/queue/message", json=MESSAGE)
                if answer.status_code == 201:
                    ledger.stored.append(answer.json()["id"])
            except httpx.TransportError:
                time.sleep(0.05)  # a polite client pauses


def consume(base_url: str, ledger: Ledger) -> None:
    with httpx.Client(base_url=base_url, timeout=10) as http:
        while not ledger.is_over.is_set():
            try:
                answer = http.get("/api/queue/message?timeout=1&ack_timeout_seconds=3")
                if answer.status_code != 200:
                    continue
                held = {name: answer.json()[name] for name in ("id", "lock_token")}
                if http.post("/api/queue/ack", json=held).status_code == 200:
                    ledger.acknowledged.append((held["id"], held["lock_token"]))
            except httpx.TransportError:
                time.sleep(0.05)


@dataclass
class Stage:
    """Everything that may be killed."""

    up: Up
    postgresql: DurablePostgresqlServer | None
    starts: Iterator[int] = field(default_factory=itertools.count)

    @property
    def victims(self) -> list[str]:
        programs = ["api", "worker", "beat", "redis", "supervisor"]
        return programs + ["database"] * bool(self.postgresql)

    def kill(self, victim: str) -> None:
        """End a victim as a crash would, and what nobody else starts again is started."""
        if victim == "supervisor":
            self.up.process.kill()
            self.up.start(f"again{next(self.starts)}.log")
        elif victim == "api":  # master and workers, at the same moment
            os.killpg(self._find(victim), signal.SIGKILL)
        elif victim == "database":
            assert self.postgresql is not None
            self.postgresql.kill()
            self.postgresql.start()
        else:
            os.kill(self._find(victim), signal.SIGKILL)

    def _find(self, victim: str) -> int:
        """Return its process id; one that just ended is about to be started again."""
        pid = wait_until(lambda: self.up.children().get(victim), f"{victim} runs")
        assert isinstance(pid, int)
        return pid


@pytest.fixture
def stage(
    backend: str, new_folder: Callable[[str], Path], request: pytest.FixtureRequest
) -> Iterator[Stage]:
    """Everything, with a database of its own that waits for the disk."""
    folder = new_folder("c")
    with contextlib.ExitStack() as stack:
        postgresql, url = None, f"sqlite:///{folder}/queue.db"
        if backend == "postgresql":
            request.getfixturevalue("postgresql_server")  # it says so if there is none
            postgresql = stack.enter_context(DurablePostgresqlServer(new_folder("p")))
            url = postgresql.create_database("crash")
        made = Stage(Up(folder, DATABASE_URL=url), postgresql)
        made.up.start_ready()
        yield made
        made.up.process.stop()


@pytest.mark.xdist_group("supervisor")
@pytest.mark.parametrize(
    "rounds", [5, pytest.param(100, marks=[pytest.mark.slow, pytest.mark.timeout(5_400)])]
)
def test_no_message_is_lost_whatever_is_killed(stage: Stage, rounds: int) -> None:
    seed = random.SystemRandom().randrange(10_000)
    print(f"seed {seed}")  # noqa: T201 -- shown when it fails
    order = random.Random(seed)
    # Each of them once, in some order, and then whoever it hits.
    victims = order.sample(stage.victims, k=len(stage.victims))
    victims += order.choices(stage.victims, k=max(0, rounds - len(victims)))
    ledger = Ledger()
    url = f"http://{stage.up.bind}"
    producers = [threading.Thread(target=produce, args=(url, ledger)) for _ in range(PRODUCERS)]
    consumers = [threading.Thread(target=consume, args=(url, ledger)) for _ in range(CONSUMERS)]
    for thread in (*producers, *consumers):
        thread.start()
    try:
        for victim in victims:
            time.sleep(order.uniform(0, PAUSE_S_MAX))
            before = len(ledger.stored)
            stage.kill(victim)
            wait_until(
                stage.up.all_run,
                f"everything runs again after {victim}",
                process=stage.up.process,
                timeout_s=60,
            )
            wait_until(lambda: len(ledger.stored) > before, f"messages flow after {victim}")  # noqa: B023
        ledger.producers_are_over.set()
        # The longer the load, the more is left by consumers that were away.
        wait_until(lambda: is_empty(url), "everything is dealt with", timeout_s=60 + 6 * rounds)
    finally:
        ledger.producers_are_over.set()
        ledger.is_over.set()
        for thread in (*producers, *consumers):
            thread.join()

    check(ledger, stage.up.environ["STANCHION_DATABASE_URL"])


def check(ledger: Ledger, database_url: str) -> None:
    """See that nothing is lost and that nobody was told the same as another."""
    done = tokens_on_disk(database_url)
    assert len(ledger.stored) > 100
    assert set(ledger.stored) <= set(done)
    # Whoever was told "acknowledged" holds the token on disk; so no other was told it too.
    assert all(done[message_id] == token for message_id, token in ledger.acknowledged)
    assert max(Counter(message_id for message_id, _ in set(ledger.acknowledged)).values()) == 1


def is_empty(url: str) -> bool:
    counts = httpx.get(f"{url}/api/queue/metrics").json()
    assert counts["queued"] == counts["processing"] == counts["dead"] == 0, counts
    return True


def tokens_on_disk(database_url: str) -> dict[str, str]:
    database = Database(database_url, connections_max=4, timeout_s=10)
    with database.begin() as connection:
        rows = connection.execute(text("SELECT id, lock_token FROM message_done")).all()
    database.close()
    return {f"msg_{row.id:016x}": row.lock_token for row in rows}
