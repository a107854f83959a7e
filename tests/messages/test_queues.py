"""Named queues: apart from each other, with settings of their own, and gone without a trace."""

import asyncio
import uuid
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, event

from models.errors import InvalidError
from models.messages import jobs
from models.messages.policies import (
    QueueExistsError,
    QueueFullError,
    QueueInUseError,
    QueueNotEmptyError,
    QueueNotFoundError,
    QueueSettings,
)
from models.messages.rules import Held, MessageState, NewMessage
from tests.messages.conftest import Queue


async def make(queue: Queue, name: str = "mail", **settings: object) -> None:
    await queue.service.queues.create(name, QueueSettings(), now_ms=queue.now_ms)
    if settings:
        await queue.service.queues.patch(name, settings, now_ms=queue.now_ms)


async def test_queues_do_not_see_each_others_messages(queue: Queue) -> None:
    await make(queue)
    [here, there] = await queue.put(NewMessage("{}", priority=9), NewMessage("{}", queue="mail"))

    taken = await queue.take(queue="mail")

    assert taken
    assert taken.id == there
    assert await queue.take(queue="mail") is None
    other = await queue.take()
    assert other
    assert other.id == here


async def test_queue_that_nobody_made_is_refused_and_nothing_is_stored(queue: Queue) -> None:
    with pytest.raises(QueueNotFoundError):
        await queue.put(NewMessage("{}"), NewMessage("{}", queue="mial"))
    with pytest.raises(QueueNotFoundError):
        await queue.take(queue="mial", timeout_s=60)

    assert await queue.counts() == {}


async def test_one_wrong_queue_leaves_the_rest_of_its_flush_alone(queue: Queue) -> None:
    good, bad, last = await asyncio.gather(
        queue.put(NewMessage("{}")),
        queue.put(NewMessage("{}", queue="mial")),
        queue.put(NewMessage("{}")),
        return_exceptions=True,
    )

    assert isinstance(bad, QueueNotFoundError)
    assert isinstance(good, list)
    assert isinstance(last, list)
    assert good < last
    assert await queue.counts() == {"queued": 2}


@pytest.mark.parametrize("name", ["", "-a", ".a", "a b", "a/b", "ä", "a" * 129, "a\n"])
async def test_a_name_that_is_none_is_refused(queue: Queue, name: str) -> None:
    with pytest.raises(InvalidError):
        await make(queue, name)


async def test_a_name_is_given_once(queue: Queue) -> None:
    await make(queue)

    for name in ("mail", "default"):
        with pytest.raises(QueueExistsError):
            await make(queue, name)


async def test_default_is_always_there_and_has_settings(queue: Queue) -> None:
    await queue.service.queues.patch("default", {"max_attempts": 7}, now_ms=queue.now_ms)
    await queue.put(NewMessage("{}"))

    lease = await queue.take()

    assert lease
    assert lease.max_attempts == 7
    with pytest.raises(QueueInUseError):
        await queue.service.queues.delete("default", force=True)


async def test_settings_are_defaults_for_messages_that_do_not_say(queue: Queue) -> None:
    await make(queue, max_attempts=5, lease_ms=7_000)
    await queue.put(
        NewMessage("{}", queue="mail"),
        NewMessage("{}", queue="mail", max_attempts=2, lease_ms=9_000),
    )

    leases = [await queue.take(queue="mail") for _ in range(2)]

    assert [
        (lease.max_attempts, lease.lease_until_ms - queue.now_ms) for lease in leases if lease
    ] == [(5, 7_000), (2, 9_000)]


async def test_patch_sets_what_it_names_and_none_is_the_default_again(queue: Queue) -> None:
    await make(queue, max_attempts=5, lease_ms=7_000)

    await queue.service.queues.patch("mail", {"lease_ms": None}, now_ms=queue.now_ms)

    found = await queue.service.queues.get("mail")
    assert found.settings == QueueSettings(max_attempts=5)
    for wrong in ({"lease_ms": 5}, {"paused": "yes"}, {"paled": True}):
        with pytest.raises(InvalidError):
            await queue.service.queues.patch("mail", wrong, now_ms=queue.now_ms)
    with pytest.raises(QueueNotFoundError):
        await queue.service.queues.patch("mial", {}, now_ms=queue.now_ms)


async def test_paused_queue_keeps_consumers_waiting_until_it_goes_on(queue: Queue) -> None:
    await make(queue, paused=True)
    [message_id] = await queue.put(NewMessage("{}", queue="mail"))
    assert await queue.take(queue="mail") is None
    waiting = asyncio.create_task(queue.take(queue="mail", timeout_s=60))
    await queue.until_waiting(1)

    await queue.service.queues.patch("mail", {"paused": False}, now_ms=queue.now_ms)

    lease = await waiting
    assert lease
    assert lease.id == message_id


async def test_another_process_follows_a_pause_within_a_second(queue: Queue) -> None:
    await make(queue)
    other = Queue(queue.database)
    await queue.put(NewMessage("{}", queue="mail"), NewMessage("{}", queue="mail"))
    assert await other.take(queue="mail")

    await queue.service.queues.patch("mail", {"paused": True}, now_ms=queue.now_ms)

    assert queue.recorder.wakes > 0
    other.now_ms += 1_000
    assert await other.take(queue="mail") is None
    await other.service.close()


async def test_full_queue_takes_no_more_until_there_is_room(queue: Queue) -> None:
    await make(queue, waiting_max=2)
    await queue.put(NewMessage("{}", queue="mail"))

    with pytest.raises(QueueFullError):
        await queue.put(*[NewMessage("{}", queue="mail")] * 2)
    outcomes = await asyncio.gather(
        *(queue.put(NewMessage("{}", queue="mail")) for _ in range(3)), return_exceptions=True
    )
    assert [isinstance(outcome, QueueFullError) for outcome in outcomes] == [False, True, True]
    await queue.put(NewMessage("{}"))

    assert await queue.take(queue="mail")
    await queue.put(NewMessage("{}", queue="mail"))


async def test_queue_is_deleted_when_nothing_is_left_to_do(queue: Queue) -> None:
    await make(queue)
    await queue.put(NewMessage("{}", queue="mail"))
    with pytest.raises(QueueNotEmptyError):
        await queue.service.queues.delete("mail")
    lease = await queue.take(queue="mail")
    assert lease
    await queue.service.acknowledge(Held(lease.id, lease.lock_token), now_ms=queue.now_ms)

    assert await queue.service.queues.delete("mail") == 1

    with pytest.raises(QueueNotFoundError):
        await queue.take(queue="mail")
    assert await queue.counts() == {}
    assert jobs.recount(queue.database) == {}


async def test_queue_is_deleted_by_force_with_all_that_is_in_it(queue: Queue) -> None:
    await make(queue)
    await queue.put(*[NewMessage("{}", queue="mail", type=kind) for kind in ("a", "b", None)] * 300)
    [kept] = await queue.put(NewMessage("{}"))
    lease = await queue.take(queue="mail")
    assert lease

    assert await queue.service.queues.delete("mail", force=True) == 900

    assert await queue.counts() == {"queued": 1}
    assert jobs.recount(queue.database) == {}
    await make(queue)
    assert await queue.take(queue="mail") is None
    found = await queue.take()
    assert found
    assert found.id == kept


async def test_purge_deletes_what_waits_and_leaves_the_rest(queue: Queue) -> None:
    await make(queue)
    await queue.put(*[NewMessage("{}", queue="mail")] * 3)
    await queue.take(queue="mail")

    assert await queue.service.queues.purge("mail") == 2

    [found] = [one for one in await queue.service.queues.list() if one.name == "mail"]
    assert (found.counts.queued, found.counts.processing) == (0, 1)
    assert await queue.service.queues.purge("mail", states=frozenset({MessageState.DEAD})) == 0
    assert jobs.recount(queue.database) == {}


async def test_what_is_stored_while_its_queue_is_deleted_is_refused_or_goes_with_it(
    queue: Queue,
) -> None:
    other = Queue(queue.database)
    for _ in range(5):
        await make(queue)
        await asyncio.gather(
            *(other.put(NewMessage("{}", queue="mail")) for _ in range(20)),
            queue.service.queues.delete("mail", force=True),
            *(other.put(NewMessage("{}", queue="mail")) for _ in range(20)),
            return_exceptions=True,
        )

        assert await queue.counts() == {}
    assert jobs.recount(queue.database) == {}
    await other.service.close()


def test_wire_knows_default_and_refuses_names_that_nobody_made(http: httpx.Client) -> None:
    stored = http.post("/api/queue/message", json={"payload": {}, "queue": "default"})
    assert stored.status_code == 201
    name = f"q-{uuid.uuid4().hex}"

    answers = [
        http.post("/api/queue/message", json={"payload": {}, "queue": name}),
        http.post("/api/queue/batch", json=[{"payload": {}}, {"payload": {}, "queue": name}]),
        http.get("/api/queue/message", params={"queue": name, "timeout": 30}),
    ]

    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (404, "QUEUE_NOT_FOUND")
    assert http.post("/api/queue/message", json={"payload": {}, "queue": "a b"}).status_code == 400
    leased = http.get("/api/queue/message", params={"queue": "default", "timeout": 0}).json()
    assert leased["id"] == stored.json()["id"]
    assert http.get("/api/queue/message", params={"timeout": 0}).json()["code"] == "NO_MESSAGES"


def test_wire_makes_shows_changes_and_deletes_queues(http: httpx.Client) -> None:
    name = f"q-{uuid.uuid4().hex}"
    path = f"/api/queue/queues/{name}"
    assert http.get(path).json()["code"] == "QUEUE_NOT_FOUND"

    made = http.put(path, json={"ack_timeout_seconds": 5, "waiting_max": 2})
    again = http.put(path, json={"max_attempts": 7})
    changed = http.patch(path, json={"paused": True, "ack_timeout_seconds": 9})
    reset = http.patch(path, json={"ack_timeout_seconds": None})

    assert (made.status_code, again.status_code, changed.status_code) == (201, 200, 200)
    assert made.json()["ack_timeout_seconds"] == 5
    assert made.json()["waiting_max"] == 2
    assert again.json()["waiting_max"] is None
    assert (changed.json()["paused"], changed.json()["max_attempts"]) == (True, 7)
    assert changed.json()["ack_timeout_seconds"] == 9
    assert reset.json() == http.get(path).json()
    assert reset.json()["ack_timeout_seconds"] is None
    listed = [queue["name"] for queue in http.get("/api/queue/queues").json()["queues"]]
    assert listed == sorted({"default", name})
    assert http.delete(path).json() == {"name": name, "removed": 0}
    assert http.delete(path).status_code == 404


def test_wire_counts_purges_and_keeps_what_is_not_empty(http: httpx.Client) -> None:
    name = f"q-{uuid.uuid4().hex}"
    path = f"/api/queue/queues/{name}"
    http.put(path, json={})
    http.post("/api/queue/message", json={"payload": {}})
    http.post("/api/queue/batch", json=[{"payload": {}, "queue": name}] * 3)
    http.get("/api/queue/message", params={"queue": name})

    kept = http.delete(path)

    assert (kept.status_code, kept.json()["code"]) == (409, "QUEUE_NOT_EMPTY")
    assert http.get(path).json()["counts"]["queued"] == 2
    assert http.get("/api/queue/metrics", params={"queue": name}).json()["total"] == 3
    assert http.get("/api/queue/status", params={"queue": name}).json()["counts"]["queued"] == 2
    assert http.get("/api/queue/metrics").json()["total"] == 4
    assert http.get("/api/queue/metrics", params={"queue": "nowhere"}).status_code == 404
    assert http.post(f"{path}/purge").json() == {"name": name, "removed": 2}
    assert http.delete(path, params={"force": "true"}).json()["removed"] == 1
    assert http.delete("/api/queue/queues/default").json()["code"] == "QUEUE_PERMANENT"


def test_wire_names_what_is_wrong_with_a_setting(http: httpx.Client) -> None:
    path = f"/api/queue/queues/q-{uuid.uuid4().hex}"

    answers = [
        http.put(path, json={"ack_timeout_seconds": 10_000_000}),
        http.put(path, json={"max_attempts": 0}),
        http.put(path, json={"speed": 1}),
        http.put("/api/queue/queues/a%20b", json={}),
        http.patch("/api/queue/queues/default", json={"max_attempts": 9_999}),
    ]

    assert [(answer.status_code, *answer.json()["details"]) for answer in answers] == [
        (400, "ack_timeout_seconds"),
        (400, "max_attempts"),
        (400, "speed"),
        (400, "name"),
        (400, "max_attempts"),
    ]


async def test_default_queue_costs_no_statement_of_its_own(queue: Queue) -> None:
    said: list[str] = []

    def hear(*call: Any) -> None:
        said.append(call[2])

    await queue.put(NewMessage("{}"))
    await queue.take()

    event.listen(Engine, "before_cursor_execute", hear)
    try:
        await queue.put(NewMessage("{}"))
        await queue.take()
    finally:
        event.remove(Engine, "before_cursor_execute", hear)

    assert said
    assert not [statement for statement in said if "message_queue" in statement]


async def test_purge_looks_where_nothing_is_once_a_pass(queue: Queue) -> None:
    await queue.put(*[NewMessage("{}")] * 1_200)
    looks: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.startswith("DELETE FROM message_delayed"):
            looks.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        assert await queue.service.queues.purge("default") == 1_200
    finally:
        event.remove(Engine, "before_cursor_execute", note)

    assert len(looks) == 2  # the second pass finds nothing left
    assert jobs.recount(queue.database) == {}
