"""Single messages edited and deleted: what they say, their counters, their races, their trail."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from models import audit
from models.audit import Actor, Signature
from models.messages import jobs
from models.messages.acts import Edit
from models.messages.rules import (
    Held,
    InvalidStateError,
    MessageNotFoundError,
    NewMessage,
    public_id,
)
from tests.messages.conftest import Queue
from tests.messages.test_contract import put, take

EDITED = Signature(actor=Actor(kind="key", name="tester", id="7"), action="message_edited")
DELETED = Signature(actor=Actor(kind="key", name="tester", id="7"), action="message_deleted")


async def edit(queue: Queue, message_id: int, due_at_ms: int | None = None, **values: Any) -> None:
    change = Edit(values=values, due_at_ms=due_at_ms)
    await queue.service.changes.edit(message_id, change, EDITED, now_ms=queue.now_ms)


async def delete(queue: Queue, message_id: int, *, force: bool = False) -> None:
    await queue.service.changes.delete(message_id, DELETED, force=force, now_ms=queue.now_ms)


def log_of(queue: Queue) -> list[tuple[str, str, str, dict[str, Any]]]:
    with queue.database.begin() as connection:
        entries: Sequence[audit.Entry] = audit.page(connection, count=100)
    return [
        (each.actor.name, each.change.action, each.change.target, dict(each.change.details))
        for each in reversed(entries)
    ]


async def dead(queue: Queue, **fields: Any) -> int:
    """Put a message in that is dead right away."""
    [message_id] = await queue.put(NewMessage("{}", max_attempts=1, **fields))
    lease = await queue.take(queue=fields.get("queue", "default"))
    assert lease
    assert lease.id == message_id
    await queue.service.reject(Held(lease.id, lease.lock_token), "broken", now_ms=queue.now_ms)
    return message_id


async def test_edited_message_says_it_all_anew_and_keeps_its_place(queue: Queue) -> None:
    first, second = await queue.put(NewMessage("{}", type="a"), NewMessage("{}", type="b"))

    await edit(
        queue, first, payload='{"n": 1.50}', type="b", max_attempts=9, lease_ms=7_000, priority=0
    )

    leases = [await queue.take(type_="b") for _ in range(2)]
    assert [lease and lease.id for lease in leases] == [first, second]
    assert leases[0]
    assert (leases[0].payload, leases[0].max_attempts) == ('{"n": 1.50}', 9)
    assert leases[0].lease_until_ms == queue.now_ms + 7_000
    assert jobs.recount(queue.database) == {}


async def test_edit_of_the_priority_lets_a_message_overtake(queue: Queue) -> None:
    _, second = await queue.put(NewMessage("{}"), NewMessage("{}"))

    await edit(queue, second, priority=9)

    lease = await queue.take()
    assert lease
    assert (lease.id, lease.priority) == (second, 9)


async def test_edit_counts_a_message_under_its_new_type(queue: Queue) -> None:
    [message_id] = await queue.put(NewMessage("{}", type="a"))

    await edit(queue, message_id, type=None)

    status = await queue.service.status()
    assert {name: counts.queued for name, counts in status.by_type.items()} == {"": 1}
    assert jobs.recount(queue.database) == {}


async def test_who_waits_for_the_new_type_gets_the_message(queue: Queue) -> None:
    [message_id] = await queue.put(NewMessage("{}", type="a"))
    waiting = asyncio.create_task(queue.take(type_="b", timeout_s=60))
    await queue.until_waiting(1)

    await edit(queue, message_id, type="b")

    lease = await waiting
    assert lease
    assert lease.id == message_id


async def test_due_time_of_a_delayed_message_moves(queue: Queue) -> None:
    queue.follow_the_clock()
    [message_id] = await queue.put(NewMessage("{}", delay_ms=3_600_000))
    waiting = asyncio.create_task(queue.take(timeout_s=60))
    await queue.until_waiting(1)

    await edit(queue, message_id, due_at_ms=queue.now_ms)

    lease = await waiting
    assert lease
    assert lease.id == message_id
    assert jobs.recount(queue.database) == {}


async def test_message_of_a_paused_type_goes_when_it_gets_another(queue: Queue) -> None:
    [message_id] = await queue.put(NewMessage("{}", type="a"))
    await queue.service.queues.patch("default", {"paused_types": ["a"]}, now_ms=queue.now_ms)
    assert await queue.take() is None

    await edit(queue, message_id, type="b")

    lease = await queue.take()
    assert lease
    assert (lease.id, lease.type) == (message_id, "b")
    assert jobs.recount(queue.database) == {}


async def test_dead_message_is_edited_where_it_lies(queue: Queue) -> None:
    message_id = await dead(queue, type="a")

    await edit(queue, message_id, payload='{"b": 2}', type="c")

    assert await queue.counts() == {"dead": 1}
    assert jobs.recount(queue.database) == {}


async def test_edit_of_what_is_held_or_done_is_refused_with_the_state(queue: Queue) -> None:
    held, done = await queue.put(NewMessage("{}"), NewMessage("{}"))
    leases = [await queue.take(), await queue.take()]
    assert leases[1]
    await queue.service.acknowledge(Held(done, leases[1].lock_token), now_ms=queue.now_ms)
    [ready] = await queue.put(NewMessage("{}"))

    for message_id, state, change in (
        (held, "processing", {"priority": 1}),
        (done, "acknowledged", {"priority": 1}),
        (ready, "queued", {"due_at_ms": 5}),
    ):
        with pytest.raises(InvalidStateError) as refusal:
            await edit(queue, message_id, **change)
        assert refusal.value.details == {"status": state}
    with pytest.raises(MessageNotFoundError):
        await edit(queue, ready + 1, priority=1)
    assert log_of(queue) == []
    assert "edit" not in queue.recorder.names()


async def test_message_is_deleted_in_each_state(queue: Queue) -> None:
    kept = await dead(queue)
    lost = await dead(queue)
    done, held, ready, delayed = await queue.put(
        *[NewMessage("{}", type="a")] * 3, NewMessage("{}", delay_ms=5_000)
    )
    for message_id in (done, held):
        lease = await queue.take()
        assert lease
        assert lease.id == message_id
        if message_id == done:
            await queue.service.acknowledge(Held(done, lease.lock_token), now_ms=queue.now_ms)

    for message_id in (lost, done, ready, delayed):
        await delete(queue, message_id)
    with pytest.raises(InvalidStateError):
        await delete(queue, held)
    await delete(queue, held, force=True)

    assert await queue.counts() == {"dead": 1}
    assert jobs.recount(queue.database) == {}
    with pytest.raises(MessageNotFoundError):
        await delete(queue, held)
    with pytest.raises(MessageNotFoundError):
        await queue.service.acknowledge(Held(held, lease.lock_token), now_ms=queue.now_ms)
    assert queue.recorder.names().count("delete") == 5
    await delete(queue, kept)


async def test_archived_message_is_deleted_from_the_archive(queue: Queue) -> None:
    [message_id] = await queue.put(NewMessage("{}"))
    lease = await queue.take()
    assert lease
    await queue.service.acknowledge(Held(lease.id, lease.lock_token), now_ms=queue.now_ms)
    jobs.grow_old(
        queue.database, archive_after_ms=1_000, delete_after_ms=10_000, now_ms=queue.now_ms + 5_000
    )
    assert await queue.counts() == {"archived": 1}

    await delete(queue, message_id)

    assert await queue.counts() == {}
    assert jobs.recount(queue.database) == {}


async def test_changes_are_in_the_audit_log_without_a_payload(queue: Queue) -> None:
    first, second = await queue.put(NewMessage("{}"), NewMessage("{}"))

    await edit(queue, first, payload='{"secret": 1}', priority=3)
    await delete(queue, second)

    assert log_of(queue) == [
        (
            *("tester", "message_edited", public_id(first)),
            {"fields": ["payload", "priority"], "queue": "default", "status": "queued"},
        ),
        (
            *("tester", "message_deleted", public_id(second)),
            {"queue": "default", "status": "queued"},
        ),
    ]


async def test_changes_race_with_consumers_and_nothing_is_lost_or_twice(queue: Queue) -> None:
    other = Queue(queue.database)
    ids = await queue.put(*[NewMessage("{}", type=kind) for kind in ("a", "b")] * 30)

    async def consume() -> list[int]:
        taken = []
        while lease := await other.take():
            taken.append(lease.id)
            held = Held(lease.id, lease.lock_token)
            await other.service.acknowledge(held, now_ms=other.now_ms)
        return taken

    async def remove(message_id: int) -> list[int]:
        await delete(queue, message_id)
        return [message_id]

    outcomes = await asyncio.gather(
        *(consume() for _ in range(4)),
        *(edit(queue, message_id, type="c", priority=3) for message_id in ids),
        *(remove(message_id) for message_id in ids[::3]),
        return_exceptions=True,
    )

    taken = [one for outcome in outcomes[:4] if isinstance(outcome, list) for one in outcome]
    gone = [one for outcome in outcomes[-20:] if isinstance(outcome, list) for one in outcome]
    failures = [one for one in outcomes if isinstance(one, Exception)]
    assert {type(one) for one in failures} <= {InvalidStateError, MessageNotFoundError}
    assert len(taken) == len(set(taken))
    while lease := await other.take():
        taken.append(lease.id)
    assert {*taken, *gone} == set(ids)
    assert jobs.recount(queue.database) == {}
    await other.service.close()


# The wire ------------------------------------------------------------------------------------


def test_wire_edits_a_message(http: httpx.Client) -> None:
    made = put(http, type="a", payload={"a": 1})
    path = f"/api/queue/message/{made['id']}"

    answer = http.put(
        path,
        content='{"payload": {"b": 1.50}, "priority": 4, "maxAttempts": 8, "ackTimeout": 9}',
        headers={"Content-Type": "application/json"},
    )

    assert answer.status_code == 200, answer.text
    assert '"payload":{"b": 1.50}' in answer.text
    assert answer.json() == {
        **{name: made[name] for name in ("id", "type", "created_at")},
        "queue": "default",
        "payload": {"b": 1.5},
        "priority": 4,
        "status": "queued",
        "attempt_count": 0,
        "max_attempts": 8,
        "ack_timeout_seconds": 9,
    }
    leased = take(http)
    assert (leased["payload"], leased["priority"], leased["max_attempts"]) == ({"b": 1.5}, 4, 8)
    refused = http.put(path, json={"priority": 1})
    assert (refused.status_code, refused.json()["code"]) == (409, "INVALID_STATE")
    assert refused.json()["details"] == {"status": "processing"}


def test_wire_moves_the_due_time(http: httpx.Client) -> None:
    made = put(http, delay_seconds=3600)
    path = f"/api/queue/message/{made['id']}"
    later = datetime.now(UTC) + timedelta(days=1)

    moved = http.put(path, json={"due_at": later.isoformat()})
    now = http.put(path, json={"delay_seconds": 0})

    assert moved.json()["due_at"][:19] == later.isoformat()[:19]
    assert (moved.json()["status"], now.status_code) == ("delayed", 200)
    assert take(http)["id"] == made["id"]


def test_wire_deletes_a_message_and_its_holder_finds_none(http: httpx.Client) -> None:
    made = put(http)
    leased = take(http)
    path = f"/api/queue/message/{made['id']}"

    refused = http.delete(path)
    gone = http.delete(path, params={"force": "true"})

    assert (refused.status_code, refused.json()["details"]) == (409, {"status": "processing"})
    assert gone.json() == {"id": made["id"], "status": "deleted", "was": "processing"}
    held = {"id": made["id"], "lock_token": leased["lock_token"]}
    assert http.post("/api/queue/ack", json=held).json()["code"] == "NOT_FOUND"
    assert http.delete(path).status_code == 404
    assert http.get("/api/queue/metrics").json()["total"] == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"payload": []}, "payload"),
        ({"payload": None}, "payload"),
        ({"priority": 10}, "priority"),
        ({"priority": None}, "priority"),
        ({"type": ""}, "type"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"max_attempts": 9_999}, "max_attempts"),
        ({"ack_timeout_seconds": 30_000_000}, "ack_timeout_seconds"),
        ({"delay_seconds": 5, "due_at": "2030-01-01T00:00:00Z"}, "due_at"),
        ({"due_at": "2030-01-01T00:00:00"}, "due_at"),
        ({"due_at": "2999-01-01T00:00:00Z"}, "due_at"),
        ({"queue": "other"}, "queue"),
        ({"maxAttempts": 3, "max_attempts": 3}, "max_attempts"),
    ],
)
def test_wire_names_what_is_wrong_with_an_edit(
    http: httpx.Client, body: dict[str, Any], field: str
) -> None:
    answer = http.put(f"/api/queue/message/{public_id(1)}", json=body)

    assert (answer.status_code, list(answer.json()["details"])) == (400, [field]), answer.text


def test_wire_knows_no_ids_that_are_none(http: httpx.Client) -> None:
    for name in ("msg_x", "1", public_id(9_000_000)):
        path = f"/api/queue/message/{name}"
        assert http.put(path, json={"priority": 1}).status_code == 404
        assert http.delete(path).status_code == 404
    assert http.delete(path, params={"force": "perhaps"}).status_code == 400
