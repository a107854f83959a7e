"""The wire of webhooks: what comes in, what goes out. A secret goes out once, headers never."""

import re
from typing import Annotated, ClassVar, Final

import msgspec
from falcon.asgi import Request
from msgspec import UNSET, Meta, Struct, UnsetType, field

from api.http.reading import Body, read_body
from api.messages import bodies as wire
from models.clock import iso_utc
from models.errors import InvalidError
from models.messages.rules import DEFAULT_QUEUE
from models.webhooks.rules import (
    DELAY_MAX_S,
    DELIVERIES_KEPT,
    HIDDEN,
    OVERLAP_DEFAULT_S,
    TIMEOUT_MAX_S,
    WEBHOOK_NAME_PATTERN,
    Delivery,
    Webhook,
    WebhookSettings,
)
from models.webhooks.targets import URL_CHARACTERS_MAX
from models.webhooks.trials import Trial

Url = Annotated[
    str, Meta(min_length=1, max_length=URL_CHARACTERS_MAX, description="http:// or https://")
]
WebhookName = Annotated[str, Meta(pattern=WEBHOOK_NAME_PATTERN)]
TimeoutSeconds = Annotated[int, Meta(ge=1, le=TIMEOUT_MAX_S, description="for the whole request")]
Concurrency = Annotated[int, Meta(ge=1, le=32, description="requests under way together")]
PauseSeconds = Annotated[int, Meta(ge=1, le=DELAY_MAX_S)]
Headers = Annotated[
    dict[str, str],
    Meta(description=f"sent with each request; shown as {HIDDEN}, which means the value it had"),
]
Secret = Annotated[str, Meta(max_length=128, description="whsec_ and 24 to 64 bytes in base64")]

_NAME: Final = re.compile(WEBHOOK_NAME_PATTERN)
_SPELLINGS: Final = {
    "timeoutSeconds": "timeout_seconds",
    "backoffSeconds": "backoff_seconds",
    "backoffMaxSeconds": "backoff_max_seconds",
}
# What the wire calls otherwise than we do.
_NAMES: Final = {
    "timeout_seconds": "timeout_s",
    "backoff_seconds": "backoff_s",
    "backoff_max_seconds": "backoff_max_s",
}


class WebhookBody(Body, frozen=True, kw_only=True):
    """All settings of a webhook; without `secret` one is made."""

    SPELLINGS: ClassVar = _SPELLINGS

    url: Url
    queue: wire.QueueName = DEFAULT_QUEUE
    type: wire.Name | None = None
    paused: bool = False
    timeout_seconds: TimeoutSeconds = 10
    concurrency: Concurrency = 4
    backoff_seconds: PauseSeconds = 5
    backoff_max_seconds: PauseSeconds = 3_600
    headers: Headers = field(default_factory=dict)
    secret: Secret | None = None

    def settings(self) -> WebhookSettings:
        """Return them in our words."""
        return WebhookSettings(
            url=self.url,
            queue=self.queue,
            type=self.type,
            timeout_s=self.timeout_seconds,
            concurrency=self.concurrency,
            backoff_s=self.backoff_seconds,
            backoff_max_s=self.backoff_max_seconds,
            headers=self.headers,
        )


class NewWebhookBody(WebhookBody, frozen=True, kw_only=True):
    """A webhook to make."""

    name: WebhookName


class WebhookChangeBody(Body, frozen=True, kw_only=True):
    """Settings to change: a missing one stays, null is the default again."""

    SPELLINGS: ClassVar = _SPELLINGS

    url: Url | UnsetType = UNSET
    queue: wire.QueueName | UnsetType | None = UNSET
    type: wire.Name | UnsetType | None = UNSET
    paused: bool | UnsetType = UNSET
    timeout_seconds: TimeoutSeconds | UnsetType | None = UNSET
    concurrency: Concurrency | UnsetType | None = UNSET
    backoff_seconds: PauseSeconds | UnsetType | None = UNSET
    backoff_max_seconds: PauseSeconds | UnsetType | None = UNSET
    headers: Headers | UnsetType | None = UNSET

    def changes(self) -> dict[str, object]:
        """Return what changes, in our words; `paused` is no setting."""
        given = {name: getattr(self, name) for name in self.__struct_fields__ if name != "paused"}
        return {
            _NAMES.get(name, name): value for name, value in given.items() if value is not UNSET
        }


class RotateBody(Body, frozen=True):
    """How long the old secret signs along."""

    SPELLINGS: ClassVar = {"overlapSeconds": "overlap_seconds"}

    overlap_seconds: Annotated[int, Meta(ge=0, le=2_592_000)] = OVERLAP_DEFAULT_S


_ROTATE: Final = msgspec.json.Decoder(RotateBody)


class PageQuery(Body, frozen=True):
    """Which page of the list: so many, behind this name."""

    limit: Annotated[int, Meta(ge=1, le=1_000)] = 100
    after: Annotated[str, Meta(max_length=64, pattern=r"^[!-~]*$")] = ""


class DeliveriesQuery(Body, frozen=True):
    """How many to show, the newest first."""

    limit: Annotated[int, Meta(ge=1, le=DELIVERIES_KEPT)] = DELIVERIES_KEPT


class WebhookView(Struct, frozen=True, kw_only=True):
    """A webhook; `rests_until` says how long a receiver that failed too often is left alone."""

    name: str
    url: str
    queue: str
    type: str | None
    paused: bool
    paused_reason: str | None
    timeout_seconds: int
    concurrency: int
    backoff_seconds: int
    backoff_max_seconds: int
    headers: dict[str, str]
    failures_in_row: int
    rests_until: str | None
    old_secret_until: str | None
    created_at: str
    updated_at: str


class WebhookMade(WebhookView, frozen=True, kw_only=True):
    """A webhook with its secret, which is not shown again."""

    secret: str


class WebhookList(Struct, frozen=True):
    """A page of webhooks by name; `next` is the `after` of the next page, null on the last."""

    webhooks: list[WebhookView]
    next: str | None


class DeliveryView(Struct, frozen=True, kw_only=True):
    """One request; `attempt` is 0 for a test."""

    at: str
    message_id: str
    attempt: int
    status: int | None
    took_ms: int
    error: str | None


class DeliveryList(Struct, frozen=True):
    """The last requests, the newest first."""

    deliveries: list[DeliveryView]


class TestView(Struct, frozen=True, kw_only=True):
    """What a receiver answered to a test, `answer` from the beginning."""

    delivered: bool
    webhook_id: str
    at: str
    status: int | None
    took_ms: int
    error: str | None
    answer: str


class Deleted(Struct, frozen=True):
    """Which webhook is gone."""

    name: str


_ANSWER_CHARACTERS_MAX: Final = 2_000


def view(webhook: Webhook, *, now_ms: int) -> WebhookView:
    """Show a webhook."""
    settings, health, secrets = webhook.settings, webhook.health, webhook.secrets
    overlaps = len(secrets.in_force(now_ms)) > 1
    return WebhookView(
        name=webhook.name,
        url=settings.url,
        queue=settings.queue,
        type=settings.type,
        paused=webhook.paused,
        paused_reason=webhook.paused_reason,
        timeout_seconds=settings.timeout_s,
        concurrency=settings.concurrency,
        backoff_seconds=settings.backoff_s,
        backoff_max_seconds=settings.backoff_max_s,
        headers=dict.fromkeys(settings.headers, HIDDEN),
        failures_in_row=health.failures,
        rests_until=iso_utc(health.rests_until_ms) if health.rests_until_ms > now_ms else None,
        old_secret_until=iso_utc(secrets.old_until_ms) if overlaps else None,
        created_at=iso_utc(webhook.created_at_ms),
        updated_at=iso_utc(webhook.updated_at_ms),
    )


def view_with_secret(webhook: Webhook, *, now_ms: int) -> WebhookMade:
    """Show a webhook whose secret is new."""
    shown = view(webhook, now_ms=now_ms)
    facts = {name: getattr(shown, name) for name in shown.__struct_fields__}
    return WebhookMade(**facts, secret=webhook.secrets.secret)


def delivery_view(delivery: Delivery) -> DeliveryView:
    """Show one request."""
    return DeliveryView(
        at=iso_utc(delivery.at_ms),
        message_id=delivery.message_id,
        attempt=delivery.attempt,
        status=delivery.status,
        took_ms=delivery.took_ms,
        error=delivery.error,
    )


def trial_view(trial: Trial) -> TestView:
    """Show a test and its answer."""
    answer = trial.answer
    return TestView(
        delivered=answer.reason is None,
        webhook_id=trial.webhook_id,
        at=iso_utc(trial.at_ms),
        status=answer.status,
        took_ms=answer.took_ms,
        error=answer.reason,
        answer=answer.body[:_ANSWER_CHARACTERS_MAX],
    )


def check_name(name: str) -> None:
    """Raise InvalidError unless a webhook may be called so."""
    if not _NAME.fullmatch(name):
        expected = "Expected 1 to 64 letters, digits, dots, dashes or underscores, no sign first"
        raise InvalidError({"name": expected})


async def read_rotate_body(req: Request, size_max: int) -> RotateBody:
    """Return a body that may be missing."""
    if not req.content_length and not req.get_header("Transfer-Encoding"):
        return RotateBody()
    return await read_body(req, _ROTATE, size_max)
