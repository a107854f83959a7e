"""`/api/queue/events` on the started system: what is told, in which order, what is caught up."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.servers import System, wait_until

# Events come from Redis.
pytestmark = pytest.mark.on_sqlite


@dataclass
class Told:
    name: str
    id: str | None
    data: Any


def follow(response: httpx.Response) -> Iterator[Told]:
    """Read a stream as an EventSource does."""
    fields: dict[str, str] = {}
    for line in response.iter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "data" in fields:
            yield Told(fields["event"], fields.get("id"), json.loads(fields["data"]))
            fields = {}
        else:
            fields = {}


def changes(stream: Iterator[Told]) -> Iterator[Told]:
    return (told for told in stream if told.name != "metrics")


def about(stream: Iterator[Told], *ids: str) -> Iterator[Told]:
    """Leave out what other tests did on the same system a moment ago."""
    return (told for told in stream if told.data.get("id") in ids)


def put(http: httpx.Client, count: int = 1, **fields: Any) -> list[str]:
    messages = [{"payload": {"secret": 1}, **fields}] * count
    answer = http.post("/api/queue/batch", json={"messages": messages})
    return [item["id"] for item in answer.json()["messages"]]


def test_events_tell_a_messages_life(http: httpx.Client) -> None:
    with http.stream("GET", "/api/queue/events") as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        stream = changes(follow(response))
        [message_id] = put(http, type="a", priority=4, max_attempts=2)
        told = []
        for _ in range(2):
            leased = http.get("/api/queue/message?timeout=5&consumer_id=me").json()
            http.post(
                f"/api/queue/message/{message_id}/nack",
                json={"lock_token": leased["lock_token"], "error": "hot"},
            )
        while not told or told[-1].name != "dead":
            told.append(next(about(stream, message_id)))

    assert [one.name for one in told] == ["enqueue", "dequeue", "nack", "dequeue", "nack", "dead"]
    assert told[0].data == {"id": message_id, "type": "a", "priority": 4}
    assert told[1].data == {"id": message_id, "consumer_id": "me"}
    assert told[2].data == {"id": message_id, "error": "hot"}
    assert told[5].data == {"id": message_id}


def test_the_house_is_told_of_to_who_asks_for_it(http: httpx.Client) -> None:
    with http.stream("GET", "/api/queue/events?house=true") as response:
        stream = (told for told in follow(response) if told.id is None)
        told = [next(stream) for _ in range(6)]

    assert [each.name for each in told] == ["metrics", "health", "now"] * 2
    assert told[1].data == http.get("/health").json()["components"]
    assert set(told[2].data) == {"at", "messages", "rooms", "mail", "tickets"}
    assert told[2].data["mail"] is None  # for its readers alone


def test_metrics_come_first_and_again(http: httpx.Client) -> None:
    with http.stream("GET", "/api/queue/events") as response:
        readings = (told for told in follow(response) if told.name == "metrics")
        first, second = next(readings), next(readings)

    assert first.id is second.id is None
    assert set(first.data) == {
        "queued",
        "processing",
        "acknowledged",
        "dead",
        "archived",
        "total",
    }


def test_last_event_id_replays_from_the_middle_of_a_batch(http: httpx.Client) -> None:
    with http.stream("GET", "/api/queue/events") as response:
        stream = changes(follow(response))
        ids = put(http, 5)
        seen = [next(about(stream, *ids)) for _ in range(2)]
    later = put(http, 2)

    with http.stream(
        "GET", "/api/queue/events", headers={"Last-Event-ID": str(seen[1].id)}
    ) as response:
        stream = changes(follow(response))
        replayed = [next(stream) for _ in range(5)]
        live = put(http)
        replayed.append(next(stream))

    assert [told.data["id"] for told in seen] == ids[:2]
    assert [told.data["id"] for told in replayed] == [*ids[2:], *later, *live]
    assert len({told.id for told in seen + replayed}) == 8


@pytest.mark.parametrize("offset", ["yesterday", "1-2", "1.2", "--.", "1-2.x"])
def test_strange_last_event_id_is_named(http: httpx.Client, offset: str) -> None:
    answer = http.get("/api/queue/events", headers={"Last-Event-ID": offset})

    assert answer.status_code == 400
    assert list(answer.json()["details"]) == ["Last-Event-ID"]


def test_offset_that_is_no_longer_kept_is_told_to_resync(http: httpx.Client) -> None:
    put(http)

    with http.stream("GET", "/api/queue/events", headers={"Last-Event-ID": "1-0.0"}) as response:
        first = next(changes(follow(response)))

    assert first.name == "resync"


def test_expired_lease_is_told_by_the_worker(http: httpx.Client) -> None:
    with http.stream("GET", "/api/queue/events") as response:
        stream = changes(follow(response))
        [message_id] = put(http, ack_timeout_seconds=1)
        http.get("/api/queue/message?timeout=5")
        told = [next(about(stream, message_id)) for _ in range(3)]

    assert [one.name for one in told] == ["enqueue", "dequeue", "expire"]
    assert told[2].data == {"id": message_id}


def test_any_process_tells_and_wakes_the_others(
    system: System, http: httpx.Client, new_folder: Callable[[str], Path]
) -> None:
    with (
        System(
            new_folder("o"),
            database_url=system.database_url,
            redis_url=system.redis_url,
            processes=("api",),
        ) as other,
        httpx.Client(base_url=other.url, timeout=30) as wait_there,
    ):
        put_here = http
        with wait_there.stream("GET", "/api/queue/events") as response:
            stream = changes(follow(response))
            [message_id] = put(put_here)
            assert next(stream).data["id"] == message_id
        put_here.get("/api/queue/message?timeout=5")  # away with it
        waiting = start_waiting(wait_there)
        wait_until(lambda: waiting_consumers(wait_there) == 1, "a consumer waits")
        [message_id] = put(put_here)
        assert waiting.result(timeout=4).json()["id"] == message_id


def start_waiting(http: httpx.Client) -> Any:
    return ThreadPoolExecutor(1).submit(http.get, "/api/queue/message?timeout=20")


def waiting_consumers(http: httpx.Client) -> float:
    lines = http.get("/metrics").text.splitlines()
    [line] = [line for line in lines if line.startswith("stanchion_messages_waiting_consumers")]
    return float(line.split()[-1])


def test_offset_of_the_future_is_told_to_resync_and_goes_on(http: httpx.Client) -> None:
    headers = {"Last-Event-ID": "99999999999999-0.0"}

    with http.stream("GET", "/api/queue/events", headers=headers) as response:
        stream = changes(follow(response))
        first = next(stream)
        [message_id] = put(http)
        assert next(about(stream, message_id)).name == "enqueue"

    assert first.name == "resync"


def test_reader_that_keeps_up_gets_every_event_of_a_crowd(http: httpx.Client) -> None:
    with http.stream("GET", "/api/queue/events") as response:
        stream = follow(response)
        ids = [message_id for _ in range(4) for message_id in put(http, 1_000)]
        told = [next(about(stream, *ids)).data["id"] for _ in ids]

    assert told == ids
