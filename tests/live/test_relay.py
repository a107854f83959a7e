"""The relay beside an API, and clients while it stops, is killed and comes back."""

import json
import signal
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.live.clients import OpenJs, raw
from tests.live.conftest import StartLive, wait_for_relay
from tests.live.test_slow import deaf
from tests.servers import wait_until


@pytest.fixture
def start_with_relay(start_live: StartLive) -> StartLive:
    return lambda: start_live(relay=True)


def test_what_an_api_stores_is_told_by_the_relay(
    start_with_relay: StartLive, open_js: OpenJs
) -> None:
    live = start_with_relay()
    client = open_js(f"{live.relay_url}/messages")
    client.next("connect")
    with (
        raw(live.relay_url) as plain,
        httpx.stream("GET", f"{live.relay_url}/api/queue/events") as events,
    ):
        plain.next("connected")
        lines = events.iter_lines()
        assert next(lines)
        [message_id] = live.enqueue()

        assert client.next_event("enqueue")[1]["id"] == message_id
        assert plain.next("enqueue")["data"]["id"] == message_id
        assert next(line for line in lines if message_id in line)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_clients_come_back_to_a_relay_and_miss_nothing(
    start_with_relay: StartLive, open_js: OpenJs, number: signal.Signals
) -> None:
    live = start_with_relay()
    clients = [
        open_js(f"{live.relay_url}/messages"),
        open_js(f"{live.relay_url}/messages", transports=["polling"]),
    ]
    for client in clients:
        client.next("connect")
    live.enqueue()
    for client in clients:
        client.next_event("enqueue")
    live.system.running["relay"].stop(number)
    for client in clients:
        assert client.next("disconnect")[0] in {"transport close", "transport error"}
    missed = live.enqueue(3)
    live.system.start("relay")
    wait_for_relay(live)

    for client in clients:
        assert client.next("connect")[0] is True
        assert [client.next("event")[1]["id"] for _ in missed] == missed


def test_a_stop_ends_everything_properly_before_it_would_be_killed(
    start_with_relay: StartLive, open_js: OpenJs
) -> None:
    """A relay is killed two seconds after SIGTERM, so what ended properly ended in time."""
    live = start_with_relay()
    relay = live.system.running["relay"]
    client = open_js(f"{live.relay_url}/messages", transports=["websocket"])
    polling = open_js(f"{live.relay_url}/messages", transports=["polling"])
    gone = open_js(f"{live.relay_url}/messages", transports=["polling"])
    for each in (client, polling, gone):
        each.next("connect")
    gone.do("disconnect")  # and its poll is answered
    gone.next("disconnect")
    with (
        ThreadPoolExecutor(1) as threads,
        httpx.Client(base_url=live.relay_url, timeout=60) as http,
        raw(live.relay_url) as plain,
        deaf(live.relay_url, "/ws/messages"),
        httpx.stream("GET", f"{live.relay_url}/api/queue/events", timeout=60) as events,
    ):
        plain.next("connected")
        parts = events.iter_raw()
        assert next(parts)
        poll = threads.submit(http.get, "/api/queue/message", params={"timeout": 60})
        wait_until(
            lambda: "waiting_consumers 1" in http.get("/metrics").text, "it waits", process=relay
        )
        # SQLite does one thing after the other, so the poll has looked once when this answers.
        http.get("/api/queue/message", params={"timeout": 0, "type": "other"})

        relay.send_signal(signal.SIGTERM)

        assert plain.closed() == 1012
        assert b"".join(parts) is not None  # raises unless the stream came to its end
        assert poll.result().status_code == httpx.codes.NOT_FOUND
        assert client.next("disconnect") == ["transport close"]
        # Between two polls nobody can be told.
        assert polling.next("disconnect")[0] in {"transport close", "transport error"}
        assert relay.wait() == 0
    lines = [json.loads(line) for line in relay.log().splitlines()]
    assert any("Worker exiting" in line["event"] for line in lines)  # and was not killed
    assert [line for line in lines if line["level"] != "info"] == []
