"""Socket.IO through the official Python client."""

import queue
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import socketio
from socketio.exceptions import ConnectionError as RefusedError

from tests.live.clients import PATIENCE_S
from tests.live.conftest import KEY, Live

NAMESPACE = "/messages"
Open = Callable[..., "tuple[socketio.Client, queue.Queue[Any]]"]


@pytest.fixture
def open_client() -> Iterator[Open]:
    """Connects clients, and ends them with the test; what they hear lies in their queues."""
    with ExitStack() as stack:

        def connect(url: str, **options: Any) -> "tuple[socketio.Client, queue.Queue[Any]]":
            client = socketio.Client()
            heard: queue.Queue[Any] = queue.Queue()
            client.on("*", lambda name, *args: heard.put((name, *args)), namespace=NAMESPACE)
            stack.callback(client.disconnect)
            client.connect(url, namespaces=[NAMESPACE], wait_timeout=PATIENCE_S, **options)
            return client, heard

        yield connect


def next_event(heard: "queue.Queue[Any]") -> tuple[Any, ...]:
    """Return the next event that is not a reading, of which one comes every few seconds."""
    while (event := heard.get(timeout=PATIENCE_S))[0] == "metrics":
        pass
    return tuple(event)


@pytest.mark.parametrize("options", [{}, {"transports": ["websocket"]}])
def test_python_client_hears_what_happens(
    live: Live, open_client: Open, options: dict[str, Any]
) -> None:
    _, heard = open_client(live.url, **options)
    assert heard.get(timeout=PATIENCE_S)[0] == "metrics"
    [message_id] = live.enqueue(type="a")

    name, data, offset = next_event(heard)

    assert (name, data) == ("enqueue", {"id": message_id, "type": "a", "priority": 0})
    assert isinstance(offset, str)


def test_client_without_recovery_gets_one_argument_with_the_offset_in_it(
    live: Live, open_client: Open
) -> None:
    _, heard = open_client(live.url, auth={"recovery": False})
    assert len(heard.get(timeout=PATIENCE_S)) == 2
    [message_id] = live.enqueue()
    _, data = next_event(heard)
    [missed] = live.enqueue()

    _, caught_up = open_client(live.url, auth={"recovery": False, "offset": data["offset"]})

    assert data["id"] == message_id
    assert next_event(caught_up)[1]["id"] == missed


def test_python_client_asks_and_is_answered(live: Live, open_client: Open) -> None:
    client, _ = open_client(live.url, transports=["websocket"])

    answer = client.call("subscribe", {"types": "a,b"}, namespace=NAMESPACE)

    assert answer == {"types": ["a", "b"]}


def test_python_client_is_refused_with_the_reason(keyed: Live) -> None:
    client, reasons = socketio.Client(), queue.Queue[Any]()
    client.on("connect_error", reasons.put, namespace=NAMESPACE)

    with pytest.raises(RefusedError):
        client.connect(keyed.url, namespaces=[NAMESPACE], auth={"token": "wrong"})

    assert reasons.get(timeout=PATIENCE_S)["message"] == "Invalid or missing API key"


def test_python_client_shows_its_key(keyed: Live, open_client: Open) -> None:
    _, heard = open_client(keyed.url, auth={"token": KEY})

    assert heard.get(timeout=PATIENCE_S)[0] == "metrics"
