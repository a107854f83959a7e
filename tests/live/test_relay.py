"""The relay beside an API, and clients while it stops, is killed and comes back."""

import signal
import time

import httpx
import pytest

from tests.live.clients import OpenJs, raw
from tests.live.conftest import StartLive, wait_for_relay


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


def test_everybody_is_let_go_within_two_seconds(
    start_with_relay: StartLive, open_js: OpenJs
) -> None:
    live = start_with_relay()
    client = open_js(f"{live.relay_url}/messages")
    polling = open_js(f"{live.relay_url}/messages", transports=["polling"])
    client.next("connect")
    polling.next("connect")
    with (
        raw(live.relay_url) as plain,
        httpx.stream("GET", f"{live.relay_url}/api/queue/events") as events,
    ):
        plain.next("connected")
        live.system.running["relay"].send_signal(signal.SIGTERM)
        began_s = time.monotonic()

        assert plain.closed() == 1012
        assert list(events.iter_raw()) is not None
        assert client.next("disconnect") == ["transport close"]
        assert polling.next("disconnect") == ["transport close"]
        assert live.system.running["relay"].wait() == 0
        # Not how fast: that nothing waited until the process was killed, which is after 2 s.
        assert time.monotonic() - began_s < 5
