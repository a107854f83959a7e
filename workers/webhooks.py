"""What workers do for webhooks: find those that are due, and hand messages to their receivers."""

import random
import secrets
import threading
from collections.abc import Callable, Sequence
from typing import Final

import structlog
from celery import signals

from models.addresses import parse_networks
from models.clock import now_ms
from models.events import Event
from models.messages.consumer import Consumer, find_waiting
from models.messages.jobs import DOMAIN as MESSAGES
from models.messages.rules import Held, LeaseRequest, Rejection, public_id
from models.webhooks import jobs
from models.webhooks.jobs import Failure, Ground, Hint
from models.webhooks.parcels import Taken
from models.webhooks.rules import Webhook
from workers.app import Task, app, send

_stopping: Final = threading.Event()
_log = structlog.stdlib.get_logger(__name__)


@app.task(name="webhooks.deliver", bind=True)
def deliver(self: Task) -> None:
    """Start a task for each webhook for which messages wait; none waits for another's receiver."""
    hints = jobs.claim_due(
        self.database,
        lambda lines: find_waiting(self.database, lines),
        at_once_max=self.settings.webhooks_at_once_max,
        now_ms=now_ms(),
    )
    for hint in hints:
        send(
            serve.name,
            (hint.name, hint.claim_id),
            queue=jobs.DOMAIN,
            expires_s=jobs.HINT_MS / 1000,
        )


@app.task(name="webhooks.serve", bind=True)
def serve(self: Task, name: str, claim_id: str) -> None:
    """Hand messages to one receiver for some seconds."""
    ground = Ground(
        database=self.database,
        source=Line(Consumer(self.database, clock=now_ms), publish=self.publish, wake=self.wake),
        networks=parse_networks(self.settings.webhook_networks),
        clock=now_ms,
        jitter=random.random,
        is_stopping=_stopping.is_set,
    )
    served = jobs.serve(ground, Hint(name, claim_id))
    if served.paused_reason:
        _log.warning("webhook_paused", webhook=name, reason=served.paused_reason)


class Line:
    """The messages queue as a webhook sees it; tells live clients what happens to messages.

    `publish` is told of events, and `wake` that a consumer may have something to take.
    """

    def __init__(
        self,
        consumer: Consumer,
        *,
        publish: Callable[[str, Sequence[Event]], None],
        wake: Callable[[str], None],
    ) -> None:
        self._consumer: Final = consumer
        self._publish: Final = publish
        self._wake: Final = wake

    def take(self, webhook: Webhook, *, consumer: str, lease_ms: int, count: int) -> list[Taken]:
        """Lease up to `count` messages."""
        queue = webhook.settings.queue
        requests = [
            LeaseRequest(
                consumer_id=consumer,
                lock_token=f"lt_{secrets.token_urlsafe(16)}",
                type=webhook.settings.type,
                lease_ms=lease_ms,
                queue=queue,
            )
            for _ in range(count)
        ]
        leases, events = self._consumer.take(requests)
        self._publish(MESSAGES, events)
        return [
            Taken(
                id=each.id,
                lock_token=each.lock_token,
                message_id=public_id(each.id),
                queue=queue,
                type=each.type,
                priority=each.priority,
                payload=each.payload,
                attempt=each.attempt_count,
                created_at_ms=each.created_at_ms,
            )
            for each in leases
        ]

    def settle(self, delivered: Sequence[Taken], failed: Sequence[Failure]) -> None:
        """Acknowledge and give back."""
        settled = self._consumer.settle(
            [Held(each.id, each.lock_token) for each in delivered],
            [
                Rejection(Held(each.taken.id, each.taken.lock_token), each.reason, each.delay_ms)
                for each in failed
            ],
        )
        self._publish(MESSAGES, settled.events)
        if settled.has_arrivals:
            self._wake(MESSAGES)
        for message_id in settled.lost:
            _log.warning("webhook_lease_lost", message_id=public_id(message_id))


@signals.worker_shutting_down.connect
def _note_stop(**_facts: object) -> None:
    """Take nothing more: what is under way is finished in the time that a stop has."""
    _stopping.set()
