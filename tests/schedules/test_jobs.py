"""What workers do for schedules, on both databases: once for each moment, whatever happens."""

import multiprocessing
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import Engine, event, update

from models.database import Database
from models.errors import InvalidError
from models.messages.policies import QueueNotFoundError, QueueSettings
from models.messages.rules import NewMessage
from models.schedules import jobs, statements
from models.schedules.jobs import Round
from models.schedules.rules import (
    CatchUp,
    Plan,
    Schedule,
    ScheduleExistsError,
    ScheduleNotFoundError,
    Timing,
    TooManySchedulesError,
)
from models.schedules.service import ScheduleService
from models.schedules.tables import schedule as table
from tests.messages.conftest import Queue
from tests.servers import wait_until

HOUR_MS = 3_600_000
EVERY_SECOND = Plan(timing=Timing(every_ms=1_000), message=NewMessage("{}"))


def run(database: Database, now_ms: int) -> Round:
    return jobs.run_due(database, attempts_default=3, lease_default_ms=30_000, now_ms=now_ms)


@pytest.fixture
def service(queue: Queue) -> ScheduleService:
    return ScheduleService(queue.database, queue.service, schedules_max=5)


async def test_each_moment_puts_one_message_in(queue: Queue, service: ScheduleService) -> None:
    message = NewMessage('{"a": 1}', type="t", priority=3, delay_ms=0)
    await service.create("s", replace(EVERY_SECOND, message=message), now_ms=queue.now_ms)

    assert run(queue.database, queue.now_ms + 999).events == []
    done = run(queue.database, queue.now_ms + 1_000)
    assert run(queue.database, queue.now_ms + 1_000).events == []

    assert [event.name for event in done.events] == ["enqueue"]
    assert done.arrivals == {("default", "t"): 1}
    taken = await queue.take()
    assert taken
    assert (taken.payload, taken.type, taken.priority) == ('{"a": 1}', "t", 3)
    found = await service.get("s")
    assert (found.runs, found.last_run_ms) == (1, queue.now_ms + 1_000)
    assert found.next_run_ms == queue.now_ms + 2_000


async def test_late_look_runs_every_moment_that_came(
    queue: Queue, service: ScheduleService
) -> None:
    await service.create("s", EVERY_SECOND, now_ms=queue.now_ms)

    run(queue.database, queue.now_ms + 20_500)

    assert await queue.counts() == {"queued": 20}


async def test_clock_that_is_set_back_runs_nothing_twice(
    queue: Queue, service: ScheduleService
) -> None:
    await service.create("s", EVERY_SECOND, now_ms=queue.now_ms)
    run(queue.database, queue.now_ms + 10_000)

    for at_ms in (5_000, 9_000, 10_000):
        run(queue.database, queue.now_ms + at_ms)
    await service.patch("s", {"paused": True}, now_ms=queue.now_ms + 3_000)
    await service.patch("s", {"paused": False}, now_ms=queue.now_ms + 3_000)
    run(queue.database, queue.now_ms + 10_000)

    assert await queue.counts() == {"queued": 10}
    run(queue.database, queue.now_ms + 11_000)
    assert await queue.counts() == {"queued": 11}


@pytest.mark.parametrize(
    ("catch_up", "missed"), [(CatchUp.NONE, 0), (CatchUp.ONE, 1), (CatchUp.ALL, 118)]
)
async def test_missed_moments_are_caught_up(
    queue: Queue, service: ScheduleService, catch_up: CatchUp, missed: int
) -> None:
    timing = Timing(every_ms=60_000)
    plan = Plan(timing=timing, message=NewMessage("{}"), catch_up=catch_up)
    await service.create("s", plan, now_ms=queue.now_ms)

    run(queue.database, queue.now_ms + 2 * HOUR_MS)  # two of 120 are late, the rest was missed

    assert await queue.counts() == {"queued": missed + 2}
    run(queue.database, queue.now_ms + 2 * HOUR_MS + 60_000)
    assert await queue.counts() == {"queued": missed + 3}


async def test_catching_up_has_a_bound(queue: Queue, service: ScheduleService) -> None:
    plan = replace(EVERY_SECOND, catch_up=CatchUp.ALL)
    await service.create("s", plan, now_ms=queue.now_ms)

    run(queue.database, queue.now_ms + 1_000 * HOUR_MS)

    assert await queue.counts() == {"queued": 1_000}
    assert run(queue.database, queue.now_ms + 1_000 * HOUR_MS).events == []


async def test_pause_is_not_made_up_for(queue: Queue, service: ScheduleService) -> None:
    plan = replace(EVERY_SECOND, catch_up=CatchUp.ALL)
    await service.create("s", plan, now_ms=queue.now_ms)
    await service.patch("s", {"paused": True}, now_ms=queue.now_ms)
    assert run(queue.database, queue.now_ms + 60_000).events == []

    await service.patch("s", {"paused": False}, now_ms=queue.now_ms + 60_000)

    assert run(queue.database, queue.now_ms + 60_000).events == []
    assert len(run(queue.database, queue.now_ms + 61_000).events) == 1


async def test_schedule_ends(queue: Queue, service: ScheduleService) -> None:
    timing = Timing(every_ms=1_000, ends_at_ms=queue.now_ms + 2_000)
    await service.create("s", replace(EVERY_SECOND, timing=timing), now_ms=queue.now_ms)

    run(queue.database, queue.now_ms + 30_000)

    assert await queue.counts() == {"queued": 2}
    assert (await service.get("s")).next_run_ms is None


@pytest.mark.parametrize(
    ("zone", "day", "at"),
    [
        ("Europe/Berlin", "2026-03-28T12:00Z", "2026-03-29T01:00Z"),
        ("Europe/Berlin", "2026-10-24T12:00Z", "2026-10-25T00:30Z"),
        ("Asia/Ho_Chi_Minh", "2026-03-28T12:00Z", "2026-03-28T19:30Z"),
    ],
)
async def test_day_of_any_length_has_one_run(
    queue: Queue, service: ScheduleService, zone: str, day: str, at: str
) -> None:
    begin_ms = int(datetime.fromisoformat(day).timestamp() * 1000)
    timing = Timing(cron="30 2 * * *", timezone=zone)
    await service.create("s", replace(EVERY_SECOND, timing=timing), now_ms=begin_ms)

    ran = [
        now_ms
        for now_ms in range(begin_ms, begin_ms + 20 * HOUR_MS, HOUR_MS // 4)
        for _ in run(queue.database, now_ms).events
    ]

    assert ran == [int(datetime.fromisoformat(at).timestamp() * 1000)]


async def test_errors_stay_with_their_schedule(queue: Queue, service: ScheduleService) -> None:
    for name in ("a", "c"):
        await queue.service.queues.create(name, QueueSettings(), now_ms=queue.now_ms)
        message = NewMessage("{}", queue=name)
        await service.create(name, replace(EVERY_SECOND, message=message), now_ms=queue.now_ms)
    await service.create("b", EVERY_SECOND, now_ms=queue.now_ms)
    await queue.service.queues.delete("a")
    await queue.service.queues.patch("c", {"waiting_max": 1}, now_ms=queue.now_ms)

    done = run(queue.database, queue.now_ms + 2_000)

    assert done.failed.keys() == {"a", "c"}
    assert await queue.counts() == {"queued": 3}  # two of b, one of c
    gone, fine, full = [await service.get(name) for name in ("a", "b", "c")]
    assert (gone.failures, gone.last_error) == (2, "queue a does not exist")
    assert gone.last_error_at_ms == queue.now_ms + 2_000
    assert (fine.failures, fine.last_error) == (0, None)
    assert (full.runs, full.failures) == (1, 1)
    assert "waiting_max" in (full.last_error or "")
    await queue.service.queues.create("a", QueueSettings(), now_ms=queue.now_ms)
    run(queue.database, queue.now_ms + 3_000)
    assert (await service.get("a")).failures == 0


async def test_what_nobody_foresaw_stops_its_schedule_alone(
    queue: Queue, service: ScheduleService
) -> None:
    for name in ("a", "b"):
        await service.create(name, EVERY_SECOND, now_ms=queue.now_ms)
    with queue.database.begin() as connection:
        connection.execute(update(table).where(table.c.name == "a").values(message="?"))

    done = run(queue.database, queue.now_ms + 1_000)

    assert done.broken is not None
    assert len(done.events) == 1


async def test_zone_that_went_away_is_said(queue: Queue, service: ScheduleService) -> None:
    plan = replace(EVERY_SECOND, timing=Timing(cron="* * * * *"))
    await service.create("s", plan, now_ms=queue.now_ms)
    with queue.database.begin() as connection:
        connection.execute(update(table).values(timezone="Old/Town"))

    run(queue.database, queue.now_ms + 60_000)

    found = await service.get("s")
    assert found.next_run_ms is None
    assert "Old/Town" in (found.last_error or "")


async def test_runners_that_race_run_each_moment_once(
    queue: Queue, service: ScheduleService
) -> None:
    for name in ("a", "b", "c"):
        await service.create(name, EVERY_SECOND, now_ms=queue.now_ms)
    gate = threading.Barrier(3)

    def race() -> int:
        ran = 0
        for step in range(1, 11):
            gate.wait()
            ran += len(run(queue.database, queue.now_ms + step * 1_000).events)
        return ran

    with ThreadPoolExecutor(3) as threads:
        ran = [future.result() for future in [threads.submit(race) for _ in range(3)]]
    ran.append(len(run(queue.database, queue.now_ms + 10_000).events))

    assert sum(ran) == 30
    assert await queue.counts() == {"queued": 30}


def store_and_hang(url: str, now_ms: int, ready: Any) -> None:
    """Run what is due, stop at the commit of what was stored, and wait to be killed."""
    seen: list[str] = []

    @event.listens_for(Engine, "after_cursor_execute")
    def _executed(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    @event.listens_for(Engine, "commit")
    def _commits(_connection: Any) -> None:
        if any("INSERT INTO message_ready" in statement for statement in seen):
            ready.put("stored")
            signal.pause()

    run(Database(url, connections_max=4, timeout_s=10), now_ms)


async def test_runner_that_is_killed_before_its_commit_leaves_the_moment_due(
    queue: Queue, service: ScheduleService, database_url: str
) -> None:
    await service.create("s", EVERY_SECOND, now_ms=queue.now_ms)
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Queue()
    now_ms = queue.now_ms + 1_000
    runner = spawn.Process(target=store_and_hang, args=(database_url, now_ms, ready))
    runner.start()
    assert ready.get(timeout=60) == "stored"
    if not queue.database.is_sqlite:
        assert run(queue.database, now_ms).events == []  # it holds the schedule

    assert runner.pid
    os.kill(runner.pid, signal.SIGKILL)
    runner.join()

    assert await queue.counts() == {}
    # The server notices the dead connection in its own time, and lets the row go.
    wait_until(lambda: run(queue.database, now_ms).events, "the moment is run by another")
    assert run(queue.database, now_ms).events == []
    assert await queue.counts() == {"queued": 1}


# --- What people do ---------------------------------------------------------------------------


async def test_change_of_the_message_leaves_a_due_moment(
    queue: Queue, service: ScheduleService
) -> None:
    await service.create("s", EVERY_SECOND, now_ms=queue.now_ms)

    await service.patch("s", {"message": NewMessage('{"b": 2}')}, now_ms=queue.now_ms + 1_500)
    run(queue.database, queue.now_ms + 1_500)

    taken = await queue.take()
    assert taken
    assert taken.payload == '{"b": 2}'


async def test_interval_and_cron_line_replace_each_other(
    queue: Queue, service: ScheduleService
) -> None:
    await service.create("s", EVERY_SECOND, now_ms=queue.now_ms)

    by_cron = await service.patch("s", {"cron": "* * * * *"}, now_ms=queue.now_ms)
    assert (by_cron.plan.timing.cron, by_cron.plan.timing.every_ms) == ("* * * * *", None)
    back = await service.patch("s", {"every_ms": 5_000}, now_ms=queue.now_ms)
    assert (back.plan.timing.cron, back.next_run_ms) == (None, queue.now_ms + 5_000)
    with pytest.raises(InvalidError):
        await service.patch("s", {"every_ms": None}, now_ms=queue.now_ms)


async def test_put_makes_sets_and_repeats(queue: Queue, service: ScheduleService) -> None:
    made, is_new = await service.put("s", EVERY_SECOND, now_ms=queue.now_ms)
    again, is_new_again = await service.put("s", EVERY_SECOND, now_ms=queue.now_ms + 700)

    assert (is_new, is_new_again) == (True, False)
    assert again == made
    assert await service.get("s") == made


async def test_only_so_many_can_be_made(queue: Queue, service: ScheduleService) -> None:
    for number in range(5):
        await service.create(f"s{number}", EVERY_SECOND, now_ms=queue.now_ms)

    with pytest.raises(TooManySchedulesError):
        await service.put("s5", EVERY_SECOND, now_ms=queue.now_ms)
    with pytest.raises(ScheduleExistsError):
        await service.create("s4", EVERY_SECOND, now_ms=queue.now_ms)
    await service.put("s4", EVERY_SECOND, now_ms=queue.now_ms)
    await service.delete("s0")
    await service.create("s5", EVERY_SECOND, now_ms=queue.now_ms)


async def test_queue_of_the_message_has_to_be_there(queue: Queue, service: ScheduleService) -> None:
    plan = replace(EVERY_SECOND, message=NewMessage("{}", queue="mial"))

    with pytest.raises(QueueNotFoundError):
        await service.create("s", plan, now_ms=queue.now_ms)
    with pytest.raises(ScheduleNotFoundError):
        await service.get("s")


async def test_every_field_survives_the_store(queue: Queue, service: ScheduleService) -> None:
    plan = Plan(
        timing=Timing(
            cron="1 2 3 4 5", timezone="Asia/Ho_Chi_Minh", starts_at_ms=5, ends_at_ms=10**12
        ),
        message=NewMessage(
            '{"ä": "\\u0000"}', "t", 4, 5, 6_000, "default", 0, group_key="g", once=None
        ),
        paused=True,
        catch_up=CatchUp.ONE,
    )

    made = await service.create("s", plan, now_ms=queue.now_ms)

    with queue.database.begin() as connection:
        stored = statements.read(connection, "s")
        assert isinstance(stored, Schedule)
    assert stored == made
