"""The contract's Socket.IO examples as the official Python client writes them."""

import queue
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final

import pytest
import socketio
from socketio.exceptions import ConnectionError as RefusedError

from tests.live.clients import PATIENCE_S
from tests.tickets.conftest import Web

# What a client hears is the same on every database.
pytestmark = pytest.mark.on_sqlite

NAMESPACE: Final = "/ws/queue"
EVENTS: Final = (
    "initial-queue-state",
    "ticket-created",
    "ticket-updated",
    "counter-status-changed",
    "queue-announcement",
)


class Display:
    """A client of the specification: a handler for each of its events."""

    def __init__(self, base_url: str, query: str = "", **options: Any) -> None:
        self.client = socketio.Client()
        self._heard: dict[str, queue.Queue[Any]] = {name: queue.Queue() for name in EVENTS}
        for name, heard in self._heard.items():
            self.client.on(name, lambda data, *_, to=heard: to.put(data), namespace=NAMESPACE)
        self.client.connect(
            f"{base_url}/?{query}", namespaces=[NAMESPACE], wait_timeout=PATIENCE_S, **options
        )

    def next(self, name: str) -> Any:
        """Return what the next event of a name says."""
        return self._heard[name].get(timeout=PATIENCE_S)


@pytest.fixture
def open_display(web: Web) -> Iterator[Any]:
    """Connects clients and ends them with the test."""
    with ExitStack() as stack:

        def connect(query: str = "", **options: Any) -> Display:
            display = Display(web.url, query, **options)
            stack.callback(display.client.disconnect)
            return display

        yield connect


@pytest.fixture
def counter_id(web: Web) -> int:
    return web.make_counter()


@pytest.mark.parametrize("options", [{}, {"transports": ["websocket"]}])
def test_a_python_display_hears_every_event_of_the_specification(
    web: Web, counter_id: int, open_display: Any, options: dict[str, Any]
) -> None:
    officer = web.officer(counter_id)
    display = open_display("client_type=tv_display", **options)
    state = display.next("initial-queue-state")

    ticket = web.take(counter_id)
    officer.post(f"/app/counters/{counter_id}/call-next").raise_for_status()
    officer.post(f"/app/counters/{counter_id}/pause", json={"reason": "Đi họp"})

    assert [each["counter_id"] for each in state["counters"]] == [counter_id]
    assert display.next("ticket-created")["ticket"]["number"] == ticket["number"]
    assert display.next("ticket-updated")["ticket"]["new_status"] == "called"
    called = display.next("queue-announcement")
    assert called["message"] == f"Mời số {ticket['number']} đến quầy Tư pháp"
    assert display.next("counter-status-changed")["counter"]["new_status"] == "paused"


def test_a_python_officer_hears_the_counter_that_it_asked_for(
    web: Web, counter_id: int, open_display: Any
) -> None:
    other = web.make_counter("Quầy 2")
    officer = web.officer(counter_id)
    token = officer.headers["Authorization"].removeprefix("Bearer ")
    display = open_display("client_type=officer", auth={"token": token})
    display.next("initial-queue-state")

    answer = display.client.call(
        "subscribe-counter", {"counter_id": counter_id}, namespace=NAMESPACE, timeout=PATIENCE_S
    )
    display.client.emit("heartbeat", {"client_type": "officer"}, namespace=NAMESPACE)
    web.take(other)
    web.take(counter_id)

    assert answer["counter_id"] == counter_id
    assert display.next("ticket-created")["ticket"]["counter_id"] == counter_id


def test_a_python_client_is_caught_up_from_its_last_offset(
    web: Web, counter_id: int, open_display: Any
) -> None:
    display = open_display(auth={"recovery": False})
    display.next("initial-queue-state")
    ticket = web.take(counter_id)
    offset = display.next("ticket-created")["offset"]
    display.client.disconnect()
    web.admin.patch(f"/app/tickets/{ticket['id']}", json={"status": "called"}).raise_for_status()

    again = open_display(auth={"recovery": False, "offset": offset})

    assert again.next("queue-announcement")["ticket"]["number"] == ticket["number"]


def test_a_python_client_is_refused_with_the_reason(web: Web) -> None:
    client, reasons = socketio.Client(), queue.Queue[Any]()
    client.on("connect_error", reasons.put, namespace=NAMESPACE)

    with pytest.raises(RefusedError):
        client.connect(web.url, namespaces=[NAMESPACE], auth={"token": "bearer_token_here"})

    assert "API key" in reasons.get(timeout=PATIENCE_S)["message"]


@pytest.mark.parametrize("shown", ["{}", "Bearer {}", "bearer {}"])
def test_a_token_is_taken_with_and_without_the_word_before_it(
    web: Web, counter_id: int, open_display: Any, shown: str
) -> None:
    token = web.admin.headers["Authorization"].removeprefix("Bearer ")

    display = open_display(auth={"token": shown.format(token)})

    [line] = display.next("initial-queue-state")["counters"]
    assert line["counter_id"] == counter_id
    with pytest.raises(RefusedError):
        open_display(auth={"token": "Bearer bearer_token_here"})
