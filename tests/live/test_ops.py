"""Socket.IO `/ops`: staff is told how every queue stands, as it changes, and asks nothing."""

import queue
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
import redis
import socketio
from socketio.exceptions import ConnectionError as RefusedError

from models.events import Event, encode_entry, stream_key
from tests.live.clients import PATIENCE_S
from tests.live.conftest import Live, StartLive
from tests.people.conftest import ADMIN_PASSWORD, token_of

NAMESPACE = "/ops"
Heard = "queue.Queue[tuple[str, dict[str, Any]]]"
Listen = Callable[..., Any]


@pytest.fixture
def house(start_live: StartLive) -> Live:
    return start_live(ADMIN_PASSWORD=ADMIN_PASSWORD)


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Connects the official Python client as a user; what it hears lies in a queue."""
    with ExitStack() as stack:

        def connect(house: Live, username: str = "admin", password: str = ADMIN_PASSWORD) -> Any:
            with httpx.Client(base_url=house.url, timeout=30) as http:
                token = token_of(http, username, password)
            heard: queue.Queue[Any] = queue.Queue()
            client = socketio.Client()
            client.on("*", lambda name, *args: heard.put((name, args[0])), namespace=NAMESPACE)
            stack.callback(client.disconnect)
            client.connect(
                house.url, namespaces=[NAMESPACE], auth={"token": token}, wait_timeout=PATIENCE_S
            )
            return heard

        yield connect


def next_of(heard: "queue.Queue[Any]", name: str) -> dict[str, Any]:
    while (event := heard.get(timeout=PATIENCE_S))[0] != name:
        pass
    return dict(event[1])


def until_queued(heard: "queue.Queue[Any]", count: int) -> int:
    """Wait for the overview that tells of so many messages; return how many came before it."""
    told = 0
    while next_of(heard, "overview")["messages"]["queued"] != count:
        told += 1
    return told


def test_who_comes_is_told_the_hour_and_the_overview(house: Live, listen: Listen) -> None:
    heard = listen(house)

    hour = next_of(heard, "hour")
    overview = next_of(heard, "overview")

    assert {len(minutes) for minutes in hour["domains"].values()} == {60}
    assert overview["messages"]["queued"] == 0
    assert overview["components"]["database"] == "healthy"


def test_whatever_happens_is_told_as_the_state_after_all_of_it(house: Live, listen: Listen) -> None:
    heard = listen(house)
    until_queued(heard, 0)

    for _ in range(100):
        house.enqueue()

    assert until_queued(heard, 100) < 100  # the last state stands for all before it


def test_minutes_are_handed_on_from_the_stream(house: Live, listen: Listen) -> None:
    heard = listen(house)
    next_of(heard, "hour")
    minute = {"domain": "mail", "minutes": [{"at": "2026-01-01T00:00:00.000Z", "depth": 3}]}

    assert house.system.redis_server is not None
    with redis.Redis.from_url(house.system.redis_server.url) as client:
        client.xadd(stream_key("ops"), encode_entry([Event("minute", minute)]))

    told = next_of(heard, "minute")
    assert (told["domain"], told["minutes"]) == ("mail", minute["minutes"])


def test_nobody_and_no_officer_is_let_in(house: Live, listen: Listen) -> None:
    with httpx.Client(base_url=house.url, timeout=30) as http:
        headers = {"Authorization": f"Bearer {token_of(http, 'admin', ADMIN_PASSWORD)}"}
        officer = {"username": "ops_officer", "password": "good password", "role": "officer"}
        http.post("/api/v1/auth/users", json=officer, headers=headers).raise_for_status()

    for options in ({}, {"auth": {"token": "wrong"}}):
        with pytest.raises(RefusedError):
            socketio.Client().connect(house.url, namespaces=[NAMESPACE], **options)
    with pytest.raises(RefusedError):
        listen(house, "ops_officer", "good password")
