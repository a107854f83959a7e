"""Any history of calls against a model of the queue: who gets what, what is refused, what is left.

The model is a list and a few lines; where the two differ, hypothesis shows the shortest history.
"""

import asyncio
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.database import Database
from models.errors import StanchionError
from models.messages import jobs
from models.messages.rules import Held, NewMessage
from tests.conftest import delete_all_rows
from tests.messages.conftest import Queue

TYPES = (None, "a", "b")
# What a step does; numbers choose among the leases given so far.
steps = st.one_of(
    st.tuples(
        st.just("put"),
        st.builds(
            NewMessage,
            payload=st.just("{}"),
            type=st.sampled_from(TYPES),
            priority=st.integers(0, 2),
            max_attempts=st.integers(1, 3),
            lease_ms=st.sampled_from([1_000, 2_500]),
        ),
    ),
    st.tuples(st.just("take"), st.sampled_from(TYPES), st.sampled_from([None, 1_500])),
    st.tuples(st.just("ack"), st.integers(0, 5)),
    st.tuples(st.just("nack"), st.integers(0, 5)),
    st.tuples(st.just("touch"), st.integers(0, 5), st.sampled_from([None, 1_000, 4_000])),
    st.tuples(st.just("wait"), st.sampled_from([1, 999, 1_000, 1_500, 3_000])),
    st.tuples(st.just("sweep")),
)


@dataclass
class Kept:
    id: int
    priority: int
    type: str | None
    max_attempts: int
    lease_ms: int
    state: str = "queued"
    attempts: int = 0
    token: str = ""
    length_ms: int = 0
    until_ms: int = 0


@dataclass
class Model:
    now_ms: int
    messages: dict[int, Kept] = field(default_factory=dict)

    def lapse(self) -> None:
        for kept in self.messages.values():
            if kept.state == "processing" and kept.until_ms <= self.now_ms:
                self.fail(kept)

    def fail(self, kept: Kept) -> None:
        kept.state = "dead" if kept.attempts >= kept.max_attempts else "queued"

    def next(self, type_: str | None) -> Kept | None:
        self.lapse()
        waiting = [
            kept
            for kept in self.messages.values()
            if kept.state == "queued" and (type_ is None or kept.type == type_)
        ]
        return min(waiting, key=lambda kept: (-kept.priority, kept.id), default=None)

    def held(self, given: tuple[int, str]) -> Kept | None:
        kept = self.messages[given[0]]
        return kept if kept.state == "processing" and kept.token == given[1] else None

    def counts(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for kept in self.messages.values():
            counts[kept.state] = counts.get(kept.state, 0) + 1
        return counts


@given(history=st.lists(steps, max_size=30))
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_history_ends_as_the_model_says(database: Database, history: list[tuple]) -> None:  # type: ignore[type-arg]
    delete_all_rows(database)
    asyncio.run(run(database, history))


async def run(database: Database, history: list[tuple]) -> None:  # type: ignore[type-arg]
    queue = Queue(database)
    model = Model(queue.now_ms)
    given_leases: list[tuple[int, str]] = []
    for name, *arguments in history:
        if name in {"ack", "nack", "touch"}:
            if given_leases:
                chosen = given_leases[arguments[0] % len(given_leases)]
                await settle(queue, model, name, chosen, *arguments[1:])
        elif name == "put":
            await put(queue, model, *arguments)
        elif name == "take":
            await take(queue, model, given_leases, *arguments)
        elif name == "wait":
            queue.now_ms += arguments[0]
            model.now_ms = queue.now_ms
        else:
            jobs.expire(database, now_ms=queue.now_ms)
            model.lapse()
        assert await queue.counts() == model.counts()
    assert jobs.recount(database) == {}
    await queue.service.close()


async def put(queue: Queue, model: Model, new: NewMessage) -> None:
    [message_id] = await queue.put(new)
    model.messages[message_id] = Kept(
        message_id, new.priority, new.type, new.max_attempts, new.lease_ms
    )


async def take(
    queue: Queue,
    model: Model,
    given_leases: list[tuple[int, str]],
    type_: str | None,
    lease_ms: int | None,
) -> None:
    lease = await queue.take(type_=type_, lease_ms=lease_ms)
    expected = model.next(type_)
    assert (lease and lease.id) == (expected and expected.id)
    if lease and expected:
        expected.state, expected.token = "processing", lease.lock_token
        expected.attempts += 1
        expected.length_ms = lease_ms or expected.lease_ms
        expected.until_ms = queue.now_ms + expected.length_ms
        assert (lease.attempt_count, lease.lease_until_ms) == (
            expected.attempts,
            expected.until_ms,
        )
        given_leases.append((lease.id, lease.lock_token))


async def settle(
    queue: Queue,
    model: Model,
    name: str,
    chosen: tuple[int, str],
    extend_ms: int | None = None,
) -> None:
    held, kept = Held(*chosen), model.held(chosen)
    before = model.messages[chosen[0]]
    is_repeat = name == "ack" and before.state == "acknowledged" and before.token == chosen[1]
    try:
        if name == "ack":
            await queue.service.acknowledge(held, now_ms=queue.now_ms)
        elif name == "nack":
            await queue.service.reject(held, None, now_ms=queue.now_ms)
        else:
            until_ms = await queue.service.extend(held, extend_ms, now_ms=queue.now_ms)
    except StanchionError:
        assert kept is None
        assert not is_repeat
        return
    if is_repeat:
        return
    assert kept is not None
    if name == "ack":
        kept.state = "acknowledged"
    elif name == "nack":
        model.fail(kept)
    else:
        kept.until_ms = queue.now_ms + (extend_ms or kept.length_ms)
        assert until_ms == kept.until_ms
