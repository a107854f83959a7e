"""The Python client against a running server: both kinds, by the same tests."""

import asyncio
import inspect
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from stanchion_client import (
    AsyncClient,
    Client,
    InvalidRequestError,
    LockLostError,
    Message,
    NewMessage,
    NotFoundError,
    RejectMessage,
    UnauthorizedError,
    UnreachableError,
    Work,
)
from tests.conftest import StartSystem
from tests.messages.test_events import waiting_consumers
from tests.servers import System, free_port, wait_until

# What a client does over HTTP is the same on every database.
pytestmark = pytest.mark.on_sqlite


class Blocked:
    """An AsyncClient whose methods return when they are done, so that one test serves both."""

    def __init__(self, url: str, **options: Any) -> None:
        self._runner = asyncio.Runner()
        self._client = self._runner.run(self._open(url, options))

    async def _open(self, url: str, options: dict[str, Any]) -> AsyncClient:
        return AsyncClient(url, **options)

    def close(self) -> None:
        self._runner.run(self._client.close())
        self._runner.close()

    def events(self, last_id: str | None = None) -> Iterator[Any]:
        events = self._client.events(last_id)

        async def following() -> Any:
            return await anext(events)

        try:
            while True:
                yield self._runner.run(following())
        finally:
            self._runner.run(events.aclose())

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)

        async def call(*args: Any, **options: Any) -> Any:
            return await method(*args, **options)

        return lambda *args, **options: self._runner.run(call(*args, **options))


@pytest.fixture(params=[Client, Blocked], ids=["blocking", "async"])
def open_client(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Opens clients of an address."""
    opened = []

    def open_one(url: str, **options: Any) -> Any:
        opened.append(request.param(url, **options))
        return opened[-1]

    yield open_one
    for client in opened:
        client.close()


@pytest.fixture
def client(open_client: Callable[..., Any], system: System, http: httpx.Client) -> Any:
    assert http  # empties the database
    return open_client(system.url)


def test_both_kinds_say_the_same() -> None:
    def said(kind: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(method).parameters)
            for name, method in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_") and name != "work"
        }

    assert said(Client) == said(AsyncClient)


def test_message_goes_through(client: Any) -> None:
    queued = client.enqueue(
        {"to": "you"}, type="mail", priority=7, max_attempts=5, ack_timeout_s=60
    )
    message = client.receive(type="mail", consumer_id="me")

    assert (message.id, message.created_at) == (queued.id, queued.created_at)
    assert (message.type, message.payload, message.priority) == ("mail", {"to": "you"}, 7)
    assert (message.attempt_count, message.max_attempts, message.lease_s) == (1, 5, 60)
    assert abs((datetime.now(UTC) - message.dequeued_at).total_seconds()) < 60
    assert client.touch(message, 600) > message.locked_until
    assert client.ack(message) == client.ack(message)
    assert client.receive(timeout_s=0) is None


def test_many_go_through(client: Any) -> None:
    ids = client.enqueue_many([NewMessage(payload={"n": n}, priority=3) for n in range(5)])
    messages = client.receive_many(10)

    assert [message.id for message in messages] == ids
    assert [message.payload["n"] for message in messages] == list(range(5))
    assert [one.status for one in client.ack_many(messages[:2])] == ["acknowledged"] * 2
    first, *rest = client.nack_many(messages[1:], "not now")
    assert (first.is_refused, first.code) == (True, "LOCK_LOST") or first.code == "INVALID_STATE"
    assert [one.status for one in rest] == ["queued"] * 3
    assert client.receive_many(1, timeout_s=0)[0].attempt_count == 2


def test_queues_are_apart(client: Any, http: httpx.Client) -> None:
    http.put("/api/queue/queues/mail", json={}).raise_for_status()
    here = client.enqueue({"n": 1})
    there = client.enqueue({"n": 2}, queue="mail")
    client.enqueue_many([NewMessage(payload={"n": 3}, queue="mail")])

    assert client.receive(queue="mail").id == there.id
    assert [message.payload["n"] for message in client.receive_many(9, queue="mail")] == [3]
    assert client.receive().id == here.id
    assert client.status("mail").counts.processing == 2
    assert client.status().counts.processing == 3
    with pytest.raises(NotFoundError) as missing:
        client.enqueue({}, queue="mial")
    assert missing.value.code == "QUEUE_NOT_FOUND"


def test_delays_are_asked_for(client: Any) -> None:
    delayed = client.enqueue({"n": 1}, delay_s=600)
    client.enqueue_many([NewMessage(payload={"n": n}) for n in range(3)])
    one, *others = client.receive_many(9)

    returned = client.nack(one, "later", delay_s=600)
    outcomes = client.nack_many(others, delay_s=600)

    assert (delayed.due_at - delayed.created_at).total_seconds() == 600
    assert {returned.status, *(outcome.status for outcome in outcomes)} == {"delayed"}
    assert client.status().counts.delayed == 4
    assert client.receive(timeout_s=0) is None


def test_those_of_a_group_come_one_after_the_other(client: Any) -> None:
    client.enqueue_many([NewMessage(payload={"n": n}, group_key="g") for n in range(2)])
    first = client.receive()

    assert first.group_key == "g"
    assert client.receive(timeout_s=0) is None
    client.ack(first)
    assert client.receive().payload == {"n": 1}


def test_a_repeat_under_one_name_is_not_stored_again(client: Any) -> None:
    name = uuid.uuid4().hex
    first = client.enqueue({"n": 1}, dedup_id=name, dedup_s=60)
    again = client.enqueue({"n": 2}, dedup_id=name, dedup_s=60, dedup_replace=True)

    assert (first.is_duplicate, again.is_duplicate, again.id) == (False, True, first.id)
    assert client.receive().payload == {"n": 2}
    assert client.receive(timeout_s=0) is None


def test_ack_brings_the_next_message(client: Any) -> None:
    client.enqueue_many([NewMessage(payload={"n": n}, type="a") for n in range(2)])
    message = client.receive(type="a")

    following = client.ack_next(message, type="a", ack_timeout_s=77)

    assert (following.payload, following.lease_s) == ({"n": 1}, 77)
    assert client.ack_next(following, timeout_s=0) is None
    assert client.status().counts.acknowledged == 2
    with pytest.raises(TypeError):
        client.receive(colour="red")


def test_status_counts(client: Any) -> None:
    client.enqueue_many([NewMessage(payload={}, type="a", max_attempts=1)] * 3)
    message = client.receive()
    assert client.nack(message, "broken").status == "dead"
    client.receive()

    status = client.status()

    assert (status.counts.queued, status.counts.processing, status.counts.dead) == (1, 1, 1)
    assert status.by_type["a"].queued == 1
    assert status.oldest_queued == status.newest_queued


def test_refusals_are_told_apart(client: Any, open_client: Callable[..., Any]) -> None:
    client.enqueue({})
    message = client.receive()
    client.nack(message)

    with pytest.raises(LockLostError):
        client.ack(message)
    with pytest.raises(InvalidRequestError) as invalid:
        client.enqueue({}, priority=10)
    with pytest.raises(NotFoundError):
        client.nack(Message(**{**fields_of(message), "id": "msg_7fffffffffffffff"}))
    with pytest.raises(UnreachableError):
        open_client(f"http://127.0.0.1:{free_port()}").status()

    assert list(invalid.value.details) == ["priority"]
    assert "priority" in str(invalid.value)


def fields_of(message: Message) -> dict[str, Any]:
    return {name: getattr(message, name) for name in Message.__slots__}


def test_key_is_shown(open_client: Callable[..., Any], start_system: StartSystem) -> None:
    url = start_system("api", SECRET_KEY="s3cret").url

    with pytest.raises(UnauthorizedError):
        open_client(url).status()
    with pytest.raises(UnauthorizedError):
        open_client(url, api_key="wrong").enqueue({})
    assert open_client(url, api_key="s3cret").enqueue({}).id


def test_events_are_told_and_caught_up(client: Any, http: httpx.Client) -> None:
    events = client.events()
    first = next(event for event in events if event.name == "metrics")
    ids = [http.post("/api/queue/message", json={"payload": {}}).json()["id"] for _ in range(3)]
    told = next_ones(events, "enqueue", 1)
    events.close()

    later = client.events(told[0].id)
    told += next_ones(later, "enqueue", 2)
    later.close()

    assert (first.id, first.data["total"]) == (None, 0)
    assert [event.data["id"] for event in told] == ids


def next_ones(events: Iterator[Any], name: str, count: int) -> list[Any]:
    found = (event for event in events if event.name == name)
    return [next(found) for _ in range(count)]


def test_events_go_on_after_a_restart(
    open_client: Callable[..., Any], start_system: StartSystem
) -> None:
    system = start_system("api")
    events = open_client(system.url).events()
    with httpx.Client(base_url=system.url, timeout=20) as http:
        next(events)
        before = http.post("/api/queue/message", json={"payload": {}}).json()["id"]
        told = next_ones(events, "enqueue", 1)
        system.running["api"].stop()
        system.start("api")
        system.wait_ready()
        after = http.post("/api/queue/message", json={"payload": {}}).json()["id"]
        told += next_ones(events, "enqueue", 1)
    events.close()

    assert [event.data["id"] for event in told] == [before, after]


# A worker -------------------------------------------------------------------------------------

WORK = Work(wait_s=1, ack_timeout_s=1)


@contextmanager
def blocking_worker(url: str, handler: Callable[[Message], object]) -> Iterator[None]:
    stop = threading.Event()
    with Client(url) as client:
        worker = threading.Thread(target=client.work, args=(handler, WORK), kwargs={"stop": stop})
        worker.start()
        try:
            yield
        finally:
            stop.set()
            worker.join()


@contextmanager
def async_worker(url: str, handler: Callable[[Message], object]) -> Iterator[None]:
    loop = asyncio.new_event_loop()

    async def handle(message: Message) -> None:
        await asyncio.to_thread(handler, message)

    async def work() -> None:
        async with AsyncClient(url) as client:
            await client.work(handle, WORK, concurrency=2)

    task = loop.create_task(work())
    worker = threading.Thread(target=lambda: loop.run_until_complete(asyncio.wait([task])))
    worker.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(task.cancel)
        worker.join()
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


Worker = Callable[[str, Callable[[Message], object]], Any]
WORKERS = pytest.mark.parametrize("worker", [blocking_worker, async_worker])


def counts(http: httpx.Client) -> dict[str, int]:
    return dict(http.get("/api/queue/metrics").json())


@WORKERS
def test_worker_handles_and_gives_back(system: System, http: httpx.Client, worker: Worker) -> None:
    seen: list[tuple[Any, int]] = []

    def handle(message: Message) -> None:
        seen.append((message.payload["n"], message.attempt_count))
        if message.payload["n"] == 1:
            raise RejectMessage("never that one")
        if message.payload["n"] == 2 and message.attempt_count == 1:
            raise ValueError("once")

    with Client(system.url) as client, worker(system.url, handle):
        client.enqueue_many([NewMessage(payload={"n": n}, max_attempts=2) for n in range(4)])
        wait_until(lambda: counts(http)["acknowledged"] == 3, "three are done")
        wait_until(lambda: counts(http)["dead"] == 1, "one is dead")

    assert sorted(seen) == [(0, 1), (1, 1), (1, 2), (2, 1), (2, 2), (3, 1)]


def test_worker_takes_from_its_queue(system: System, http: httpx.Client) -> None:
    http.put("/api/queue/queues/mail", json={}).raise_for_status()
    seen: list[Any] = []
    stop = threading.Event()

    def handle(message: Message) -> None:
        seen.append(message.payload["n"])
        stop.set()

    with Client(system.url) as client:
        client.enqueue({"n": 1})
        client.enqueue({"n": 2}, queue="mail")
        client.work(handle, Work(queue="mail", wait_s=1), stop=stop)

    assert seen == [2]


@WORKERS
def test_worker_keeps_the_lease_of_a_long_task(
    system: System, http: httpx.Client, worker: Worker
) -> None:
    attempts: list[int] = []

    def handle(message: Message) -> None:
        attempts.append(message.attempt_count)
        time.sleep(3.2 * message.lease_s)  # others would have it three times

    with Client(system.url) as client, worker(system.url, handle):
        client.enqueue({})
        wait_until(lambda: counts(http)["acknowledged"] == 1, "it is done")

    assert attempts == [1]


@WORKERS
def test_worker_bears_a_restart(start_system: StartSystem, worker: Worker) -> None:
    system = start_system("api")
    seen: list[int] = []
    with (
        httpx.Client(base_url=system.url, timeout=20) as http,
        worker(system.url, lambda message: seen.append(message.payload["n"])),
    ):
        http.post("/api/queue/message", json={"payload": {"n": 0}})
        wait_until(lambda: counts(http)["acknowledged"] == 1, "it is done")
        system.running["api"].stop()
        system.start("api")
        system.wait_ready()
        http.post("/api/queue/message", json={"payload": {"n": 1}})
        wait_until(lambda: counts(http)["acknowledged"] == 2, "it goes on")

    assert seen == [0, 1]


async def test_cancelled_wait_leaves_no_lease(system: System, http: httpx.Client) -> None:
    async with AsyncClient(system.url) as client:
        waiting = asyncio.create_task(client.receive())
        await asyncio.to_thread(wait_until, lambda: waiting_consumers(http) == 1, "it waits")
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.to_thread(wait_until, lambda: waiting_consumers(http) == 0, "it does not")
        await client.enqueue({})

        message = await client.receive()

    assert message is not None
    assert message.attempt_count == 1


async def test_cancelled_worker_gives_its_message_back(system: System, http: httpx.Client) -> None:
    assert http
    began = asyncio.Event()

    async def handle(_message: Message) -> None:
        began.set()
        await asyncio.Event().wait()

    async with AsyncClient(system.url) as client:
        await client.enqueue({}, ack_timeout_s=600)
        worker = asyncio.create_task(client.work(handle))
        await began.wait()
        worker.cancel()
        with pytest.raises(asyncio.CancelledError):
            await worker

        again = await client.receive(timeout_s=5)

    assert again is not None
    assert again.attempt_count == 2


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_an_address_that_is_none_is_refused_before_anything_waits_for_it(
    kind: type[Client | AsyncClient],
) -> None:
    with pytest.raises(ValueError, match=r"url must begin with http.*'127\.0\.0\.1:8080'"):
        kind("127.0.0.1:8080")
