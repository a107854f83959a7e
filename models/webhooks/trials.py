"""Test requests: signed like any other, and carrying no message."""

import secrets
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread

from models.addresses import Network
from models.webhooks.parcels import trial_parcel
from models.webhooks.rules import Answer, Delivery, Webhook
from models.webhooks.sending import Sender


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A test request that was made, and what came of it."""

    webhook_id: str
    at_ms: int
    answer: Answer


def begin_trial(webhook: Webhook, networks: Sequence[Network], *, now_ms: int) -> Future[Trial]:
    """Send one in a thread of its own, which holds up no end of the process."""
    trial: Future[Trial] = Future()

    def run() -> None:
        sent = _send_trial(webhook, networks, now_ms=now_ms)
        with suppress(InvalidStateError):  # nobody waits for it any more
            trial.set_result(sent)

    Thread(target=run, name="webhook-test", daemon=True).start()
    return trial


def _send_trial(webhook: Webhook, networks: Sequence[Network], *, now_ms: int) -> Trial:
    webhook_id = f"msg_test_{secrets.token_hex(8)}"
    parcel = trial_parcel(webhook_id, webhook.name, now_ms=now_ms)
    with Sender(webhook, networks) as sender:
        answer = sender.send(parcel, now_ms=now_ms)
    return Trial(webhook_id=webhook_id, at_ms=now_ms, answer=answer)


def delivery_of(trial: Trial) -> Delivery:
    """Return a test as the list of deliveries shows it: an attempt of number 0."""
    return Delivery(
        at_ms=trial.at_ms,
        message_id=trial.webhook_id,
        attempt=0,
        status=trial.answer.status,
        took_ms=trial.answer.took_ms,
        error=trial.answer.reason,
    )
