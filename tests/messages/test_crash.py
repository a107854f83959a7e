"""Everything is killed under load, one after the other; every acknowledged message is counted."""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from models.database import Database
from tests.servers import wait_until
from tests.system.supervised import Up

PRODUCERS, CONSUMERS = 4, 4
# More attempts than there are kills, so that none dies of them.
MESSAGE = {"payload": {"pad": "x" * 100}, "max_attempts": 100}
PAUSE_S = 1.0  # of load between one kill and the next


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


@pytest.mark.xdist_group("supervisor")
def test_no_message_is_lost_whatever_is_killed(
    new_folder: Callable[[str], Path], new_database_url: Callable[[], str]
) -> None:
    database_url = new_database_url()
    up = Up(new_folder("c"), DATABASE_URL=database_url)
    up.start_ready()
    ledger = Ledger()
    url = f"http://{up.bind}"
    producers = [threading.Thread(target=produce, args=(url, ledger)) for _ in range(PRODUCERS)]
    consumers = [threading.Thread(target=consume, args=(url, ledger)) for _ in range(CONSUMERS)]
    for thread in (*producers, *consumers):
        thread.start()
    try:
        for victim in ("api", "worker", "redis", "supervisor"):
            time.sleep(PAUSE_S)
            before = len(ledger.stored)
            kill(up, victim)
            wait_until(up.all_run, f"everything runs again after {victim}", process=up.process)
            wait_until(lambda: len(ledger.stored) > before, f"messages flow after {victim}")  # noqa: B023
        ledger.producers_are_over.set()
        wait_until(lambda: is_empty(url), "everything is dealt with", timeout_s=60)
    finally:
        ledger.producers_are_over.set()
        ledger.is_over.set()
        for thread in (*producers, *consumers):
            thread.join()
        up.process.stop()

    assert len(ledger.stored) > 100
    done = tokens_on_disk(database_url)
    assert set(ledger.stored) <= set(done)
    # Whoever was told "acknowledged" holds the token on disk; so no other was told it too.
    assert all(done[message_id] == token for message_id, token in ledger.acknowledged)
    assert max(Counter(message_id for message_id, _ in set(ledger.acknowledged)).values()) == 1


def kill(up: Up, victim: str) -> None:
    if victim == "supervisor":
        up.process.kill()
        up.start("again.log")
    elif victim == "api":  # master and workers, at the same moment
        os.killpg(up.children()["api"], signal.SIGKILL)
    else:
        os.kill(up.children()[victim], signal.SIGKILL)


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
