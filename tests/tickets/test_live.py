"""What displays hear, through the official JavaScript client, and the contract's own snippets."""

import json
import queue
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pytest

from tests.live.clients import OpenJs
from tests.live.conftest import js_folder, open_js  # noqa: F401  # fixtures
from tests.tickets.conftest import Web

# What is tried here is the wire of events, which come from Redis.
pytestmark = pytest.mark.on_sqlite

SNIPPETS = Path(__file__).resolve().parent / "js" / "contract.mjs"
PATIENCE_S = 20.0


class Snippet:
    """One of the contract's snippets, running under node."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        shutil.copy(SNIPPETS, folder)
        self._node = subprocess.Popen(
            ["node", "contract.mjs", *arguments], cwd=folder, stdout=subprocess.PIPE, text=True
        )
        self._told: queue.Queue[list[Any]] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def next(self, *beginning: str) -> Any:
        """Return the next thing that it tells with this beginning."""
        while True:
            told = self._told.get(timeout=PATIENCE_S)
            if told[: len(beginning)] == list(beginning):
                return told[-1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self._node.kill()
        self._node.wait()
        assert self._node.stdout is not None
        self._node.stdout.close()

    def _listen(self) -> None:
        assert self._node.stdout is not None
        try:
            for line in self._node.stdout:
                self._told.put(json.loads(line))
        except ValueError:  # the pipe was closed
            return


RunSnippet = Callable[..., Snippet]


@pytest.fixture
def run_snippet(js_folder: Path, web: Web) -> Iterator[RunSnippet]:  # noqa: F811
    """Runs a snippet against the API."""
    with ExitStack() as stack:
        yield lambda name, *arguments: stack.enter_context(
            Snippet(js_folder, name, web.url, *map(str, arguments))
        )


@pytest.fixture
def counter_id(web: Web) -> int:
    return web.make_counter()


def test_the_connection_snippet_hears_everything(
    web: Web, counter_id: int, run_snippet: RunSnippet
) -> None:
    officer = web.officer(counter_id)

    snippet = run_snippet("connection", counter_id)
    state = snippet.next("log", "Initial state:")
    ticket = web.take(counter_id)
    created = snippet.next("log", "New ticket:")
    officer.post(f"/app/counters/{counter_id}/call-next").raise_for_status()
    updated = snippet.next("log", "Ticket updated:")
    announced = snippet.next("log", "System announcement:")
    officer.post(f"/app/counters/{counter_id}/pause", json={"reason": "Đi họp"})
    paused = snippet.next("log", "Counter status:")

    assert [each["counter_id"] for each in state["counters"]] == [counter_id]
    assert created["ticket"]["number"] == ticket["number"]
    assert (updated["ticket"]["old_status"], updated["ticket"]["new_status"]) == (
        "waiting",
        "called",
    )
    assert announced["message"] == f"Mời số {ticket['number']} đến quầy Tư pháp"
    assert paused["counter"]["new_status"] == "paused"


def test_the_connection_snippet_is_refused_with_a_wrong_token(
    web: Web, counter_id: int, run_snippet: RunSnippet
) -> None:
    assert web.url

    refused = run_snippet("connection", counter_id, "bearer_token_here").next(
        "error", "WebSocket connection failed:"
    )

    assert "API key" in refused


def test_the_display_snippet_draws_what_happens(
    web: Web, counter_id: int, run_snippet: RunSnippet
) -> None:
    web.take(counter_id)

    display = run_snippet("display")
    first = display.next("queueData")
    web.take(counter_id)
    then = display.next("queueData")

    assert first["total_waiting_all"] == 1
    assert then["created"]["queue_summary"]["total_waiting"] == 2


def test_the_kiosk_and_the_officer_s_snippet(
    web: Web, counter_id: int, run_snippet: RunSnippet
) -> None:
    officer = web.officer(counter_id)
    token = officer.headers["Authorization"].removeprefix("Bearer ")

    nobody = run_snippet("officer", counter_id, token).next("info")
    ticket = run_snippet("kiosk", counter_id).next("success")
    called = run_snippet("officer", counter_id, token).next("success")

    assert nobody == "Không còn khách hàng nào đang chờ"
    assert (ticket["number"], ticket["counter_name"]) == (101, "Quầy Tư pháp")
    assert called == "🔊 Đã gọi số 101"
    assert officer.get(f"/app/tickets/{ticket['id']}").json()["status"] == "called"


def test_who_subscribes_to_a_counter_hears_no_other(
    web: Web,
    counter_id: int,
    open_js: OpenJs,  # noqa: F811
) -> None:
    other = web.make_counter("Quầy 2")
    client = open_js(f"{web.url}/ws/queue", transports=["websocket"])
    client.next_event("initial-queue-state")
    client.do("emit", "subscribe-counter", {"counter_id": other})
    [answer] = client.next("answer")

    web.take(counter_id)
    web.take(other)

    assert answer["counter_id"] == other
    assert client.next_event("ticket-created")[1]["ticket"]["counter_id"] == other


def test_a_transfer_is_heard_at_both_counters(
    web: Web,
    counter_id: int,
    open_js: OpenJs,  # noqa: F811
) -> None:
    other = web.make_counter("Quầy 2")
    ticket = web.take(counter_id)
    clients = [
        open_js(f"{web.url}/ws/queue", transports=["websocket"], query={"counter_id": each})
        for each in (counter_id, other)
    ]
    for client in clients:
        client.next_event("initial-queue-state")

    web.admin.post(f"/app/tickets/{ticket['id']}/transfer", json={"counter_id": other})

    for client in clients:
        moved = client.next_event("ticket-updated")[1]["ticket"]
        assert (moved["old_counter_id"], moved["counter_id"]) == (counter_id, other)


def test_a_strange_counter_is_refused(web: Web, open_js: OpenJs) -> None:  # noqa: F811
    client = open_js(f"{web.url}/ws/queue", query={"counter_id": "99"})

    assert client.next("connect_error")[1] == {"code": "counter_not_found"}


def test_a_display_that_was_away_hears_every_call_in_order(
    web: Web,
    counter_id: int,
    open_js: OpenJs,  # noqa: F811
) -> None:
    client = open_js(f"{web.url}/ws/queue", transports=["websocket"])
    client.next_event("initial-queue-state")
    tickets = [web.take(counter_id) for _ in range(4)]
    for _ in tickets:
        client.next_event("ticket-created")
    client.do("lose")
    client.next("disconnect")
    for ticket in tickets:
        web.admin.patch(f"/app/tickets/{ticket['id']}", json={"status": "called"})

    assert client.next("connect")[0] is True
    heard = [client.next_event("queue-announcement")[1]["ticket"]["number"] for _ in tickets]
    assert heard == [101, 102, 103, 104]
