"""Values and arithmetic of webhooks; no I/O, no clock, no randomness."""

from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from models.errors import ConflictError, InvalidError, LimitError, NotFoundError

WEBHOOK_NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
WEBHOOKS_MAX: Final = 1_000
# Of one webhook; the next one pushes the oldest out.
DELIVERIES_KEPT: Final = 100
TIMEOUT_MAX_S: Final = 30
DELAY_MAX_S: Final = 86_400
# How long the old secret signs along after a new one was made, unless somebody says otherwise.
OVERLAP_DEFAULT_S: Final = 86_400
# A receiver that failed so often in a row is left alone, for longer each time.
FAILURES_MAX: Final = 5
REST_MIN_MS: Final = 30_000
REST_MAX_MS: Final = 3_600_000
# What a receiver said is kept for people to read; the rest of a long answer is cut off.
ANSWER_CHARACTERS_MAX: Final = 500

# What is shown instead of a header's value; sent back it means the value that is there.
HIDDEN: Final = "***"

_SUCCESSES: Final = range(200, 300)
_REDIRECTS: Final = range(300, 400)

Type = Annotated[str, Meta(min_length=1, max_length=255)]


class WebhookSettings(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What whoever runs a webhook may set, as it is stored; `targets` checks what types cannot."""

    url: str
    queue: str = "default"
    type: Type | None = None  # None: messages of every type
    timeout_s: Annotated[int, Meta(ge=1, le=TIMEOUT_MAX_S)] = 10  # for the whole request
    concurrency: Annotated[int, Meta(ge=1, le=32)] = 4  # requests under way together
    # The pause after the first failure of a message, which doubles, and the longest.
    backoff_s: Annotated[int, Meta(ge=1, le=DELAY_MAX_S)] = 5
    backoff_max_s: Annotated[int, Meta(ge=1, le=DELAY_MAX_S)] = 3_600
    headers: dict[str, str] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningSecrets:
    """What signs: the secret, and the one before it while that has time left."""

    secret: str = field(repr=False)
    old_secret: str | None = field(default=None, repr=False)
    old_until_ms: int = 0

    def in_force(self, now_ms: int) -> tuple[str, ...]:
        """Return the secrets that sign at this moment, the newest first."""
        if self.old_secret is not None and now_ms < self.old_until_ms:
            return (self.secret, self.old_secret)
        return (self.secret,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How a webhook fares: failures in a row, and until when its receiver is left alone."""

    failures: int = 0
    rests_until_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A webhook as it is stored; `version` changes with everything that somebody sets."""

    name: str
    settings: WebhookSettings
    secrets: SigningSecrets
    health: Health
    paused: bool
    paused_reason: str | None  # what stopped it, when nobody did
    created_at_ms: int
    updated_at_ms: int
    version: int


class Verdict(StrEnum):
    """What a receiver's answer means for the message."""

    DELIVERED = "delivered"
    FAILED = "failed"
    GONE = "gone"  # it wants no more messages


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of one request: a status and the first of the body, or an error without one."""

    status: int | None
    error: str | None
    body: str = ""
    retry_after_s: int | None = None
    took_ms: int = 0

    @property
    def verdict(self) -> Verdict:
        """Say what this means for the message."""
        if self.status in _SUCCESSES and self.error is None:
            return Verdict.DELIVERED
        return Verdict.GONE if self.status == HTTPStatus.GONE else Verdict.FAILED

    @property
    def reason(self) -> str | None:
        """Return why it is no success, in words that are kept with the message."""
        if self.verdict is Verdict.DELIVERED:
            return None
        if self.status is None or self.error is not None:
            return self.error or "no answer"
        if self.status in _REDIRECTS:
            return f"answered {self.status}; redirects are not followed"
        said = " ".join(self.body.split())[:ANSWER_CHARACTERS_MAX]
        return f"answered {self.status}" + (f": {said}" if said else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One request that was made; `attempt` is 0 for a test."""

    at_ms: int
    message_id: str
    attempt: int
    status: int | None
    took_ms: int
    error: str | None


class WebhookNotFoundError(NotFoundError):
    """Nobody made a webhook of this name."""

    code = "WEBHOOK_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"webhook {self.name} does not exist"


class WebhookExistsError(ConflictError):
    """A webhook of this name was made before."""

    code = "WEBHOOK_EXISTS"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"webhook {self.name} exists already"


class TooManyWebhooksError(LimitError):
    """There are as many webhooks as there may be."""

    code = "TOO_MANY_WEBHOOKS"

    def __init__(self) -> None:
        super().__init__("webhooks", WEBHOOKS_MAX)
        self.args = ()  # so that the error can be pickled


def with_kept_headers(settings: WebhookSettings, was: WebhookSettings) -> WebhookSettings:
    """Return settings in which HIDDEN headers have the values they had; raises InvalidError."""
    before = {name.lower(): value for name, value in was.headers.items()}
    kept: dict[str, str] = {}
    for name, value in settings.headers.items():
        known = before.get(name.lower()) if value == HIDDEN else value
        if known is None:
            raise InvalidError({f"headers.{name[:100]}": f"Expected a value, got {HIDDEN}"})
        kept[name] = known
    return msgspec.structs.replace(settings, headers=kept)


def consumer_id(name: str) -> str:
    """Return the name by which a webhook holds messages."""
    return f"webhook:{name}"


def delay_ms(
    settings: WebhookSettings, *, attempt: int, jitter: float, retry_after_s: int | None
) -> int:
    """Return how long a message waits after its `attempt`-th failure, in milliseconds.

    The pause doubles with each attempt up to `backoff_max_s`; `jitter`, 0 to 1, takes up to half of
    it away, so that messages which failed together do not come back together. A receiver that names
    a longer pause gets it, up to DELAY_MAX_S.
    """
    # 2 to the 17th seconds is over a day already.
    doubled_s = settings.backoff_s << min(attempt - 1, 17)
    pause_ms = min(doubled_s, settings.backoff_max_s) * 1000
    pause_ms -= int(pause_ms / 2 * jitter)
    asked_ms = min(retry_after_s or 0, DELAY_MAX_S) * 1000
    return max(pause_ms, asked_ms)


def health_after(health: Health, verdict: Verdict, *, now_ms: int) -> Health:
    """Return how a webhook fares after one more request.

    One success makes it well. From FAILURES_MAX failures in a row on it rests, twice as long each
    time up to REST_MAX_MS; failures that come in while it rests are of the same try and do not
    count.
    """
    if verdict is Verdict.DELIVERED:
        return Health()
    if now_ms < health.rests_until_ms:
        return health
    failures = health.failures + 1
    if failures < FAILURES_MAX:
        return Health(failures=failures)
    rest_ms = min(REST_MIN_MS << min(failures - FAILURES_MAX, 20), REST_MAX_MS)
    return Health(failures=failures, rests_until_ms=now_ms + rest_ms)


def concurrency_of(webhook: Webhook) -> int:
    """Return how many requests may be under way: one for a receiver that failed too often."""
    return 1 if webhook.health.failures >= FAILURES_MAX else webhook.settings.concurrency


def changed(settings: WebhookSettings, changes: dict[str, object]) -> WebhookSettings:
    """Return settings with some fields set anew, None for the default; raises InvalidError."""
    merged = {**msgspec.to_builtins(settings), **changes}
    kept = {name: value for name, value in merged.items() if value is not None}
    try:
        return msgspec.convert(kept, WebhookSettings)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$.")
        raise InvalidError({path.rstrip("`") or "settings": reason}) from None
