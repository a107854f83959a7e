"""Consumers that wait, over real connections: who hangs up, who is woken, what it costs."""

import contextlib
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from tests.conftest import StartSystem
from tests.messages.test_contract import put, take
from tests.messages.test_events import waiting_consumers
from tests.servers import System, wait_until

POLL = b"GET /api/queue/message?timeout=30 HTTP/1.1\r\nHost: localhost\r\n\r\n"


def poll_and_leave(system: System, *, count: int, reset: bool) -> list[socket.socket]:
    """Open long polls over bare sockets; `reset` decides how they will be closed."""
    address = urlsplit(system.url)
    sockets = []
    for _ in range(count):
        connection = socket.create_connection((str(address.hostname), int(address.port or 0)))
        if reset:  # no farewell: the peer finds out by an RST
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.sendall(POLL)
        sockets.append(connection)
    return sockets


@pytest.mark.parametrize("reset", [False, True])
def test_dead_consumers_get_no_lease(system: System, http: httpx.Client, reset: bool) -> None:  # noqa: FBT001
    sockets = poll_and_leave(system, count=20, reset=reset)
    wait_until(lambda: waiting_consumers(http) == 20, "all wait")
    for connection in sockets:
        connection.close()

    ids = {put(http)["id"] for _ in range(10)}
    taken = [take(http) for _ in range(10)]

    assert {one["id"] for one in taken} == ids
    assert all(one["attempt_count"] == 1 for one in taken)
    wait_until(lambda: waiting_consumers(http) == 0, "nobody waits")


def test_consumer_that_closes_just_as_a_message_comes_loses_nothing(
    system: System, http: httpx.Client
) -> None:
    for _ in range(20):
        [connection] = poll_and_leave(system, count=1, reset=False)
        wait_until(lambda: waiting_consumers(http) == 1, "it waits")
        connection.shutdown(socket.SHUT_RDWR)
        connection.close()
        queued = put(http)
        leased = take(http)
        assert (leased["id"], leased["attempt_count"]) == (queued["id"], 1)


def test_lease_that_runs_out_is_available_at_once_without_beat(start_system: StartSystem) -> None:
    system = start_system("api")  # no worker, no beat
    with httpx.Client(base_url=system.url, timeout=30) as http:
        put(http, ack_timeout_seconds=1)
        first = take(http)

        again = take(http, timeout=10)

        assert (again["id"], again["attempt_count"]) == (first["id"], 2)
        assert again["dequeued_at"] >= first["locked_until"]
        held = {"id": first["id"], "lock_token": first["lock_token"]}
        assert http.post("/api/queue/ack", json=held).status_code == 409


def test_waiting_asks_nothing_of_the_database(start_system: StartSystem) -> None:
    system = start_system("api")  # no worker, whose sweeps would be counted too
    if not system.database_url.startswith("postgresql"):
        pytest.skip("SQLite does not count its transactions")
    own = transactions_in_3_s(system)
    with contextlib.ExitStack() as stack:
        http = stack.enter_context(httpx.Client(base_url=system.url, timeout=30))
        for connection in poll_and_leave(system, count=50, reset=False):
            stack.enter_context(connection)
        wait_until(lambda: waiting_consumers(http) == 50, "all wait")

        # A recheck or two for all fifty, beside what the process asks for itself.
        assert transactions_in_3_s(system) - own < 12


def test_shutdown_answers_those_who_wait(start_system: StartSystem) -> None:
    system = start_system("api")
    with ThreadPoolExecutor(20) as threads, httpx.Client(base_url=system.url, timeout=30) as http:
        polls = [
            threads.submit(httpx.get, f"{system.url}/api/queue/message?timeout=30", timeout=30)
            for _ in range(20)
        ]
        wait_until(lambda: waiting_consumers(http) == 20, "all wait")

        assert system.running["api"].stop() == 0

        assert {poll.result().status_code for poll in polls} == {404}


def transactions_in_3_s(system: System) -> int:
    before = transactions(system)
    time.sleep(3)  # what is measured is what happens while time passes
    return transactions(system) - before


def transactions(system: System) -> int:
    with psycopg.connect(system.database_url, autocommit=True) as connection:
        row = connection.execute(
            "SELECT pg_stat_force_next_flush(), xact_commit FROM pg_stat_database"
            " WHERE datname = current_database()"
        ).fetchone()
    assert row is not None
    return int(row[1])
