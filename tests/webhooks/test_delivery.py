"""Messages handed to a real receiver, on both databases; time is whatever a test says."""

import asyncio
import threading

import pytest
from sqlalchemy import func, select

from models.messages import jobs as message_jobs
from models.messages.policies import QueueSettings
from models.messages.rules import NewMessage, public_id
from models.messages.tables import done
from models.webhooks.jobs import Served
from models.webhooks.rules import REST_MIN_MS
from models.webhooks.tables import delivery
from tests.servers import free_port
from tests.webhooks.conftest import ACTOR, House
from tests.webhooks.receiver import Got, Receiver, Reply
from workers.webhooks import Line


async def test_message_is_posted_signed_and_acknowledged(house: House, receiver: Receiver) -> None:
    made = await house.make(receiver.url, headers={"Authorization": "Bearer abc"})
    [message] = await house.put("order")

    assert house.tick() == [Served(requests=1)]

    [got] = receiver.got
    assert got.path == "/hook"
    assert got.id == public_id(message)
    assert got.headers["webhook-timestamp"] == str(house.now_ms // 1000)
    assert got.headers["authorization"] == "Bearer abc"
    assert got.headers["content-type"] == "application/json"
    assert got.headers["stanchion-attempt"] == "1"
    assert got.json == {
        "type": "order",
        "timestamp": "2023-11-14T22:13:20.000Z",
        "id": public_id(message),
        "queue": "default",
        "priority": 0,
        "data": {"n": 0},
    }
    assert got.is_signed_by(made.secrets.secret)
    assert await house.queue.counts() == {"acknowledged": 1}
    with house.database.begin() as connection:
        assert connection.execute(select(done.c.consumer_id)).scalar_one() == "webhook:hook"
    [noted] = await house.deliveries()
    assert (noted.status, noted.attempt, noted.error) == (204, 1, None)


async def test_payload_goes_out_to_the_letter(house: House, receiver: Receiver) -> None:
    await house.make(receiver.url)
    await house.queue.put(NewMessage('{"a" :1.0,\n"b":"\\u00e4ä"}'))

    house.tick()

    assert '{"a" :1.0,\n"b":"\\u00e4ä"}'.encode() in receiver.got[0].body


async def test_only_messages_of_the_type_and_queue_go(house: House, receiver: Receiver) -> None:
    await house.queue.service.queues.create("mail", QueueSettings(), now_ms=house.now_ms)
    await house.make(receiver.url, type="order")
    await house.make(receiver.url, "other", queue="mail")
    await house.put("order", "invoice", None)

    house.tick()

    assert [got.json["type"] for got in receiver.got] == ["order"]
    assert await house.queue.counts() == {"acknowledged": 1, "queued": 2}
    assert house.due() == []


async def test_concurrency_is_what_the_webhook_says(house: House, receiver: Receiver) -> None:
    together = threading.Barrier(3)

    def answer(_got: object) -> Reply:
        together.wait(30)  # passes only when three requests are under way
        return Reply()

    receiver.answer = answer
    await house.make(receiver.url, concurrency=3)
    await house.put(*[None] * 6)

    house.tick()

    assert receiver.at_once_most == 3
    assert await house.queue.counts() == {"acknowledged": 6}


async def test_failure_waits_its_pause_and_keeps_the_reason(
    house: House, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(503, body=b"come\nback")
    await house.make(receiver.url, backoff_s=10)
    [message] = await house.put(max_attempts=2)

    house.tick()

    assert await house.queue.counts() == {"delayed": 1}
    house.move(9_999)
    message_jobs.expire(house.database, now_ms=house.now_ms)
    assert house.due() == []
    house.move(1)
    message_jobs.expire(house.database, now_ms=house.now_ms)
    house.tick()
    assert await house.queue.counts() == {"dead": 1}
    assert [got.id for got in receiver.got] == [public_id(message)] * 2
    assert [got.headers["stanchion-attempt"] for got in receiver.got] == ["1", "2"]
    assert receiver.got[0].body == receiver.got[1].body
    assert [each.error for each in await house.deliveries()] == ["answered 503: come back"] * 2


async def test_retry_after_is_respected(house: House, receiver: Receiver) -> None:
    receiver.answer = lambda _: Reply(429, {"Retry-After": "120"})
    await house.make(receiver.url, backoff_s=1)
    await house.put()

    house.tick()

    message_jobs.expire(house.database, now_ms=house.now_ms + 119_999)
    assert await house.queue.counts() == {"delayed": 1}
    message_jobs.expire(house.database, now_ms=house.now_ms + 120_000)
    assert await house.queue.counts() == {"queued": 1}


async def test_gone_pauses_the_webhook(house: House, receiver: Receiver) -> None:
    receiver.answer = lambda _: Reply(410)
    await house.make(receiver.url, concurrency=1)
    await house.put(None, None)

    [served] = house.tick()

    assert served.paused_reason
    found = await house.service.get("hook")
    assert found.paused
    assert "410" in (found.paused_reason or "")
    assert len(receiver.got) == 1
    assert await house.queue.counts() == {"delayed": 1, "queued": 1}
    assert house.due() == []
    receiver.answer = lambda _: Reply()
    await house.service.patch("hook", {}, ACTOR, paused=False, now_ms=house.now_ms)
    house.tick()
    assert len(receiver.got) == 2


async def test_redirect_is_not_followed(house: House, receiver: Receiver) -> None:
    receiver.answer = lambda _: Reply(302, {"Location": receiver.url + "/elsewhere"})
    await house.make(receiver.url)
    await house.put()

    house.tick()

    assert [got.path for got in receiver.got] == ["/hook"]
    assert await house.queue.counts() == {"delayed": 1}
    [noted] = await house.deliveries()
    assert noted.error == "answered 302; redirects are not followed"


async def test_silent_receiver_is_left_after_the_timeout(house: House, receiver: Receiver) -> None:
    over = threading.Event()

    def answer(_got: object) -> Reply:
        over.wait(60)
        return Reply()

    receiver.answer = answer
    await house.make(receiver.url, timeout_s=1)
    await house.put()

    house.tick()
    over.set()

    assert await house.queue.counts() == {"delayed": 1}
    [noted] = await house.deliveries()
    assert noted.error == "no answer within 1 s"
    assert noted.status is None


async def test_receiver_that_is_away_is_left_alone_for_longer_each_time(house: House) -> None:
    await house.make(f"http://127.0.0.1:{free_port()}/", concurrency=1, backoff_s=1)
    await house.put(*[None] * 8)

    [served] = house.tick()

    assert served.requests == 5
    found = await house.service.get("hook")
    assert found.health.failures == 5
    assert found.health.rests_until_ms == house.now_ms + REST_MIN_MS
    assert "could not connect" in str((await house.deliveries())[0].error)
    house.move(REST_MIN_MS - 1)
    assert house.due() == []
    house.move(1)
    [served] = house.tick()
    assert served.requests == 1
    found = await house.service.get("hook")
    assert found.health.rests_until_ms == house.now_ms + 2 * REST_MIN_MS


async def test_receiver_that_is_back_is_well_at_once(house: House, receiver: Receiver) -> None:
    receiver.answer = lambda _: Reply(500)
    await house.make(receiver.url, concurrency=1, backoff_s=1)
    await house.put(*[None] * 6)
    house.tick()
    receiver.answer = lambda _: Reply()
    house.move(REST_MIN_MS)

    house.tick()

    assert (await house.service.get("hook")).health.failures == 0


async def test_killed_worker_delivers_again_under_the_same_id(
    house: House, receiver: Receiver
) -> None:
    """The worker got as far as the receiver, and its ack did not get back."""

    class Dying(Line):
        def settle(self, *_args: object) -> None:
            raise SystemExit

    await house.make(receiver.url)
    await house.put()
    [hint] = house.due()
    with pytest.raises(SystemExit):
        house.serve(hint, house.line(Dying))
    assert await house.queue.counts() == {"processing": 1}

    house.move(15_000)  # timeout_s and the margin of a lease
    message_jobs.expire(house.database, now_ms=house.now_ms)
    house.tick()

    first, second = receiver.got
    assert first.id == second.id
    assert first.body == second.body
    assert await house.queue.counts() == {"acknowledged": 1}


async def test_a_webhook_is_served_by_one_task_at_a_time(house: House, receiver: Receiver) -> None:
    await house.make(receiver.url)
    await house.put()
    [hint] = house.due()

    assert house.due() == []
    assert house.serve(hint) == Served(requests=1)
    assert house.serve(hint) == Served()  # the broker delivered it twice
    assert len(receiver.got) == 1


async def test_tasks_that_overlap_send_each_message_once(house: House, receiver: Receiver) -> None:
    failed: set[str] = set()

    def answer(got: Got) -> Reply:
        if got.json["data"]["n"] % 3 or got.id in failed:
            return Reply()
        failed.add(got.id)
        return Reply(503, {"Retry-After": "60"})

    receiver.answer = answer
    for name in ("a", "b", "c"):
        await house.make(receiver.url, name, concurrency=3)
    messages = await house.put(*[str(number % 7) for number in range(60)])
    hints = house.due()
    assert len(hints) == 3

    served = await asyncio.gather(*(asyncio.to_thread(house.serve, hint) for hint in hints))

    assert sum(each.requests for each in served) == 60
    assert sorted(got.id for got in receiver.got) == [public_id(each) for each in messages]
    assert await house.queue.counts() == {"acknowledged": 40, "delayed": 20}
    house.move(60_000)
    message_jobs.expire(house.database, now_ms=house.now_ms)
    house.tick()
    assert await house.queue.counts() == {"acknowledged": 60}
    assert message_jobs.recount(house.database) == {}


async def test_paused_queue_starts_nothing(house: House, receiver: Receiver) -> None:
    await house.make(receiver.url)
    await house.put()
    await house.queue.service.queues.patch("default", {"paused": True}, now_ms=house.now_ms)

    assert house.due() == []


async def test_group_goes_in_order_and_starts_nothing_while_its_head_waits(
    house: House, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(500)
    await house.make(receiver.url, concurrency=4, backoff_s=10)
    messages = await house.queue.put(*[NewMessage("{}", group_key="g", type="t")] * 3)
    house.tick()
    assert await house.queue.counts() == {"queued": 2, "delayed": 1}

    assert house.due() == []

    receiver.answer = lambda _: Reply()
    house.move(10_000)
    message_jobs.expire(house.database, now_ms=house.now_ms)
    house.tick()
    ids = [public_id(each) for each in messages]
    assert [got.id for got in receiver.got] == [ids[0], *ids]
    assert await house.queue.counts() == {"acknowledged": 3}


async def test_webhook_made_anew_under_its_name_is_another(
    house: House, receiver: Receiver
) -> None:
    loop = asyncio.get_running_loop()

    async def make_anew() -> None:
        await house.service.delete("hook", ACTOR, now_ms=house.now_ms)
        house.move(1)
        await house.make(receiver.url, concurrency=1)

    def answer(_got: object) -> Reply:
        asyncio.run_coroutine_threadsafe(make_anew(), loop).result(30)
        return Reply(410)

    receiver.answer = answer
    await house.make(receiver.url, concurrency=1)
    await house.put(None, None)
    [hint] = house.due()

    await asyncio.to_thread(house.serve, hint)

    assert len(receiver.got) == 1
    assert not (await house.service.get("hook")).paused


async def test_a_hint_that_got_lost_is_made_again(house: House, receiver: Receiver) -> None:
    await house.make(receiver.url)
    await house.put()
    [lost] = house.due()

    house.move(5_000)
    [hint] = house.due()

    assert house.serve(lost) == Served()
    assert house.serve(hint) == Served(requests=1)


async def test_those_not_served_for_longest_come_first(house: House, receiver: Receiver) -> None:
    for name in ("a", "b", "c"):
        await house.make(receiver.url, name, type=name)
    await house.put("a", "b", "c", "a", "b", "c")

    seen = []
    for _ in range(3):
        [hint] = house.due(at_once_max=1)
        seen.append(hint.name)
        house.move(1)
        house.serve(hint)

    assert sorted(seen) == ["a", "b", "c"]


async def test_stopping_worker_takes_nothing_more(house: House, receiver: Receiver) -> None:
    await house.make(receiver.url)
    await house.put()
    [hint] = house.due()
    house.stops = True

    assert house.serve(hint) == Served()

    house.stops = False
    house.tick()
    assert len(receiver.got) == 1


async def test_queue_that_is_gone_pauses_the_webhook(house: House, receiver: Receiver) -> None:
    queues = house.queue.service.queues
    await queues.create("mail", QueueSettings(), now_ms=house.now_ms)
    await house.make(receiver.url, queue="mail")
    await house.queue.put(NewMessage("{}", queue="mail"))
    [hint] = house.due()
    await queues.delete("mail", force=True)

    assert house.serve(hint).paused_reason == "queue mail does not exist"
    assert (await house.service.get("hook")).paused


async def test_change_in_the_middle_ends_the_turn_and_counts_for_the_new_one(
    house: House, receiver: Receiver
) -> None:
    loop = asyncio.get_running_loop()

    def answer(_got: object) -> Reply:
        change = house.service.patch("hook", {"timeout_s": 5}, ACTOR, now_ms=house.now_ms)
        asyncio.run_coroutine_threadsafe(change, loop).result(30)
        receiver.answer = lambda _: Reply()
        return Reply(500)

    receiver.answer = answer
    await house.make(receiver.url, concurrency=1)
    await house.put(None, None)
    [hint] = house.due()

    served = await asyncio.to_thread(house.serve, hint)

    assert served == Served(requests=1)
    assert (await house.service.get("hook")).health.failures == 0
    assert len(await house.deliveries()) == 1
    house.tick()
    assert len(receiver.got) == 2


async def test_deliveries_are_bounded(house: House, receiver: Receiver) -> None:
    await house.make(receiver.url, concurrency=16)
    await house.put(*[None] * 130)

    house.tick()

    kept = await house.deliveries()
    assert len(kept) == 100
    with house.database.begin() as connection:
        assert connection.execute(select(func.count()).select_from(delivery)).scalar_one() == 100
