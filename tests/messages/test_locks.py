"""Transactions that need the same rows wait for each other in one order: no two deadlock.

Each test holds the first of two rows, lets the other transaction come as far as it can, and then
takes the second row: SQLite, with one writer, lets the other begin only afterwards.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import pytest
from sqlalchemy import Connection, text

from models.database import Database
from models.messages.claims import Claim, Claims, Watches
from models.messages.filters import MessageFilter
from models.messages.marks import FROM_THE_START
from models.messages.mass import moving
from models.messages.policies import QueueSettings, Rate
from models.messages.registry import Registry
from models.messages.rules import (
    Extension,
    Held,
    LeaseRequest,
    MessageState,
    NewMessage,
    Tally,
)
from models.messages.statements import counts, groups, mass, queues, rates, settle
from models.messages.statements.place import Placed, Turns, place
from models.messages.watch import LapseWatch
from models.messages.writes import Extend
from tests.messages.conftest import Queue
from tests.servers import wait_until

T = TypeVar("T")


@contextmanager
def beside(
    database: Database, first: Callable[[Connection], object], other: Callable[[Connection], T]
) -> Iterator[tuple[Connection, Future[T]]]:
    """Open a transaction that did `first`, while `other` waits for it in one of its own."""

    def run() -> T:
        with database.begin() as connection:
            return other(connection)

    with ThreadPoolExecutor(1) as pool, database.begin() as connection:
        first(connection)
        future = pool.submit(run)
        wait_until(lambda: is_somebody_waiting(database), "the other waits")
        yield connection, future


def is_somebody_waiting(database: Database) -> bool:
    if database.is_sqlite:
        return True
    with database.begin() as connection:
        waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(connection.execute(waiting).scalar_one())


def claim(queue: Queue, *names: str) -> Callable[[Connection], Claim]:
    claims = Claims(Registry(), clock=lambda: queue.now_ms, shard=5, rows_max=500)
    wishes = [[LeaseRequest("other", f"lt_of_{name}", queue=name)] for name in names]
    starts = [FROM_THE_START] * len(names)
    watches = Watches(LapseWatch(), LapseWatch())
    return lambda connection: claims.take(connection, wishes, starts, watches, 0)


async def arrange(queue: Queue, *names: str, rate: Rate | None = None) -> None:
    """Make queues with a message of a group in each."""
    for name in names:
        await queue.service.queues.create(name, QueueSettings(rate=rate), now_ms=queue.now_ms)
        await queue.put(NewMessage("{}", queue=name, group_key="k"))


async def test_touches_do_not_deadlock_with_acks(queue: Queue) -> None:
    await queue.put(NewMessage("1"), NewMessage("2"))
    leases = [lease for _ in range(2) if (lease := await queue.take())]
    one, two = (Held(lease.id, lease.lock_token) for lease in leases)

    def acknowledge(connection: Connection, held: Held) -> None:
        settle.acknowledge(connection, [held], now_ms=queue.now_ms, tally=Tally())

    with beside(
        queue.database,
        lambda connection: acknowledge(connection, one),
        lambda connection: Extend()(
            connection, [Extension(two, None), Extension(one, None)], now_ms=queue.now_ms, slot=0
        ),
    ) as (connection, touched):
        acknowledge(connection, two)

    assert [getattr(each, "message_id", None) for each in touched.result()] == [
        f"msg_{two.id:016x}",
        f"msg_{one.id:016x}",
    ]


async def test_claims_of_several_rates_do_not_deadlock(queue: Queue) -> None:
    await arrange(queue, "a", "b", rate=Rate(count=10))

    with beside(
        queue.database,
        lambda connection: rates.hold_rates(connection, "a", [("queue", "")]),
        claim(queue, "b", "a"),
    ) as (connection, claimed):
        rates.hold_rates(connection, "b", [("queue", "")])

    assert len(claimed.result().leases) == 2


async def test_claim_does_not_deadlock_with_who_deletes_its_queue(queue: Queue) -> None:
    await arrange(queue, "a", rate=Rate(count=10))

    def begin_to_delete(connection: Connection) -> None:
        queues.lock(connection, "a")
        queues.remove(connection, "a")

    with beside(queue.database, begin_to_delete, claim(queue, "a")) as (connection, claimed):
        every = frozenset(MessageState)
        queues.remove_messages(connection, "a", states=every, count=500, tally=Tally())

    assert claimed.result().leases == []


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
async def test_moves_between_queues_do_not_deadlock(queue: Queue, names: tuple[str, str]) -> None:
    source, target = names
    await arrange(queue, source, target)
    act = moving(queue=target, state=None, reason=None)
    chosen = mass.Chosen(
        states=act.sources,
        filter=MessageFilter(queue=source),
        as_of_ms=queue.now_ms,
        queue=target,
    )

    def move(connection: Connection) -> Placed:
        tally = Tally()
        taken = mass.take(connection, chosen, {}, count=10, tally=tally)
        return place(connection, Turns(act, 0, 0), taken, now_ms=queue.now_ms, tally=tally)

    with beside(
        queue.database, lambda connection: groups.enter(connection, [("a", "k", 1_000)]), move
    ) as (connection, moved):
        groups.enter(connection, [("b", "k", 1_001)])

    assert moved.result().freed == 0


def test_fold_keeps_what_is_counted_meanwhile(database: Database) -> None:
    def count(connection: Connection, type_: str) -> None:
        tally = Tally()
        tally.move("default", type_, target=MessageState.QUEUED)
        counts.bump(connection, 1, tally)

    class Interrupted:
        """A connection between whose statements another transaction commits."""

        def __init__(self, connection: Connection) -> None:
            self.dialect = connection.dialect
            self.connection = connection

        def execute(self, statement: object, *arguments: object) -> object:
            if str(statement).startswith("DELETE") and not database.is_sqlite:
                with database.begin() as other:
                    count(other, "new")
            return self.connection.execute(statement, *arguments)  # type: ignore[call-overload]

    with database.begin() as connection:
        count(connection, "old")
    with database.begin() as connection:
        counts.fold_shard(Interrupted(connection), 1, 2)  # type: ignore[arg-type]
        if database.is_sqlite:
            count(connection, "new")

    with database.begin() as connection:
        found = {type_: n for _, type_, _, n in counts.read_counters(connection)}
    assert found == {"old": 1, "new": 1}
