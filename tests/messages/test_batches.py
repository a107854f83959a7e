"""Many messages in one request, and ack and next, against the started system on both databases."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from models.messages.rules import LeaseRequest, NewMessage
from tests.messages.conftest import Listener, Queue

UNKNOWN = "msg_7fffffffffffffff"


def put(http: httpx.Client, count: int, **fields: Any) -> list[str]:
    messages = [{"payload": {"n": n}, **fields} for n in range(count)]
    answer = http.post("/api/queue/batch", json={"messages": messages})
    assert answer.status_code == 201, answer.text
    return [message["id"] for message in answer.json()["messages"]]


def take(http: httpx.Client, **query: Any) -> list[dict[str, Any]]:
    answer = http.get("/api/queue/messages/batch", params={"timeout": 0, **query})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["count"] == len(body["messages"])
    messages: list[dict[str, Any]] = body["messages"]
    return messages


def held(message: dict[str, Any]) -> dict[str, str]:
    return {"id": message["id"], "lock_token": message["lock_token"]}


# Dequeue ---------------------------------------------------------------------------------------


def test_batch_dequeue_gives_what_waits_in_order(http: httpx.Client) -> None:
    low = put(http, 2)
    high = put(http, 2, priority=9)

    messages = take(http, count=3, consumer_id="tester")

    assert [message["id"] for message in messages] == [*high, low[0]]
    assert len({message["lock_token"] for message in messages}) == 3
    assert {message["status"] for message in messages} == {"processing"}


def test_batch_dequeue_gives_less_than_asked_at_once(http: httpx.Client) -> None:
    ids = put(http, 3)

    messages = take(http, count=100, timeout=30)

    assert [message["id"] for message in messages] == ids


def test_batch_dequeue_takes_ten_unless_told(http: httpx.Client) -> None:
    put(http, 12)

    assert len(take(http)) == 10


def test_batch_dequeue_keeps_to_its_type_and_lease(http: httpx.Client) -> None:
    put(http, 2, type="a")
    [wanted] = put(http, 1, type="b")

    [message] = take(http, type="b", ackTimeout=100, consumerId="tester")

    assert message["id"] == wanted


def test_batch_dequeue_of_nothing_is_an_empty_list(http: httpx.Client) -> None:
    assert take(http) == []


def test_batch_dequeue_waits_for_the_first_message(http: httpx.Client) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(take, http, timeout=20, count=5)
        [message_id] = put(http, 1)

        assert [message["id"] for message in waiting.result(20)] == [message_id]


@pytest.mark.parametrize("query", ["count=0", "count=1001", "count=x", "count=1&count=2"])
def test_batch_dequeue_names_the_wrong_count(http: httpx.Client, query: str) -> None:
    answer = http.get(f"/api/queue/messages/batch?{query}")

    assert answer.status_code == 400, answer.text
    assert list(answer.json()["details"]) == ["count"]


async def test_a_hundred_are_one_claim(queue: Queue) -> None:
    await queue.put(*[NewMessage("{}")] * 100)
    requests = [LeaseRequest("tester", f"lt_{n}") for n in range(100)]

    leases = await queue.service.lease_many(requests, timeout_s=0, caller=Listener())

    assert [lease.lock_token for lease in leases] == [request.lock_token for request in requests]
    assert await queue.counts() == {"processing": 100}


async def test_batch_and_single_consumers_are_served_as_they_came(queue: Queue) -> None:
    many = [LeaseRequest("many", f"lt_many{n}") for n in range(2)]
    first = asyncio.create_task(queue.service.lease_many(many, timeout_s=20, caller=Listener()))
    await queue.until_waiting(1)
    second = asyncio.create_task(queue.take(timeout_s=20))
    await queue.until_waiting(2)

    ids = await queue.put(*[NewMessage("{}")] * 3)

    assert [lease.id for lease in await first] == ids[:2]
    lease = await second
    assert lease is not None
    assert lease.id == ids[2]


# Ack and nack -----------------------------------------------------------------------------------


def test_batch_ack_answers_for_each(http: httpx.Client) -> None:
    put(http, 3)
    first, second, third = take(http, count=3)
    stale = {**held(second), "lock_token": "lt_other"}
    items = [
        held(first),
        stale,
        {"id": UNKNOWN, "lock_token": "x"},
        {"id": "no", "lock_token": "x"},
    ]

    answer = http.post("/api/queue/ack/batch", json={"messages": [*items, held(third)]})

    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["count"], body["failed"]) == (5, 3)
    assert [item.get("status") for item in body["messages"]] == [
        *("acknowledged", None, None, None),
        "acknowledged",
    ]
    assert [item.get("code") for item in body["messages"]] == [
        *(None, "LOCK_LOST", "NOT_FOUND", "NOT_FOUND"),
        None,
    ]
    assert body["messages"][1]["error"] == "Conflict"
    counts = http.get("/api/queue/metrics").json()
    assert (counts["acknowledged"], counts["processing"]) == (2, 1)


def test_batch_ack_may_be_repeated(http: httpx.Client) -> None:
    put(http, 2)
    items = [held(message) for message in take(http)]

    first = http.post("/api/queue/ack/batch", json=items)
    again = http.post("/api/queue/ack/batch", json=[*items, items[0]])

    assert again.json()["messages"] == [*first.json()["messages"], first.json()["messages"][0]]


def test_batch_ack_understands_a_bare_array_and_other_spellings(http: httpx.Client) -> None:
    put(http, 1)
    [message] = take(http)

    answer = http.post(
        "/api/queue/ack/batch", json=[{"id": message["id"], "lockToken": message["lock_token"]}]
    )

    assert answer.json()["failed"] == 0


def test_batch_nack_answers_for_each(http: httpx.Client) -> None:
    put(http, 1, max_attempts=1)
    put(http, 2)
    last, kept, lost = take(http, count=3)
    items = [
        {**held(last), "error": "no route"},
        held(kept),
        {**held(lost), "lock_token": "lt_other"},
        held(kept),
    ]

    answer = http.post("/api/queue/nack/batch", json={"messages": items})

    body = answer.json()
    assert (body["count"], body["failed"]) == (4, 2)
    assert body["messages"][0] == {
        "id": last["id"],
        "status": "dead",
        "attempt_count": 1,
        "max_attempts": 1,
    }
    assert body["messages"][1]["status"] == "queued"
    assert [item.get("code") for item in body["messages"][2:]] == ["LOCK_LOST"] * 2


def test_batch_nack_understands_the_other_spelling_of_the_reason(http: httpx.Client) -> None:
    put(http, 1)
    [message] = take(http)

    answer = http.post("/api/queue/nack/batch", json=[{**held(message), "errorReason": "no"}])

    assert answer.json()["failed"] == 0


@pytest.mark.parametrize("path", ["/api/queue/ack/batch", "/api/queue/nack/batch"])
def test_batch_names_the_wrong_item(http: httpx.Client, path: str) -> None:
    items: list[Any] = [{"id": UNKNOWN, "lock_token": "x"}, {"id": UNKNOWN}]

    for body, field in (
        ({"messages": items}, "messages[1].lock_token"),
        ({"messages": []}, "messages"),
        ({"messages": items[:1] * 1_001}, "messages"),
        ({}, "messages"),
    ):
        answer = http.post(path, json=body)
        assert answer.status_code == 400, answer.text
        assert list(answer.json()["details"]) == [field]


# Ack and next -----------------------------------------------------------------------------------


def test_ack_brings_the_next_message(http: httpx.Client) -> None:
    put(http, 1, type="a")
    [wanted] = put(http, 1, type="b", ack_timeout_seconds=40)
    [message] = take(http, type="a")

    answer = http.post(
        "/api/queue/ack",
        json={**held(message), "next": {"type": "b", "timeout": 5, "consumerId": "tester"}},
    )

    body = answer.json()
    assert (body["id"], body["status"]) == (message["id"], "acknowledged")
    assert (body["next"]["id"], body["next"]["status"]) == (wanted, "processing")
    assert http.post("/api/queue/ack", json=held(body["next"])).status_code == 200


def test_ack_with_next_says_null_when_nothing_comes(http: httpx.Client) -> None:
    put(http, 1)
    [message] = take(http)

    body = http.post("/api/queue/ack", json={**held(message), "next": {"timeout": 0}}).json()

    assert body["next"] is None
    assert http.get("/api/queue/metrics").json()["acknowledged"] == 1


def test_ack_with_next_waits_after_the_ack_is_done(http: httpx.Client) -> None:
    put(http, 1)
    [message] = take(http)
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(
            http.post, "/api/queue/ack", json={**held(message), "next": {"timeout": 19}}
        )
        deadline_s = time.monotonic() + 15
        while http.get("/api/queue/metrics").json()["acknowledged"] == 0:
            assert time.monotonic() < deadline_s
        assert not asking.done()
        [message_id] = put(http, 1)

        assert asking.result(20).json()["next"]["id"] == message_id


def test_refused_ack_takes_no_message(http: httpx.Client) -> None:
    put(http, 2)
    [message] = take(http, count=1)

    answer = http.post(
        "/api/queue/ack", json={**held(message), "lock_token": "other", "next": {"timeout": 0}}
    )

    assert (answer.status_code, answer.json()["code"]) == (409, "LOCK_LOST")
    counts = http.get("/api/queue/metrics").json()
    assert (counts["queued"], counts["processing"]) == (1, 1)


@pytest.mark.parametrize(
    ("following", "field"),
    [
        ({"timeout": 61}, "next.timeout"),
        ({"timeout": -1}, "next.timeout"),
        ({"ackTimeout": 99_999}, "next.ack_timeout_seconds"),
        ({"count": 2}, "next.count"),
        ({"type": ""}, "next.type"),
        ([], "next"),
    ],
)
def test_ack_names_what_is_wrong_with_next(
    http: httpx.Client, following: object, field: str
) -> None:
    put(http, 1)
    [message] = take(http)

    answer = http.post("/api/queue/ack", json={**held(message), "next": following})

    assert answer.status_code == 400, answer.text
    assert list(answer.json()["details"]) == [field]
    assert http.get("/api/queue/metrics").json()["acknowledged"] == 0
