"""Parts of the live side within this process, on a real Redis."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence

import pytest
from redis.asyncio import Redis

from api.auth.callers import Caller, Credential
from api.auth.table import SocketRow, Who
from api.live.channel import Admission, Channel, Credentials
from api.live.hub import Hub
from api.live.limits import LiveLimits
from api.live.pushes import Pushes
from api.live.rights import Rights
from api.live.rooms import ChosenRooms
from api.live.sockets import SocketioServer
from api.live.tail import LiveEvent, Reader, StreamTail
from models.events import Event, encode_entry, stream_key
from models.redis import connect_async
from tests.servers import RedisServer

PATIENCE_S = 20.0
LIMITS = LiveLimits(
    sockets_max=10,
    message_bytes_max=1_024,
    messages_per_s=10,
    buffer_bytes_max=65_536,
    replay_max=100,
    authentication_timeout_s=10,
    recheck_s=10,
)
SOMEBODY = Caller(credential=Credential.MACHINE)


@pytest.fixture
async def client(redis_server: RedisServer) -> AsyncIterator[Redis]:
    opened = connect_async(redis_server.url, answer_timeout_s=None)
    await opened.flushdb()
    yield opened
    await opened.aclose()


# Pushes --------------------------------------------------------------------------------------


async def test_no_room_is_pushed_more_than_ten_times_a_second() -> None:
    pushed_at_s: list[float] = []
    has_enough = asyncio.Event()

    async def push(_room: str) -> None:
        pushed_at_s.append(asyncio.get_running_loop().time())
        if len(pushed_at_s) == 4:
            has_enough.set()

    pushes = Pushes(push)
    running = asyncio.create_task(pushes.run())
    async with asyncio.timeout(PATIENCE_S):
        while not has_enough.is_set():
            pushes.note(["a"])
            await asyncio.sleep(0)
    running.cancel()

    pauses_s = [later - sooner for sooner, later in itertools.pairwise(pushed_at_s)]
    assert min(pauses_s) > 0.099


async def test_what_changed_meanwhile_is_pushed_once_and_as_it_is_then() -> None:
    state, pushed = {"a": 0, "b": 0}, []
    is_over = asyncio.Event()

    async def push(room: str) -> None:
        pushed.append((room, state[room]))
        if ("a", 50) in pushed:
            is_over.set()

    pushes = Pushes(push)
    running = asyncio.create_task(pushes.run())
    pushes.note(["b"])
    async with asyncio.timeout(PATIENCE_S):
        while not pushed:  # noqa: ASYNC110  # its own turn comes at once
            await asyncio.sleep(0)
        for _ in range(50):
            state["a"] += 1
            pushes.note(["a"])
            await asyncio.sleep(0)
        await is_over.wait()
    running.cancel()

    assert pushed == [("b", 0), ("a", 50)]


# The tail ------------------------------------------------------------------------------------


class SlowFollower:
    """Takes what comes only once it may."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.began = asyncio.Event()
        self.may_go_on = asyncio.Event()
        self.lost = asyncio.Event()
        self.heard_last = asyncio.Event()

    async def take(self, events: Sequence[LiveEvent]) -> None:
        self.began.set()
        await self.may_go_on.wait()
        self.names += [live.event.name for live in events]
        if "e299" in self.names:
            self.heard_last.set()

    def lose_place(self) -> None:
        self.lost.set()


async def test_a_reader_that_is_woken_has_what_is_here_and_then_nothing_once() -> None:
    reader, live = Reader(10), LiveEvent("1-0", 0, Event("one", {}))
    waiting = asyncio.create_task(reader.get(PATIENCE_S))
    await asyncio.sleep(0)  # it waits now
    reader.put([live])
    reader.wake()

    assert await waiting is live
    assert await reader.get(PATIENCE_S) is None
    assert await reader.get(0) is None  # by the time alone
    reader.put([live, live])
    assert [await reader.get(0), await reader.get(0)] == [live, live]


async def test_a_reader_that_was_cancelled_while_it_waited_misses_nothing() -> None:
    reader, live = Reader(10), LiveEvent("1-0", 0, Event("one", {}))
    waiting = asyncio.create_task(reader.get(PATIENCE_S))
    await asyncio.sleep(0)
    reader.put([live])
    waiting.cancel()
    await asyncio.wait([waiting])

    assert await reader.get(0) is live


async def test_who_is_overtaken_by_the_trimming_of_the_stream_hears_that_events_are_missing(
    client: Redis,
) -> None:
    tail = StreamTail(client, "messages", readers_max=1, buffer_max=10_000)
    running = asyncio.create_task(tail.run())
    follower, key = SlowFollower(), stream_key("messages")
    async with asyncio.timeout(PATIENCE_S), tail.reader() as reader:
        await tail.follow(follower)
        await client.xadd(key, encode_entry([Event("first", {})]))
        await follower.began.wait()
        for number in range(300):
            event = Event(f"e{number}", {})
            await client.xadd(key, encode_entry([event]), maxlen=150, approximate=False)
        assert not follower.lost.is_set()

        follower.may_go_on.set()
        await follower.lost.wait()
        await follower.heard_last.wait()
        running.cancel()

        assert reader.has_lost
        assert follower.names[0] == "first"
        assert follower.names[-150:] == [f"e{number}" for number in range(150, 300)]


async def test_who_keeps_up_hears_of_nothing_missing(client: Redis) -> None:
    tail = StreamTail(client, "messages", readers_max=1, buffer_max=10_000)
    running = asyncio.create_task(tail.run())
    follower, key = SlowFollower(), stream_key("messages")
    follower.may_go_on.set()
    async with asyncio.timeout(PATIENCE_S):
        await tail.follow(follower)
        for number in range(300):
            await client.xadd(key, encode_entry([Event(f"e{number}", {})]))
        await follower.heard_last.wait()
    running.cancel()

    assert len(follower.names) == 300
    assert not follower.lost.is_set()


# Rooms that were chosen ----------------------------------------------------------------------


async def find(_shown: Credentials) -> Caller:
    return SOMEBODY


async def test_rooms_are_asked_for_again_when_a_client_comes_back(client: Redis) -> None:
    open_rooms = {"a", "b"}

    async def admit(_caller: Caller, _asked: object) -> Admission:
        return Admission(rooms=frozenset({"hall"}))

    async def rejoin(
        _caller: Caller, _admission: Admission, chosen: frozenset[str]
    ) -> frozenset[str]:
        return chosen & open_rooms

    at = SocketRow(domain="tests", namespace="/tests", who=Who(everybody=True))
    strict = Channel(domain="tests", at=at, admit=admit, rejoin=rejoin)
    silent = Channel(domain="tests", at=at, admit=admit)
    chosen, admission = ChosenRooms(client), Admission(rooms=frozenset({"hall"}))
    tail = StreamTail(client, "tests", readers_max=1, buffer_max=1)
    hubs = [Hub(each, tail, Rights(find, every_s=10), LIMITS) for each in (strict, silent)]
    server = SocketioServer({}, authenticate=find, rooms=chosen, limits=LIMITS)
    await chosen.remember("pid", SOMEBODY, frozenset({"a", "b"}))

    async def rejoined(hub: Hub, pid: str | None = "pid") -> tuple[frozenset[str], bool]:
        return await server._rejoin(hub, SOMEBODY, admission, pid)

    assert await rejoined(hubs[0]) == ({"a", "b"}, True)
    open_rooms.remove("b")
    assert await rejoined(hubs[0]) == ({"a"}, False)
    # A channel without a rule lets nobody in but where everybody starts.
    assert await rejoined(hubs[1]) == ({"hall"}, False)
    assert await rejoined(hubs[0], "another") == ({"hall"}, True)
