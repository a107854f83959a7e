"""A server that stops while clients of every kind are there: each hears a proper end."""

import contextlib
import json
import signal
import socket
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.live.clients import OpenJs, raw
from tests.live.conftest import StartLive
from tests.servers import Process, wait_until
from tests.system.supervised import Up

HALF_A_HEAD = b"GET /health HTTP/1.1\r\nHost: local"
HALF_A_BODY = (
    b"POST /api/queue/message HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b'Content-Length: 99\r\n\r\n{"payload"'
)


class Everybody:
    """Clients of every kind, for the time of a `with`."""

    def __init__(self, url: str, open_js: OpenJs, stack: contextlib.ExitStack) -> None:
        enter = stack.enter_context
        http = self._http = enter(httpx.Client(base_url=url, timeout=60))
        http.post("/api/queue/message", json={"payload": {}}).raise_for_status()
        self._consumer = enter(raw(url, "/api/queue/stream"))
        assert len(self._consumer.next("messages")["data"]) == 1
        self._watcher = enter(raw(url))
        self._watcher.next("connected")
        self._official = open_js(f"{url}/messages", transports=["websocket"], reconnection=False)
        self._official.next("connect")
        events = enter(httpx.stream("GET", f"{url}/api/queue/events", timeout=60))
        self._parts = events.iter_raw()
        next(self._parts)
        self._resting, self._half_a_head, self._half_a_body = (
            enter(connect(url)) for _ in range(3)
        )
        self._resting.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert self._resting.recv(65_536).startswith(b"HTTP/1.1 200 ")
        self._half_a_head.sendall(HALF_A_HEAD)
        self._half_a_body.sendall(HALF_A_BODY)
        threads = enter(ThreadPoolExecutor(2))
        self._polls = [
            threads.submit(http.get, path, params={"timeout": 60, "type": "none"})
            for path in ("/api/queue/message", "/api/queue/messages/batch")
        ]

    def wait_until_they_wait(self, process: Process) -> None:
        """Return when the polls and the streaming consumer have found nothing."""
        wait_until(
            lambda: "waiting_consumers 3" in self._http.get("/metrics").text,
            "they wait",
            process=process,
        )
        # SQLite does one thing after the other, so they have looked once when this answers.
        self._http.get("/api/queue/message", params={"timeout": 0, "type": "other"})

    def all_end_well(self) -> None:
        """See that each hears what its kind is due, now that the server was told to stop."""
        poll, batch_poll = (each.result() for each in self._polls)
        assert poll.status_code == httpx.codes.NOT_FOUND
        assert batch_poll.json()["messages"] == []
        assert poll.headers["Connection"] == batch_poll.headers["Connection"] == "close"
        assert b"".join(self._parts) is not None  # raises unless the stream came to its end
        assert self._watcher.closed() == self._consumer.closed() == 1012
        assert self._official.next("disconnect") == ["transport close"]
        # A reset would raise.
        assert self._resting.recv(65_536) == b""
        assert self._half_a_head.recv(65_536) == b""
        head, _, body = read_all(self._half_a_body).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        assert json.loads(body)["code"] == "unavailable"


def connect(url: str) -> socket.socket:
    host, _, port = url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), 20)


def read_all(peer: socket.socket) -> bytes:
    return b"".join(iter(lambda: peer.recv(65_536), b""))


def counts(database: Path) -> dict[str, int]:
    """Return how many messages wait and are held, by their tables."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return {
            name: connection.execute(f"SELECT count(*) FROM message_{name}").fetchone()[0]
            for name in ("ready", "leased")
        }


def test_an_api_that_stops_ends_everybody_properly(start_live: StartLive, open_js: OpenJs) -> None:
    live = start_live()
    api = live.system.running["api"]
    with contextlib.ExitStack() as stack:
        everybody = Everybody(live.url, open_js, stack)
        everybody.wait_until_they_wait(api)

        api.send_signal(signal.SIGTERM)

        everybody.all_end_well()
        assert api.wait() == 0
    lines = [json.loads(line) for line in api.log().splitlines()]
    assert [line for line in lines if line["level"] != "info"] == []
    assert counts(live.system.folder / "stanchion.db") == {"ready": 1, "leased": 0}


@pytest.mark.xdist_group("supervisor")
def test_an_up_that_stops_ends_everybody_properly(
    new_folder: Callable[[str], Path], open_js: OpenJs
) -> None:
    up = Up(new_folder("u"))
    up.start_ready()
    try:
        with contextlib.ExitStack() as stack:
            everybody = Everybody(f"http://{up.bind}", open_js, stack)
            everybody.wait_until_they_wait(up.process)

            up.process.send_signal(signal.SIGTERM)

            everybody.all_end_well()
            assert up.process.wait() == 0
        assert "killed" not in up.process.log()
        assert counts(up.data / "stanchion.db") == {"ready": 1, "leased": 0}
    finally:
        up.process.stop()
