"""Serving webhooks in the background: who is due, and handing messages to one receiver.

Everything here is harmless to repeat or to run twice: messages are leased, and a webhook is claimed
by one task at a time, so that its `concurrency` holds. A task that dies leaves leases and a claim,
both of which run out.
"""

import time
import uuid
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Final, Protocol

from models.addresses import Network
from models.database import Database
from models.errors import NotFoundError
from models.webhooks import statements
from models.webhooks.parcels import Taken, parcel_of
from models.webhooks.rules import (
    Answer,
    Delivery,
    Verdict,
    Webhook,
    concurrency_of,
    consumer_id,
    delay_ms,
    health_after,
)
from models.webhooks.sending import Sender

DOMAIN: Final = "webhooks"
# How long one task takes messages for a webhook before others have their turn.
SERVE_S: Final = 5.0
# A hint that nobody took by then is sent again.
HINT_MS: Final = 5_000
# How much longer than a request a lease and a claim last: for the commit that follows.
_MARGIN_MS: Final = 5_000
# While requests are under way, how soon to look whether there is more for those who are free.
_LOOK_EVERY_S: Final = 0.5


Line = tuple[str, str | None]  # a queue, and a type or all of them


@dataclass(frozen=True, slots=True)
class Hint:
    """A webhook that is due, and the claim by which a task may serve it."""

    name: str
    claim_id: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A message that was not delivered: why, and how long nobody gets it."""

    taken: Taken
    reason: str
    delay_ms: int


@dataclass(frozen=True, slots=True)
class Served:
    """What came of serving: how many requests, and why the webhook stopped by itself, if so."""

    requests: int = 0
    paused_reason: str | None = None


class Source(Protocol):
    """Where messages come from; the edge joins this domain and that of messages by it."""

    def take(self, webhook: Webhook, *, consumer: str, lease_ms: int, count: int) -> list[Taken]:
        """Lease up to `count` messages; raises NotFoundError when the queue is gone."""

    def settle(self, delivered: Sequence[Taken], failed: Sequence[Failure]) -> None:
        """Acknowledge and give back; one whose lease is over is somebody else's by now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What serving stands on."""

    database: Database
    source: Source
    networks: Sequence[Network]  # beside the public ones
    clock: Callable[[], int]
    jitter: Callable[[], float]  # 0 to 1
    is_stopping: Callable[[], bool]  # then nothing more is taken


def claim_due(
    database: Database,
    waiting: Callable[[Collection[Line]], Collection[Line]],
    *,
    at_once_max: int,
    now_ms: int,
) -> list[Hint]:
    """Claim the webhooks for which messages wait, longest not served first.

    `waiting` returns those of some lines in which a message waits, and is asked only when there is
    a webhook that might want one. No more than `at_once_max` are served together.
    """
    with database.begin() as connection:
        awake = [
            each for each in statements.active(connection) if each.health.rests_until_ms <= now_ms
        ]
    lines = waiting({_line_of(each) for each in awake}) if awake else ()
    due = [each for each in awake if _line_of(each) in lines]
    if not due:
        return []
    hints: list[Hint] = []
    with database.begin() as connection:
        free = at_once_max - statements.count_claimed(connection, now_ms=now_ms)
        for each in due:
            if len(hints) >= free:
                break
            hint = Hint(each.name, uuid.uuid4().hex)
            until_ms = now_ms + HINT_MS
            if statements.claim(
                connection, hint.name, hint.claim_id, until_ms=until_ms, now_ms=now_ms
            ):
                hints.append(hint)
    return hints


def serve(ground: Ground, hint: Hint) -> Served:
    """Hand waiting messages to a webhook's receiver for SERVE_S, or until none is left.

    Returns when every request that was begun is over and settled. Does nothing when the claim is
    over or the webhook is paused. Raises UnavailableError when the database is away; what was
    under way is delivered again then.
    """
    now_ms = ground.clock()
    with ground.database.begin() as connection:
        webhook = statements.read(connection, hint.name)
        if webhook is None or webhook.paused or now_ms < webhook.health.rests_until_ms:
            return Served()
        until_ms = now_ms + int(SERVE_S * 1000) + _lease_ms(webhook)
        if not statements.extend_claim(
            connection, hint.name, hint.claim_id, until_ms=until_ms, now_ms=now_ms
        ):
            return Served()
    try:
        with (
            Sender(webhook, ground.networks) as sender,
            ThreadPoolExecutor(concurrency_of(webhook), "webhook") as threads,
        ):
            return _Serving(ground, webhook, sender, threads).run()
    finally:
        with ground.database.begin() as connection:
            statements.release(connection, hint.name, hint.claim_id, now_ms=ground.clock())


class _Serving:
    """One task's work for one webhook."""

    def __init__(
        self, ground: Ground, webhook: Webhook, sender: Sender, threads: ThreadPoolExecutor
    ) -> None:
        self._ground: Final = ground
        self._webhook: Final = webhook
        self._sender: Final = sender
        self._threads: Final = threads
        self._ends_at_s: Final = time.monotonic() + SERVE_S
        self._under_way: dict[Future[tuple[int, Answer]], Taken] = {}
        self._goes_on = True
        self._requests = 0
        self._paused_reason: str | None = None

    def run(self) -> Served:
        """Take, send and settle until there is nothing more to do."""
        while True:
            self._fill_up()
            if not self._under_way:
                return Served(self._requests, self._paused_reason)
            done, _ = wait(self._under_way, _LOOK_EVERY_S, return_when=FIRST_COMPLETED)
            if done:
                self._settle(done)

    def _fill_up(self) -> None:
        """Begin as many requests as the webhook allows."""
        free = concurrency_of(self._webhook) - len(self._under_way)
        is_over = time.monotonic() >= self._ends_at_s or self._ground.is_stopping()
        if not self._goes_on or is_over or free <= 0:
            return
        try:
            taken = self._ground.source.take(
                self._webhook,
                consumer=consumer_id(self._webhook.name),
                lease_ms=_lease_ms(self._webhook),
                count=free,
            )
        except NotFoundError as error:
            self._note([], stop=str(error))
            return
        self._requests += len(taken)
        for each in taken:
            self._under_way[self._threads.submit(self._send, each)] = each

    def _send(self, taken: Taken) -> tuple[int, Answer]:
        at_ms = self._ground.clock()
        return at_ms, self._sender.send(parcel_of(taken), now_ms=at_ms)

    def _settle(self, done: Collection[Future[tuple[int, Answer]]]) -> None:
        """Tell the queue what became of messages, then note it."""
        results = [(self._under_way.pop(each), *each.result()) for each in done]
        results.sort(key=lambda result: result[1] + result[2].took_ms)
        delivered = [taken for taken, _, answer in results if answer.verdict is Verdict.DELIVERED]
        failed = [
            self._failure(taken, answer)
            for taken, _, answer in results
            if answer.verdict is not Verdict.DELIVERED
        ]
        self._ground.source.settle(delivered, failed)
        self._note(results)

    def _failure(self, taken: Taken, answer: Answer) -> Failure:
        pause_ms = delay_ms(
            self._webhook.settings,
            attempt=taken.attempt,
            jitter=self._ground.jitter(),
            retry_after_s=answer.retry_after_s,
        )
        return Failure(taken, answer.reason or "", pause_ms)

    def _note(
        self, results: Sequence[tuple[Taken, int, Answer]], *, stop: str | None = None
    ) -> None:
        """Keep what was delivered and how the webhook fares, and find out whether to go on."""
        now_ms = self._ground.clock()
        name = self._webhook.name
        if any(answer.verdict is Verdict.GONE for _, _, answer in results):
            stop = "the receiver answered 410: it wants no more messages"
        with self._ground.database.begin() as connection:
            now = statements.read(connection, name, lock=True)
            if now is None:
                self._goes_on = False
                return
            statements.note(connection, name, [_delivery(*result) for result in results])
            if (now.created_at_ms, now.version) != (
                self._webhook.created_at_ms,
                self._webhook.version,
            ):
                # What an old address answered says nothing of the new one.
                self._goes_on = False
                return
            health = now.health
            for _, _, answer in results:
                health = health_after(health, answer.verdict, now_ms=now_ms)
            changed = replace(now, health=health)
            if stop is not None:
                changed = replace(changed, paused=True, paused_reason=stop)
                self._paused_reason = stop
            if changed != now:
                statements.store(connection, changed)
        self._goes_on = stop is None and now_ms >= health.rests_until_ms


def _line_of(webhook: Webhook) -> Line:
    return webhook.settings.queue, webhook.settings.type


def _lease_ms(webhook: Webhook) -> int:
    return webhook.settings.timeout_s * 1000 + _MARGIN_MS


def _delivery(taken: Taken, at_ms: int, answer: Answer) -> Delivery:
    return Delivery(
        at_ms=at_ms,
        message_id=taken.message_id,
        attempt=taken.attempt,
        status=answer.status,
        took_ms=answer.took_ms,
        error=answer.reason,
    )
