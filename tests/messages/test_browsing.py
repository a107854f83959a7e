"""Lists of messages: their order, their pages, and what a reader sees while messages move."""

import pytest

from models.errors import InvalidError, TooLargeError
from models.messages import jobs
from models.messages.browsing import Browsing
from models.messages.filters import MessageFilter
from models.messages.policies import QueueNotFoundError
from models.messages.rules import Held, Lease, MessageNotFoundError, MessageState, NewMessage
from models.messages.views import BrowseLimits, ListRequest, MessageList, MessagePage, Order, Sort
from tests.messages.conftest import Queue

NEWEST_FIRST = Order(is_descending=True)


def ids_of(page: MessagePage) -> list[int]:
    return [view.id for view in page.messages]


async def follow(browsing: Browsing, request: ListRequest) -> list[int]:
    """Return the ids of a whole list, by its cursors."""
    seen: list[int] = []
    cursor: str | None = None
    while True:
        wanted, order = request.wanted, request.order
        next_request = ListRequest(
            of=request.of, wanted=wanted, order=order, limit=request.limit, cursor=cursor
        )
        page = await browsing.list(next_request)
        seen += ids_of(page)
        if (cursor := page.cursor) is None:
            return seen


async def take(queue: Queue) -> Lease:
    lease = await queue.take()
    assert lease
    return lease


async def die(queue: Queue, error: str = "no") -> int:
    lease = await take(queue)
    await queue.service.reject(Held(lease.id, lease.lock_token), error, now_ms=queue.now_ms)
    return lease.id


async def acknowledge(queue: Queue) -> int:
    lease = await take(queue)
    await queue.service.acknowledge(Held(lease.id, lease.lock_token), now_ms=queue.now_ms)
    return lease.id


def archive(queue: Queue) -> None:
    jobs.grow_old(queue.database, archive_after_ms=0, delete_after_ms=10**9, now_ms=queue.now_ms)


async def test_message_is_found_in_every_state_with_what_belongs_to_it(queue: Queue) -> None:
    browsing = queue.service.browsing
    [dead_id] = await queue.put(NewMessage('{"b": 1, "a":2}', type="t", max_attempts=1, priority=4))
    assert await die(queue, "broken") == dead_id
    [done_id] = await queue.put(NewMessage("{}"))
    assert await acknowledge(queue) == done_id
    [held_id] = await queue.put(NewMessage("{}"))
    lease = await take(queue)
    [queued_id, delayed_id] = await queue.put(NewMessage("{}"), NewMessage("{}", delay_ms=500))

    dead, done, held = [await browsing.get(each) for each in (dead_id, done_id, held_id)]
    queued, delayed = await browsing.get(queued_id), await browsing.get(delayed_id)

    assert (dead.state, dead.died_at_ms) == (MessageState.DEAD, queue.now_ms)
    assert (dead.payload, dead.type, dead.priority) == ('{"b": 1, "a":2}', "t", 4)
    assert (dead.last_error, dead.attempt_count, dead.max_attempts) == ("broken", 1, 1)
    assert (done.state, done.acknowledged_at_ms) == (MessageState.ACKNOWLEDGED, queue.now_ms)
    assert (done.consumer_id, held.consumer_id) == ("tester", "tester")
    assert (held.state, held.lease_until_ms) == (MessageState.PROCESSING, lease.lease_until_ms)
    assert (queued.state, queued.lease_ms) == (MessageState.QUEUED, 30_000)
    assert (delayed.state, delayed.due_at_ms) == (MessageState.DELAYED, queue.now_ms + 500)
    archive(queue)
    assert (await browsing.get(done_id)).state is MessageState.ARCHIVED
    with pytest.raises(MessageNotFoundError):
        await browsing.get(2**62)


async def test_each_list_holds_its_state_and_is_counted(queue: Queue) -> None:
    browsing = queue.service.browsing
    await queue.put(*[NewMessage("{}", max_attempts=1)] * 5, NewMessage("{}", delay_ms=500))
    expected = {
        MessageList.DEAD: [await die(queue)],
        MessageList.ARCHIVED: [await acknowledge(queue)],
    }
    archive(queue)
    queue.now_ms += 1
    expected[MessageList.ACKNOWLEDGED] = [await acknowledge(queue)]
    held = await take(queue)
    expected |= {
        MessageList.PROCESSING: [held.id],
        MessageList.MAIN: [held.id + 1],
        MessageList.DELAYED: [held.id + 2],
    }

    for of, ids in expected.items():
        page = await browsing.list(ListRequest(of=of))
        assert (of, ids_of(page), page.total, page.cursor) == (of, ids, 1, None)
        assert {view.state for view in page.messages} == {of.state}


async def test_pages_and_cursors_go_through_a_list_in_either_direction(queue: Queue) -> None:
    browsing = queue.service.browsing
    ids = await queue.put(*[NewMessage("{}", type=kind) for kind in "aabaabb"])

    for order, expected in ((Order(), ids), (NEWEST_FIRST, ids[::-1])):
        request = ListRequest(of=MessageList.MAIN, order=order, limit=3)
        assert await follow(browsing, request) == expected
        pages = [
            await browsing.list(ListRequest(of=MessageList.MAIN, order=order, limit=3, page=number))
            for number in (1, 2, 3, 4)
        ]
        assert [ids_of(page) for page in pages] == [expected[:3], expected[3:6], expected[6:], []]
        assert {page.total for page in pages} == {7}
    of_a = MessageFilter(type="a")
    filtered = await browsing.list(ListRequest(of=MessageList.MAIN, wanted=of_a, limit=2, page=2))
    assert (ids_of(filtered), filtered.total) == ([ids[3], ids[4]], 4)
    searched = await browsing.list(
        ListRequest(of=MessageList.MAIN, wanted=MessageFilter(search="{"), limit=2)
    )
    assert searched.total is None


async def test_lists_are_sorted_by_what_is_theirs(queue: Queue) -> None:
    browsing = queue.service.browsing
    low, high, also_low = await queue.put(
        NewMessage("{}"), NewMessage("{}", priority=9), NewMessage("{}")
    )
    late, soon = await queue.put(NewMessage("{}", delay_ms=900), NewMessage("{}", delay_ms=100))

    by_turn = Order(sort=Sort.PRIORITY, is_descending=True)
    default = MessageFilter(queue="default")
    in_turn = ListRequest(of=MessageList.MAIN, wanted=default, order=by_turn, limit=1)
    turned = ListRequest(
        of=MessageList.MAIN, wanted=default, order=Order(sort=Sort.PRIORITY), limit=1
    )
    assert await follow(browsing, in_turn) == [high, low, also_low]
    assert await follow(browsing, turned) == [also_low, low, high]
    by_due = ListRequest(of=MessageList.DELAYED, order=Order(sort=Sort.DUE_AT), limit=1)
    assert await follow(browsing, by_due) == [soon, late]

    for _ in range(3):
        await die(queue)
        await die(queue)
        await die(queue)
        queue.now_ms += 1
    last_dead = Order(sort=Sort.DIED_AT, is_descending=True)
    died = await follow(browsing, ListRequest(of=MessageList.DEAD, order=last_dead, limit=2))
    assert died == [also_low, low, high]


async def test_reader_sees_once_what_stays_while_other_messages_move(queue: Queue) -> None:
    browsing = queue.service.browsing
    ids = await queue.put(*[NewMessage("{}")] * 20)
    request = ListRequest(of=MessageList.MAIN, order=Order(), limit=4)
    seen: list[int] = []
    cursor: str | None = None
    while True:
        page = await browsing.list(
            ListRequest(of=request.of, order=request.order, limit=4, cursor=cursor)
        )
        seen += ids_of(page)
        if (cursor := page.cursor) is None:
            break
        await acknowledge(queue)  # one that was seen goes
        if len(seen) == 8:
            await queue.put(NewMessage("{}"))  # and one comes

    assert seen == [*ids, ids[-1] + 1]


async def test_filter_that_fits_little_answers_in_bounded_steps(queue: Queue) -> None:
    limits = BrowseLimits(looked_max=4)
    browsing = Browsing(queue.database, limits)
    ids = await queue.put(*[NewMessage(f'{{"n":"{number}."}}') for number in range(10)])

    first = await browsing.list(
        ListRequest(of=MessageList.MAIN, wanted=MessageFilter(search="9."), limit=2)
    )
    assert (ids_of(first), first.cursor) == ([], f"created_at.asc.{ids[3]}")
    for order in (Order(), NEWEST_FIRST):
        request = ListRequest(
            of=MessageList.MAIN, wanted=MessageFilter(search="9."), order=order, limit=2
        )
        assert await follow(browsing, request) == [ids[9]]
    everything = ListRequest(of=MessageList.MAIN, wanted=MessageFilter(search="."), limit=3)
    assert await follow(browsing, everything) == ids


async def test_large_payloads_make_short_pages(queue: Queue) -> None:
    browsing = Browsing(queue.database, BrowseLimits(bytes_max=1_000))
    payload = f'{{"a":"{"é" * 200}"}}'
    ids = await queue.put(*[NewMessage(payload)] * 7, NewMessage(f'{{"a":"{"x" * 5_000}"}}'))

    first = await browsing.list(ListRequest(of=MessageList.MAIN, limit=8))
    assert 2 <= len(first.messages) < 5
    assert await follow(browsing, ListRequest(of=MessageList.MAIN, limit=8)) == ids
    with pytest.raises(TooLargeError):
        await browsing.list(ListRequest(of=MessageList.MAIN, limit=8, page=1))
    last = await browsing.list(ListRequest(of=MessageList.MAIN, limit=1, page=8))
    assert ids_of(last) == [ids[7]]


async def test_export_reads_ten_thousand_in_pieces(queue: Queue) -> None:
    browsing = Browsing(queue.database, BrowseLimits(bytes_max=100_000))
    payload = f'{{"a":"{"x" * 500}"}}'
    for _ in range(10):
        await queue.put(*[NewMessage(payload)] * 1_000)
    sizes: list[int] = []
    ids: list[int] = []

    async for piece in browsing.pieces(MessageList.MAIN, MessageFilter()):
        sizes.append(sum(len(view.payload) for view in piece))
        ids += [view.id for view in piece]

    assert len(ids) == len(set(ids)) == 10_000
    assert ids == sorted(ids)
    assert max(sizes) <= 100_000


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (ListRequest(of=MessageList.MAIN, limit=501), "limit"),
        (ListRequest(of=MessageList.MAIN, limit=500, page=21), "page"),
        (ListRequest(of=MessageList.MAIN, page=1, cursor="created_at.asc.1"), "page"),
        (ListRequest(of=MessageList.MAIN, order=Order(sort=Sort.DIED_AT)), "sort"),
        (ListRequest(of=MessageList.MAIN, order=Order(sort=Sort.PRIORITY)), "sort"),
        (ListRequest(of=MessageList.MAIN, cursor="created_at.desc.1"), "cursor"),
        (ListRequest(of=MessageList.MAIN, cursor="created_at.asc.1.2"), "cursor"),
        (ListRequest(of=MessageList.MAIN, cursor="created_at.asc.9999999999999999999"), "cursor"),
        (ListRequest(of=MessageList.MAIN, cursor="created_at.asc.01"), "cursor"),
        (ListRequest(of=MessageList.MAIN, cursor="1; drop table message_ready"), "cursor"),
    ],
)
async def test_what_cannot_be_asked_for_is_named(
    queue: Queue, request_: ListRequest, field: str
) -> None:
    with pytest.raises(InvalidError) as refusal:
        await queue.service.browsing.list(request_)

    assert list(refusal.value.details) == [field]


async def test_queue_that_nobody_made_is_refused(queue: Queue) -> None:
    with pytest.raises(QueueNotFoundError):
        await queue.service.browsing.list(
            ListRequest(of=MessageList.MAIN, wanted=MessageFilter(queue="mail"))
        )


async def test_messages_behind_their_group_are_in_the_list_of_what_waits(queue: Queue) -> None:
    browsing = queue.service.browsing
    of_group = [NewMessage("{}", group_key="g", priority=9)] * 3
    ids = await queue.put(*of_group, NewMessage("{}"))
    in_group = MessageFilter(group_key="g")

    for order in (Order(), NEWEST_FIRST):
        every = await follow(browsing, ListRequest(of=MessageList.MAIN, order=order, limit=2))
        assert every == sorted(ids, reverse=order.is_descending)
    grouped = await follow(
        browsing, ListRequest(of=MessageList.MAIN, wanted=in_group, order=Order(), limit=1)
    )
    in_turn = ListRequest(
        of=MessageList.MAIN,
        wanted=MessageFilter(queue="default"),
        order=Order(sort=Sort.PRIORITY, is_descending=True),
        limit=2,
    )

    assert grouped == ids[:3]
    assert await follow(browsing, in_turn) == ids
    assert [(await browsing.get(each)).waits_for for each in ids] == [None, "group", "group", None]
    assert (await browsing.get(ids[1])).group_key == "g"
