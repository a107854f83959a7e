"""Statistics and history of rooms, on both databases, with a real Redis."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import redis

from models import pulse
from models.database import Database
from models.errors import InvalidError, UnavailableError
from models.redis import connect_async
from models.rooms import counters, sampling, scripts, visitors
from models.rooms.reports import Reports
from models.rooms.room import Room, RoomNotFoundError, line_of
from models.rooms.rules import Arrival, Place
from models.rooms.statements import rooms, samples
from models.rooms.statements import visitors as visitor_statements
from models.rooms.statistics import (
    DAY_MS,
    MINUTE_MS,
    POINTS_MAX,
    Counts,
    Point,
    Reading,
    admitted_since,
    filled,
    step_for,
    waits_since,
    with_look,
)
from models.rooms.visitors import Note, Notes
from tests.servers import RedisServer

NOON_MS = 1_800_014_400_000  # noon of a UTC day
SALE = Room(
    id="sale",
    name="Sale",
    target_url="https://example.com/",
    rate_per_s=10,
    secret=b"s" * 32,
    created_at_ms=NOON_MS,
)


class Hall:
    """A room whose clock the test turns, and who reports on it."""

    def __init__(self, database: Database, client: redis.Redis, reports: Reports) -> None:
        self.database = database
        self.client = client
        self.reports = reports
        self.now_ms = NOON_MS
        with database.begin() as connection:
            rooms.create(connection, SALE)
            samples.start(connection, "sale", now_ms=NOON_MS)
        self.run(scripts.configure("sale", line_of(SALE), is_new=True, now_ms=NOON_MS))

    def run(self, call: scripts.Call[Any]) -> Any:
        return scripts.run(self.client, call)

    def join(self, count: int) -> None:
        self.run(scripts.join("sale", [Arrival(0)] * count, now_ms=self.now_ms))

    def move(self, ms: int) -> None:
        self.now_ms += ms

    def tick(self) -> int:
        return int(self.run(scripts.tick("sale", now_ms=self.now_ms)).admitted)

    def sample(self) -> int:
        return sampling.sample(self.database, self.client, now_ms=self.now_ms)


@pytest.fixture
async def hall(
    database: Database, redis_server: RedisServer, redis_client: redis.Redis
) -> AsyncIterator[Hall]:
    client = connect_async(redis_server.url)
    yield Hall(database, redis_client, Reports(database, client))
    await client.aclose()


async def test_stats_are_exact_before_anything_was_sampled(hall: Hall) -> None:
    hall.join(30)
    hall.move(1_000)
    assert hall.tick() == 10

    room, stats = await hall.reports.stats("sale", now_ms=hall.now_ms)

    assert room == SALE
    assert (stats.waiting, stats.inside, stats.peak, stats.peak_today) == (20, 10, 30, 30)
    assert stats.today == Counts(joined=30, admitted=10, waits_ms=10_000)
    assert stats.today.mean_wait_ms == 1_000
    assert stats.rate_per_s == pytest.approx(10 / 60)


async def test_sampling_changes_no_statistics_however_often_it_runs(hall: Hall) -> None:
    hall.join(30)
    hall.move(1_000)
    hall.tick()
    before = await hall.reports.stats("sale", now_ms=hall.now_ms)

    assert hall.sample() == 1
    assert await hall.reports.stats("sale", now_ms=hall.now_ms) == before
    hall.sample()
    hall.sample()

    assert await hall.reports.stats("sale", now_ms=hall.now_ms) == before


async def test_rate_is_that_of_the_last_minute(hall: Hall) -> None:
    hall.join(2_000)
    for _ in range(10):  # looked at every ten seconds
        for _ in range(10):
            hall.move(1_000)
            hall.tick()
        hall.sample()

    _, busy = await hall.reports.stats("sale", now_ms=hall.now_ms)
    hall.move(MINUTE_MS)
    _, full = await hall.reports.stats("sale", now_ms=hall.now_ms)

    assert (busy.rate_per_s, busy.inside) == (pytest.approx(10), 1_000)
    assert full.rate_per_s == 0


async def test_yesterday_does_not_count_today(hall: Hall) -> None:
    hall.join(30)
    hall.sample()
    hall.now_ms = NOON_MS + DAY_MS
    hall.join(5)

    _, stats = await hall.reports.stats("sale", now_ms=hall.now_ms)

    assert (stats.today.joined, stats.peak) == (5, 35)


async def test_emptied_redis_counts_nothing_twice(hall: Hall) -> None:
    hall.join(30)
    hall.sample()
    hall.client.flushall()
    _, lost = await hall.reports.stats("sale", now_ms=hall.now_ms)
    hall.run(scripts.configure("sale", line_of(SALE), now_ms=hall.now_ms))
    hall.join(7)
    hall.sample()

    _, stats = await hall.reports.stats("sale", now_ms=hall.now_ms)

    assert (lost.today.joined, lost.waiting) == (30, 0)
    assert (stats.today.joined, stats.waiting, stats.peak) == (37, 7, 30)


async def test_unknown_room_has_no_statistics(hall: Hall) -> None:
    with pytest.raises(RoomNotFoundError):
        await hall.reports.stats("none", now_ms=hall.now_ms)
    with pytest.raises(RoomNotFoundError):
        await hall.reports.history(
            "none", since_ms=NOON_MS, until_ms=NOON_MS + MINUTE_MS, step_ms=MINUTE_MS
        )


async def test_statistics_need_redis(database: Database) -> None:
    with database.begin() as connection:
        rooms.create(connection, SALE)
    client = connect_async("redis://127.0.0.1:1")

    with pytest.raises(UnavailableError):
        await Reports(database, client).stats("sale", now_ms=NOON_MS)

    await client.aclose()


async def test_history_has_a_point_for_each_step(hall: Hall) -> None:
    hall.join(30)
    hall.sample()
    hall.move(MINUTE_MS)
    hall.tick()
    hall.sample()
    hall.move(2 * MINUTE_MS)
    hall.join(4)
    hall.sample()
    span = {"since_ms": NOON_MS, "until_ms": NOON_MS + 5 * MINUTE_MS}

    step_ms, minutes = await hall.reports.history("sale", **span, step_ms=MINUTE_MS)
    _, [whole] = await hall.reports.history("sale", **span, step_ms=5 * MINUTE_MS)

    assert step_ms == MINUTE_MS
    first, second, quiet, fourth, last = minutes
    assert first == Point(at_ms=NOON_MS, waiting=30, waiting_max=30, counts=Counts(joined=30))
    assert (second.waiting, second.inside, second.counts.admitted) == (10, 20, 20)
    assert second.counts.mean_wait_ms == MINUTE_MS
    assert quiet == Point(at_ms=NOON_MS + 2 * MINUTE_MS)
    assert (fourth.waiting, fourth.counts.joined) == (14, 4)
    assert last == Point(at_ms=NOON_MS + 4 * MINUTE_MS)
    assert whole.counts == Counts(joined=34, admitted=20, waits_ms=20 * MINUTE_MS)
    assert (whole.waiting, whole.waiting_max, whole.inside) == (30, 30, 20)


async def test_history_is_bounded(hall: Hall) -> None:
    for since_ms, until_ms, step_ms in (
        (NOON_MS, NOON_MS, MINUTE_MS),
        (NOON_MS, NOON_MS - 1, None),
        (NOON_MS, NOON_MS + (POINTS_MAX + 1) * MINUTE_MS, MINUTE_MS),
    ):
        with pytest.raises(InvalidError):
            await hall.reports.history(
                "sale", since_ms=since_ms, until_ms=until_ms, step_ms=step_ms
            )

    _, points = await hall.reports.history(
        "sale", since_ms=NOON_MS - 90 * DAY_MS, until_ms=NOON_MS, step_ms=None
    )
    assert len(points) <= POINTS_MAX


def test_quiet_rooms_write_nothing(database: Database) -> None:
    with database.begin() as connection:
        samples.start(connection, "sale", now_ms=NOON_MS)

    assert sampling.keep(database, {"sale": Reading(), "gone": Reading(waiting=1)}, now_ms=1) == 0


def test_old_minutes_and_visitors_are_forgotten(database: Database) -> None:
    with database.begin() as connection:
        samples.start(connection, "sale", now_ms=0)
        for minute in range(4):
            reading = Reading(counts=Counts(joined=minute + 1), waiting=1)
            samples.keep(connection, "sale", reading, now_ms=minute * MINUTE_MS)
        visitor_statements.add(connection, [note(number) for number in range(4)])

    kept = {"samples_kept_ms": MINUTE_MS, "visitors_kept_ms": 1}
    assert sampling.forget(database, **kept, now_ms=3 * MINUTE_MS) == (2, 4)
    assert sampling.forget(database, **kept, now_ms=3 * MINUTE_MS) == (0, 0)


# What visitors say of themselves ---------------------------------------------------------------


def note(number: int) -> Note:
    return Note(
        position_id=f"position-{number}",
        room_id="sale",
        lane=0,
        number=number,
        joined_at_ms=number,
        details={"user_id": f"user-{number}"},
    )


async def test_notes_reach_the_database_once(
    database: Database, redis_client: redis.Redis, redis_server: RedisServer
) -> None:
    client = connect_async(redis_server.url)
    notes = Notes(client, notes_max=10_000)
    for number in range(1_200):
        notes.add(note(number))
    await notes.flush()
    await client.aclose()
    kept = redis_client.xrange(visitors.STREAM, count=1)

    assert sampling.note_visitors(database, redis_client, notes_max=10_000) == 1_200
    # As after a task that was killed between its commit and its last word.
    redis_client.xadd(visitors.STREAM, kept[0][1])  # type: ignore[index]
    assert sampling.note_visitors(database, redis_client, notes_max=10_000) == 0

    assert redis_client.xlen(visitors.STREAM) == 0
    with database.begin() as connection:
        found = visitor_statements.details(connection, ["position-7", "position-none"])
    assert found == {"position-7": {"user_id": "user-7"}}


async def test_notes_wait_for_redis_and_the_oldest_go_first() -> None:
    away = connect_async("redis://127.0.0.1:1")
    notes = Notes(away, notes_max=3)
    for number in range(5):
        notes.add(note(number))

    await notes.flush()
    await away.aclose()

    assert [each.number for each in notes.waiting] == [2, 3, 4]


# Arithmetic -------------------------------------------------------------------------------------


def test_counters_that_lost_their_tail_did_not_start_over() -> None:
    before = Counts(joined=1_000, admitted=500)

    assert Counts(joined=990, admitted=501).since(before) == Counts(admitted=1)
    assert Counts(joined=3, admitted=1).since(before) == Counts(joined=3, admitted=1)


def test_admissions_of_a_minute_are_those_since() -> None:
    looks = ((0, 0), (10_000, 100), (20_000, 200))

    assert admitted_since(looks, 5_000) == 150
    assert admitted_since(looks, 10_000) == 100
    assert admitted_since(looks, 20_000) == admitted_since((), 0) == 0
    assert admitted_since(looks, -1) == 200


def test_looks_keep_the_last_minute_whoever_looks_how_often() -> None:
    looks: tuple[tuple[int, int], ...] = ()
    for at_ms in range(0, 200_000, 1_000):  # ten times as often as they should
        looks = with_look(looks, at_ms, at_ms // 1_000)

    assert len(looks) <= 10
    assert admitted_since(looks, 199_000 - MINUTE_MS) == pytest.approx(60, abs=1)


def test_room_without_news_had_none_until_the_last_look() -> None:
    looks = with_look(((0, 5),), 600_000, 55)

    assert admitted_since(looks, 600_000 - MINUTE_MS) == 50


def test_steps_make_a_few_hundred_points() -> None:
    assert step_for(3_600_000) == MINUTE_MS
    assert step_for(DAY_MS) == 5 * MINUTE_MS
    assert step_for(30 * DAY_MS) == 3 * 60 * MINUTE_MS
    assert step_for(3_650 * DAY_MS) == DAY_MS
    points = {60: Point(at_ms=60, waiting=1)}
    assert [point.waiting for point in filled(points, since_ms=0, until_ms=180, step_ms=60)] == [
        *(0, 1, 0)
    ]


def test_reading_is_of_what_the_scripts_count(redis_client: redis.Redis) -> None:
    room = replace(SALE, created_at_ms=0)
    run = scripts.run
    run(redis_client, scripts.configure("sale", line_of(room), now_ms=NOON_MS))
    run(redis_client, scripts.join("sale", [Arrival(0), Arrival(3)], now_ms=NOON_MS))
    run(redis_client, scripts.leave("sale", Place(0, 0), now_ms=NOON_MS))
    run(redis_client, scripts.tick("sale", now_ms=NOON_MS + 1_000))

    found = counters.read(redis_client, ["sale", "none"])

    counts = Counts(joined=2, admitted=1, cancelled=1, waits_ms=1_000)
    assert found == {"sale": Reading(counts=counts, waiting=0, inside=1, peak=2)}


async def test_the_pulse_is_what_was_sampled_and_since_when_the_first_one_waits(hall: Hall) -> None:
    hall.join(12)
    hall.move(1_000)
    hall.tick()
    hall.sample()
    hall.move(MINUTE_MS)
    hall.join(3)
    hall.sample()

    sampling.see(hall.database, hall.client, now_ms=hall.now_ms)
    sampling.see(hall.database, hall.client, now_ms=hall.now_ms)

    before, now = hall.database.look(lambda connection: pulse.since(connection, NOON_MS))
    assert (before.depth, before.counts) == (None, pulse.Counts(arrived=12, done=10))
    assert now.counts == pulse.Counts(arrived=3)
    assert (now.domain, now.depth, now.oldest_s) == ("rooms", 5, 61)


def test_who_waits_longest_joined_in_the_minute_that_the_line_reaches_back_to() -> None:
    joined = [(300, 2), (200, 3), (100, 4)]

    assert [waits_since(joined, waiting) for waiting in (1, 2, 3, 5, 6, 9)] == [
        *(300, 300, 200, 200, 100, 100)
    ]
    assert waits_since(joined, 10) is None
