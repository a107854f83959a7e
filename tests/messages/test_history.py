"""The history: a whole life in order, kept exactly once, honest about what was lost.

A real service tells a real Redis; what the worker's task runs writes it down.
"""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import redis
import redis.asyncio

from api.live.broadcaster import Broadcaster
from api.messages.activity import newest_entry_of
from models import pulse
from models.audit import Actor, Signature
from models.clock import iso_utc
from models.database import Database
from models.events import Event, encode_entry, stream_key
from models.messages import jobs, recording
from models.messages.activity import Activity
from models.messages.anomalies import Thresholds
from models.messages.histories import Ledger, Told, Wanted
from models.messages.mass import Pace, redriving
from models.messages.rules import (
    Held,
    LeaseRequest,
    MessageNotFoundError,
    NewMessage,
)
from models.messages.service import MessageLimits, MessageService
from models.messages.statements import history
from tests.messages.conftest import Listener
from tests.servers import RedisServer

START_MS = 1_800_000_000_000
EVENTS_MAX = 10_000
SIGNATURE = Signature(actor=Actor(kind="key", name="tester", id="7"), action="message_deleted")


class Town:
    """A service, its stream and its history; the clock stands still until a test moves it."""

    def __init__(
        self, database: Database, client: redis.Redis, waiting: redis.asyncio.Redis, kept_max: int
    ) -> None:
        self.now_ms = START_MS
        self.database = database
        self.client = client
        self.broadcaster = Broadcaster(waiting, kept_max=kept_max, now_ms=lambda: self.now_ms)
        self.service = MessageService(
            database,
            self.broadcaster,
            clock=lambda: self.now_ms,
            process=0,
            limits=MessageLimits(),
        )
        self.activity = Activity(database, newest_entry_of(waiting, "messages"), Thresholds())
        self._tokens = 0

    async def put(self, *messages: NewMessage) -> list[int]:
        return (await self.service.enqueue(messages, now_ms=self.now_ms)).ids

    async def take(self, consumer: str, *, lease_ms: int | None = None) -> Held:
        self._tokens += 1
        request = LeaseRequest(consumer, f"lt_{self._tokens}", None, lease_ms)
        lease = await self.service.lease(request, timeout_s=0, caller=Listener())
        assert lease is not None
        return Held(lease.id, lease.lock_token)

    async def ack(self, held: Held) -> None:
        await self.service.acknowledge(held, now_ms=self.now_ms)

    async def nack(self, held: Held, error: str | None = None) -> None:
        await self.service.reject(held, error, now_ms=self.now_ms)

    async def lapse(self) -> None:
        """Do what the worker does: put back, then tell."""
        await self.broadcaster.flush()
        sweep = jobs.expire(self.database, now_ms=self.now_ms)
        if sweep.events:
            self.tell(*sweep.events)

    def tell(self, *events: Event) -> None:
        self.client.xadd(stream_key("messages"), encode_entry(events, at_ms=self.now_ms))

    async def record(self) -> recording.Recorded:
        await self.broadcaster.flush()
        return await asyncio.to_thread(
            recording.record, self.database, self.client, events_max=EVENTS_MAX
        )

    async def life(self, message_id: int) -> list[tuple[str, int | None, str | None]]:
        life = await self.activity.life(message_id, after_id=0, count=100)
        return [
            (each.event, each.at_ms and each.at_ms - START_MS, each.consumer_id)
            for each in life.happenings
        ]

    async def lines(self, **wanted: object) -> list[str]:
        page = await self.activity.page(Wanted(**wanted), before=None, count=1_000)  # type: ignore[arg-type]
        return [line.row.event for line in page.lines]


@pytest.fixture
async def town(
    database: Database, redis_client: redis.Redis, redis_server: RedisServer
) -> AsyncIterator[Town]:
    async with redis.asyncio.Redis.from_url(redis_server.url) as waiting:
        made = Town(database, redis_client, waiting, kept_max=100_000)
        yield made
        await made.service.close()


async def _live(town: Town) -> int:
    """Let a message be given back, lapse, and be acknowledged at the third attempt."""
    [message_id] = await town.put(NewMessage("{}", type="a", priority=4))
    town.now_ms += 1_000
    held = await town.take("anna")
    town.now_ms += 500
    await town.nack(held, "hot")
    await town.take("berta", lease_ms=1_000)
    town.now_ms += 2_000
    await town.lapse()
    held = await town.take("carla")
    town.now_ms += 300
    await town.ack(held)
    return message_id


LIFE = [
    ("enqueued", 0, None),
    ("leased", 1_000, "anna"),
    ("given_back", 1_500, "anna"),
    ("leased", 1_500, "berta"),
    ("lapsed", 3_500, "berta"),
    ("leased", 3_500, "carla"),
    ("acknowledged", 3_800, "carla"),
]


async def test_life_is_told_in_order(town: Town) -> None:
    message_id = await _live(town)
    await town.broadcaster.flush()
    recorded = await town.record()

    assert recorded == recording.Recorded(events=7, gaps=0)
    assert await town.life(message_id) == LIFE
    life = await town.activity.life(message_id, after_id=0, count=100)
    assert life.is_complete
    assert not any(each.is_derived for each in life.happenings)
    assert [each.attempt for each in life.happenings] == [0, 1, 1, 2, 2, 3, 3]
    assert [each.held_ms for each in life.happenings] == [None, None, 500, None, 2_000, None, 300]
    assert json.loads(life.happenings[2].detail or "") == {"error": "hot"}
    assert (life.reading.is_behind, life.reading.begins_at_ms) == (False, START_MS)


async def test_life_of_a_redriven_message_goes_on_with_its_attempts_anew(town: Town) -> None:
    [message_id] = await town.put(NewMessage("{}", max_attempts=1))
    await town.nack(await town.take("one"))
    redrive = redriving(queue=None, resets_attempts=True, rate_per_s=None)
    pace = Pace(messages_max=1, rows_per_transaction=1)
    await town.service.mass.act_named(
        redrive, [message_id], SIGNATURE, pace=pace, now_ms=town.now_ms
    )
    await town.take("two")

    await town.record()

    life = await town.activity.life(message_id, after_id=0, count=100)
    assert [(each.event, each.attempt) for each in life.happenings] == [
        ("enqueued", 0),
        ("leased", 1),
        ("given_back", 1),
        ("dead", 1),
        ("redriven", 0),
        ("leased", 1),
    ]
    assert life.is_complete


async def test_life_is_the_same_when_it_is_read_piece_by_piece(town: Town) -> None:
    message_id = await _live(town)
    await town.broadcaster.flush()
    while recording.record(town.database, town.client, events_max=1).events:
        pass

    assert await town.life(message_id) == LIFE


async def test_batch_in_one_entry_is_read_on_from_its_middle(town: Town) -> None:
    ids = await town.put(*(NewMessage("{}") for _ in range(7)))
    await town.broadcaster.flush()
    counts = []
    while events := recording.record(town.database, town.client, events_max=3).events:
        counts.append(events)

    assert counts == [3, 3, 1]
    page = await town.activity.page(Wanted(), before=None, count=100)
    assert [line.row.message_id for line in page.lines] == ids[::-1]


async def test_tables_tell_what_the_history_does_not_know_yet(town: Town) -> None:
    [message_id] = await town.put(NewMessage("{}", max_attempts=2))
    town.now_ms += 1_000
    held = await town.take("anna")

    assert await town.life(message_id) == [("enqueued", 0, None), ("leased", 1_000, "anna")]
    await town.record()
    await town.nack(held, "hot")
    life = await town.activity.life(message_id, after_id=0, count=100)
    assert [(each.event, each.at_ms, each.error) for each in life.happenings][2:] == [
        ("given_back", None, "hot")
    ]
    assert life.is_complete is False
    held = await town.take("berta")
    town.now_ms += 1_000
    await town.nack(held, "cold")
    life = await town.activity.life(message_id, after_id=0, count=100)
    assert (life.happenings[-1].event, life.happenings[-1].error) == ("dead", "cold")
    await town.record()
    assert [event for event, *_ in await town.life(message_id)] == [
        *("enqueued", "leased", "given_back", "leased", "given_back", "dead")
    ]


async def test_message_that_is_gone_keeps_its_history_and_an_unknown_one_has_none(
    town: Town,
) -> None:
    [message_id] = await town.put(NewMessage("{}"))
    town.now_ms += 1_000
    await town.service.changes.delete(message_id, SIGNATURE, now_ms=town.now_ms)
    await town.record()

    assert [event for event, *_ in await town.life(message_id)] == ["enqueued", "deleted"]
    with pytest.raises(MessageNotFoundError):
        await town.life(message_id + 1)


async def test_doubled_tasks_write_once(town: Town) -> None:
    for _ in range(12):
        await town.put(*(NewMessage("{}") for _ in range(100)))
    await town.broadcaster.flush()

    runs = await asyncio.gather(
        *(
            asyncio.to_thread(recording.record, town.database, town.client, events_max=EVENTS_MAX)
            for _ in range(3)
        )
    )

    while (await town.record()).events:
        pass
    page = await town.activity.page(Wanted(), before=None, count=1_000)
    rest = await town.activity.page(Wanted(), before=page.next_place, count=1_001)
    ids = [line.row.message_id for line in page.lines + rest.lines]
    assert len(ids) == len(set(ids)) == 1_200
    assert sum(run.events for run in runs) <= 1_200


class _KilledError(Exception):
    """Stands for the end of a task that has written and not committed."""


async def test_task_killed_before_its_commit_loses_nothing(town: Town) -> None:
    message_id = await _live(town)
    await town.broadcaster.flush()
    told = [
        Told("1-0.0", START_MS, Event("enqueue", {"id": f"msg_{message_id:016x}", "type": "a"}))
    ]
    ledger = Ledger({})
    ledger.note(told[0])
    with pytest.raises(_KilledError), town.database.begin() as connection:  # noqa: PT012
        assert history.advance(connection, "messages", old="", new="1-0.0")
        history.put(connection, ledger.rows)
        raise _KilledError

    await town.record()

    assert await town.life(message_id) == LIFE


async def test_cut_stream_leaves_a_gap(town: Town) -> None:
    [message_id] = await town.put(NewMessage("{}"))
    await town.record()
    await town.put(NewMessage("{}"))
    await town.broadcaster.flush()
    town.now_ms += 5_000
    held = await town.take("anna")
    await town.broadcaster.flush()
    town.client.xtrim(stream_key("messages"), maxlen=1, approximate=False)
    town.now_ms += 5_000
    await town.ack(held)

    assert (await town.record()).gaps == 1
    assert await town.lines() == ["acknowledged", "leased", "gap", "enqueued"]
    life = await town.activity.life(message_id, after_id=0, count=100)
    [gap] = life.gaps
    assert json.loads(gap.detail or "")["reason"] == "stream_cut"
    assert (await town.record()) == recording.Recorded(0, 0)


async def test_stream_that_begins_anew_leaves_a_gap(town: Town) -> None:
    await town.put(NewMessage("{}"))
    await town.record()
    town.client.flushall()
    assert (await town.record()) == recording.Recorded(0, 0)
    told = encode_entry([Event("ack", {})], at_ms=town.now_ms)
    town.client.xadd(stream_key("messages"), told, id="5-0")

    assert (await town.record()) == recording.Recorded(1, 1)
    assert await town.lines() == ["acknowledged", "gap", "enqueued"]


async def test_commits_dropped_while_redis_was_away_are_a_gap(town: Town) -> None:
    for number in range(1_003):
        town.broadcaster.publish("messages", [Event("enqueue", {"id": f"msg_{number:016x}"})])
    await town.broadcaster.flush()

    recorded = await town.record()

    assert (recorded.events, recorded.gaps) == (1_000, 1)
    page = await town.activity.page(Wanted(event="gap"), before=None, count=10)
    assert json.loads(page.lines[0].row.detail or "")["commits"] == 3


async def test_filters_fit_together_and_pages_follow_each_other(town: Town) -> None:
    message_id = await _live(town)
    await town.put(NewMessage("{}", type="b"), NewMessage("{}"))
    await town.record()

    assert await town.lines(message_id=message_id, consumer_id="anna") == ["given_back", "leased"]
    assert len(await town.lines(type="b")) == 1
    assert len(await town.lines(event="leased", queue="default")) == 3
    assert await town.lines(queue="other") == []
    assert await town.lines(since_ms=START_MS + 3_800, event="acknowledged") == ["acknowledged"]
    assert await town.lines(until_ms=START_MS + 999) == ["enqueued"]
    before, events = None, []
    while True:
        page = await town.activity.page(Wanted(), before=before, count=2)
        events += [line.row.event for line in page.lines]
        before = page.next_place
        if before is None:
            break
    assert events == await town.lines()


async def test_history_is_forgotten_by_age_and_number(town: Town) -> None:
    await town.put(*(NewMessage("{}") for _ in range(20)))
    await town.record()
    town.now_ms += 10_000
    await town.put(*(NewMessage("{}") for _ in range(20)))
    await town.record()
    forget = {"now_ms": town.now_ms, "batch": 7}

    gone = recording.forget(town.database, history_keep_ms=5_000, rows_max=1_000, **forget)
    assert (gone, len(await town.lines())) == (20, 20)
    gone = recording.forget(town.database, history_keep_ms=5_000, rows_max=5, **forget)
    assert (gone, len(await town.lines())) == (15, 5)


async def test_consumers_figures_are_what_was_done(town: Town) -> None:
    for kind in ("a", "a", "b"):
        await town.put(NewMessage("{}", type=kind))
    for held_ms in (100, 300):
        held = await town.take("anna")
        town.now_ms += held_ms
        await town.ack(held)
    held = await town.take("anna")
    await town.nack(held)
    await town.take("berta", lease_ms=1_000)
    town.now_ms += 1_000
    await town.lapse()
    await town.take("anna")
    await town.record()

    found = await town.activity.consumers(
        since_ms=START_MS - 60_000, until_ms=town.now_ms, count=10
    )

    anna, berta = sorted(found.consumers, key=lambda one: one.consumer_id)
    assert (anna.total.leased, anna.total.acknowledged, anna.total.given_back) == (4, 2, 1)
    assert (anna.total.lapsed, anna.held, anna.mean_ms) == (0, 1, 200)
    assert anna.p95_ms == pytest.approx(300, rel=0.045)
    assert anna.total.last_at_ms == town.now_ms
    assert {kind: (done.leased, held) for (_, kind), (done, held) in anna.kinds.items()} == {
        "a": (2, 0),
        "b": (2, 1),
    }
    assert (berta.total.leased, berta.total.lapsed, berta.held) == (1, 1, 0)
    assert not found.has_more


async def test_consumers_without_a_name_are_summed_together(town: Town) -> None:
    await town.put(NewMessage("{}"), NewMessage("{}"))
    for name in ("consumer_0123abcd", "consumer_0123abce"):
        await town.ack(await town.take(name))
    await town.record()

    found = await town.activity.consumers(since_ms=0, until_ms=town.now_ms, count=10)

    assert [(one.consumer_id, one.total.acknowledged) for one in found.consumers] == [("", 2)]
    assert await town.lines(consumer_id="consumer_0123abcd") == ["acknowledged", "leased"]


async def test_consumers_are_bounded(town: Town) -> None:
    for number in range(600):
        town.tell(Event("dequeue", {"id": f"msg_{number:016x}", "consumer_id": f"c{number}"}))
    await town.record()

    found = await town.activity.consumers(since_ms=0, until_ms=town.now_ms, count=1_000)

    assert len(found.consumers) <= 501
    assert sum(one.total.leased for one in found.consumers) == 600
    few = await town.activity.consumers(since_ms=0, until_ms=town.now_ms, count=10)
    assert (len(few.consumers), few.has_more) == (10, True)


async def test_the_pulse_counts_what_happened_once_and_keeps_how_deep_it_is(town: Town) -> None:
    await _live(town)
    await town.put(NewMessage("{}"), NewMessage("{}"))
    await town.record()
    await town.record()
    town.now_ms += 4_000

    [told] = jobs.see(town.database, now_ms=town.now_ms)
    assert jobs.see(town.database, now_ms=town.now_ms) == [told]

    minute = pulse.minute_of(START_MS)
    assert town.database.look(lambda connection: pulse.since(connection, minute)) == [
        pulse.Minute(
            at_ms=minute,
            domain="messages",
            depth=2,
            oldest_s=4,
            counts=pulse.Counts(arrived=3, done=1, failed=2),
        )
    ]
    assert (told.name, told.data["domain"]) == ("minute", "messages")
    assert told.data["minutes"] == [
        {"at": iso_utc(minute), "depth": 2, "oldest_seconds": 4, "in": 3, "out": 1, "failed": 2}
    ]


async def test_the_pulse_forgets_what_is_older_than_a_day(town: Town) -> None:
    await _live(town)
    await town.record()
    jobs.see(town.database, now_ms=town.now_ms)

    jobs.see(town.database, now_ms=town.now_ms + pulse.KEPT_MS + pulse.MINUTE_MS)

    kept = town.database.look(lambda connection: pulse.since(connection, 0))
    assert [each.counts for each in kept] == [pulse.Counts()]
