"""Webhooks in this process, on both databases, with real receivers on loopback."""

from collections.abc import AsyncIterator, Iterator

import pytest

from models.addresses import parse_networks
from models.audit import Actor
from models.database import Database
from models.messages.consumer import Consumer, find_waiting
from models.messages.rules import NewMessage
from models.webhooks import jobs
from models.webhooks.jobs import Ground, Served
from models.webhooks.rules import Delivery, Webhook, WebhookSettings
from models.webhooks.service import WebhookService
from tests.messages.conftest import Queue
from tests.webhooks.receiver import Receiver
from workers.webhooks import Line

LOOPBACK = parse_networks(["127.0.0.0/8"])
ACTOR = Actor(kind="test", name="tester")


class House:
    """Webhooks and messages with a clock that stands still until a test moves it."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self.database: Database = queue.database
        self.service = WebhookService(queue.database, networks=LOOPBACK)
        self.stops = False

    @property
    def now_ms(self) -> int:
        return self.queue.now_ms

    def line(self, kind: type[Line] = Line) -> Line:
        """Return the queue as a task of a worker sees it."""
        recorder = self.queue.recorder
        return kind(
            Consumer(self.database, clock=lambda: self.now_ms),
            publish=recorder.publish,
            wake=lambda domain: recorder.wake(domain, None),
        )

    def move(self, ms: int) -> None:
        self.queue.now_ms += ms

    async def make(self, url: str, name: str = "hook", **settings: object) -> Webhook:
        return await self.service.create(
            name,
            WebhookSettings(url=url, **settings),  # type: ignore[arg-type]
            ACTOR,
            now_ms=self.now_ms,
        )

    async def put(self, *types: str | None, max_attempts: int | None = None) -> list[int]:
        return await self.queue.put(
            *(
                NewMessage(f'{{"n": {number}}}', type=each, max_attempts=max_attempts)
                for number, each in enumerate(types or (None,))
            )
        )

    def due(self, at_once_max: int = 4) -> list[jobs.Hint]:
        return jobs.claim_due(
            self.database,
            lambda lines: find_waiting(self.database, lines),
            at_once_max=at_once_max,
            now_ms=self.now_ms,
        )

    def serve(self, hint: jobs.Hint, line: Line | None = None) -> Served:
        ground = Ground(
            database=self.database,
            source=line or self.line(),
            networks=LOOPBACK,
            clock=lambda: self.now_ms,
            jitter=lambda: 0.0,
            is_stopping=lambda: self.stops,
        )
        return jobs.serve(ground, hint)

    def tick(self) -> list[Served]:
        """Do what a tick of beat brings about."""
        return [self.serve(hint) for hint in self.due()]

    async def deliveries(self, name: str = "hook") -> list[Delivery]:
        return await self.service.deliveries(name, count=100)


@pytest.fixture
async def queue(database: Database) -> AsyncIterator[Queue]:
    made = Queue(database)
    made.now_ms = 1_700_000_000_000
    yield made
    await made.service.close()


@pytest.fixture
def house(queue: Queue) -> House:
    return House(queue)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        yield made
