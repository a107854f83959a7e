"""The service of messages in this process, on both databases; time is whatever a test says."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from models import clock
from models.database import Database
from models.events import Arrivals, Event
from models.messages.rules import DEFAULT_QUEUE, Lease, LeaseRequest, NewMessage
from models.messages.service import MessageLimits, MessageService


class Recorder:
    """A publisher that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.commits = 0  # each publishes once
        self.wakes = 0
        self.arrivals: list[Arrivals | None] = []

    def publish(self, domain: str, events: Sequence[Event]) -> None:
        assert domain == "messages"
        self.commits += 1
        self.events += events

    def wake(self, domain: str, arrived: Arrivals | None) -> None:
        assert arrived is None or arrived
        assert domain == "messages"
        self.wakes += 1
        self.arrivals.append(arrived)

    def names(self) -> list[str]:
        return [event.name for event in self.events]


class Listener:
    """A caller on a line that a test can cut."""

    def __init__(self) -> None:
        self._gone = asyncio.Event()

    def hang_up(self) -> None:
        self._gone.set()

    def has_hung_up(self) -> bool:
        return self._gone.is_set()

    async def hung_up(self) -> None:
        await self._gone.wait()


class Queue:
    """A service with a clock that stands still until a test moves it."""

    def __init__(self, database: Database, limits: MessageLimits | None = None) -> None:
        self.database = database
        self.now_ms = 1_000_000
        self._clock: Callable[[], int] = lambda: self.now_ms
        self.recorder = Recorder()
        self.service = MessageService(
            database,
            self.recorder,
            clock=lambda: self._clock(),  # noqa: PLW0108 -- it may be changed later
            process=0,
            limits=limits or MessageLimits(),
        )
        self._tokens = itertools.count()

    def set_clock(self, tell: Callable[[], int]) -> None:
        """Let the service ask somebody else what time it is."""
        self._clock = tell

    def follow_the_clock(self) -> None:
        """Let time pass by itself from now on."""
        self._clock = clock.now_ms
        self.now_ms = clock.now_ms()

    async def put(self, *messages: NewMessage) -> list[int]:
        return (await self.service.enqueue(messages, now_ms=self.now_ms)).ids

    async def take(
        self,
        *,
        type_: str | None = None,
        lease_ms: int | None = None,
        timeout_s: float = 0,
        listener: Listener | None = None,
        queue: str = DEFAULT_QUEUE,
    ) -> Lease | None:
        token = f"lt_{next(self._tokens)}"
        request = LeaseRequest("tester", token, type_, lease_ms, queue)
        return await self.service.lease(request, timeout_s=timeout_s, caller=listener or Listener())

    async def until_waiting(self, count: int) -> None:
        """Let everything run until so many consumers wait."""
        while self.service.waiting_consumers < count:  # noqa: ASYNC110 -- nothing tells when
            await asyncio.sleep(0)

    async def counts(self) -> dict[str, int]:
        counts = (await self.service.status()).counts
        names = ("queued", "delayed", "processing", "acknowledged", "dead", "archived")
        return {name: n for name in names if (n := getattr(counts, name))}


@pytest.fixture
async def queue(database: Database) -> AsyncIterator[Queue]:
    made = Queue(database)
    yield made
    await made.service.close()
