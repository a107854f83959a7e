"""What a request does with webhooks; each change is audited with it."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from models import audit
from models.addresses import Network
from models.audit import Actor, Change
from models.database import Database
from models.errors import LimitError, UnavailableError
from models.webhooks import statements
from models.webhooks.rules import (
    WEBHOOKS_MAX,
    Delivery,
    Health,
    SigningSecrets,
    TooManyWebhooksError,
    Webhook,
    WebhookExistsError,
    WebhookNotFoundError,
    WebhookSettings,
    changed,
    with_kept_headers,
)
from models.webhooks.signing import check_secret, new_secret
from models.webhooks.targets import check_headers, check_url
from models.webhooks.trials import Trial, begin_trial, delivery_of

T = TypeVar("T")

_TESTS_AT_ONCE: Final = 4


class WebhookService:
    """The webhooks of one database. What a method changed is on disk when it returns."""

    def __init__(self, database: Database, *, networks: Sequence[Network]) -> None:
        """`networks` may be asked besides the public ones."""
        self._database: Final = database
        self._networks: Final = networks
        self._testing: Final[set[asyncio.Future[Trial]]] = set()

    def drain(self) -> None:
        """Let go of everybody who waits for a test: the process ends."""
        for trial in self._testing:
            trial.cancel()

    async def page(self, *, after: str, count: int) -> list[Webhook]:
        """Return up to `count` webhooks by name, those behind `after`."""
        return await self._database.read(
            lambda connection: statements.page(connection, after=after, count=count)
        )

    async def get(self, name: str) -> Webhook:
        """Return one webhook; raises WebhookNotFoundError."""
        return await self._database.read(lambda connection: _read(connection, name))

    async def deliveries(self, name: str, *, count: int) -> list[Delivery]:
        """Return the last requests, the newest first; raises WebhookNotFoundError."""

        def read(connection: Connection) -> list[Delivery]:
            _read(connection, name)
            return statements.deliveries(connection, name, count=count)

        return await self._database.read(read)

    async def create(
        self,
        name: str,
        settings: WebhookSettings,
        actor: Actor,
        *,
        paused: bool = False,
        secret: str | None = None,
        now_ms: int,
    ) -> Webhook:
        """Make a webhook; without a secret it gets a new one.

        Raises InvalidError, WebhookExistsError or TooManyWebhooksError.
        """
        self._check(settings)
        made = _new(name, settings, paused=paused, secret=secret, now_ms=now_ms)

        def write(connection: Connection) -> Webhook:
            _create(connection, made, actor, now_ms=now_ms)
            return made

        try:
            return await self._database.run(write)
        except IntegrityError:
            raise WebhookExistsError(name) from None

    async def put(
        self,
        name: str,
        settings: WebhookSettings,
        actor: Actor,
        *,
        paused: bool = False,
        secret: str | None = None,
        now_ms: int,
    ) -> tuple[Webhook, bool]:
        """Make a webhook, or set all settings of the one that is there; say whether it was made.

        One that is there keeps its secret unless another is given. Raises InvalidError or
        TooManyWebhooksError.
        """
        self._check(settings)
        made = _new(name, settings, paused=paused, secret=secret, now_ms=now_ms)

        def write(connection: Connection) -> tuple[Webhook, bool]:
            was = statements.read(connection, name, lock=True)
            if was is None:
                _create(connection, made, actor, now_ms=now_ms)
                return made, True
            now = replace(
                _paused(was, paused),
                settings=with_kept_headers(settings, was.settings),
                secrets=made.secrets if secret is not None else was.secrets,
            )
            return _store(connection, was, now, actor, "webhook_changed", now_ms=now_ms), False

        with contextlib.suppress(IntegrityError):
            return await self._database.run(write)
        return await self._database.run(write)  # somebody made it just now

    async def patch(
        self,
        name: str,
        changes: Mapping[str, object],
        actor: Actor,
        *,
        paused: bool | None = None,
        now_ms: int,
    ) -> Webhook:
        """Set some settings anew, None for the default; `paused` False begins with a clean slate.

        Raises InvalidError or WebhookNotFoundError.
        """

        def change(was: Webhook) -> Webhook:
            settings = with_kept_headers(changed(was.settings, dict(changes)), was.settings)
            self._check(settings)
            now = was if paused is None else _paused(was, paused)
            if settings.url != was.settings.url:  # what the old receiver did says nothing of this
                now = replace(now, health=Health())
            return replace(now, settings=settings)

        return await self._change(name, change, actor, "webhook_changed", now_ms=now_ms)

    async def rotate(self, name: str, actor: Actor, *, overlap_ms: int, now_ms: int) -> Webhook:
        """Give a webhook a new secret; the old one signs along for `overlap_ms`."""

        def change(was: Webhook) -> Webhook:
            fresh = SigningSecrets(
                secret=new_secret(),
                old_secret=was.secrets.secret if overlap_ms else None,
                old_until_ms=now_ms + overlap_ms if overlap_ms else 0,
            )
            return replace(was, secrets=fresh)

        return await self._change(name, change, actor, "webhook_secret_rotated", now_ms=now_ms)

    async def delete(self, name: str, actor: Actor, *, now_ms: int) -> None:
        """Delete a webhook; its messages wait for another consumer. WebhookNotFoundError."""

        def write(connection: Connection) -> None:
            if not statements.remove(connection, name):
                raise WebhookNotFoundError(name)
            audit.add(
                connection, actor, Change(action="webhook_deleted", target=name), now_ms=now_ms
            )

        await self._database.run(write)

    async def test(
        self, name: str, actor: Actor, *, now_ms: int, clock: Callable[[], int]
    ) -> Trial:
        """Send one signed request that carries no message, also for a webhook that is paused.

        Raises WebhookNotFoundError, LimitError when too many tests are under way, or
        UnavailableError when this process ends meanwhile.
        """
        webhook = await self.get(name)
        made = await self._try(webhook, now_ms=now_ms)

        def note(connection: Connection) -> None:
            statements.note(connection, name, [delivery_of(made)])
            details = {"status": made.answer.status}
            change = Change(action="webhook_tested", target=name, details=details)
            audit.add(connection, actor, change, now_ms=clock())

        await self._database.run(note)
        return made

    async def _try(self, webhook: Webhook, *, now_ms: int) -> Trial:
        if len(self._testing) >= _TESTS_AT_ONCE:
            raise LimitError("webhook tests under way", _TESTS_AT_ONCE)
        trial = asyncio.wrap_future(begin_trial(webhook, self._networks, now_ms=now_ms))
        self._testing.add(trial)
        try:
            return await asyncio.shield(trial)
        except asyncio.CancelledError:
            if trial.cancelled():  # by `drain`; else it is the request that ends
                raise UnavailableError("webhook test", "this process ends") from None
            raise
        finally:
            # A request that ends does not end the test: it counts until then.
            trial.add_done_callback(self._testing.discard)

    async def _change(
        self,
        name: str,
        change: Callable[[Webhook], Webhook],
        actor: Actor,
        action: str,
        *,
        now_ms: int,
    ) -> Webhook:
        def write(connection: Connection) -> Webhook:
            was = _read(connection, name, lock=True)
            return _store(connection, was, change(was), actor, action, now_ms=now_ms)

        return await self._database.run(write)

    def _check(self, settings: WebhookSettings) -> None:
        check_url(settings.url, self._networks)
        check_headers(settings.headers)


def _read(connection: Connection, name: str, *, lock: bool = False) -> Webhook:
    found = statements.read(connection, name, lock=lock)
    if found is None:
        raise WebhookNotFoundError(name)
    return found


def _new(
    name: str, settings: WebhookSettings, *, paused: bool, secret: str | None, now_ms: int
) -> Webhook:
    if secret is not None:
        check_secret(secret)
    return Webhook(
        name=name,
        settings=settings,
        secrets=SigningSecrets(secret=secret or new_secret()),
        health=Health(),
        paused=paused,
        paused_reason=None,
        created_at_ms=now_ms,
        updated_at_ms=now_ms,
        version=1,
    )


def _paused(webhook: Webhook, paused: bool) -> Webhook:  # noqa: FBT001
    """Return a webhook that somebody paused, or one that begins anew."""
    if paused:
        reason = webhook.paused_reason if webhook.paused else None
        return replace(webhook, paused=True, paused_reason=reason)
    return replace(webhook, paused=False, paused_reason=None, health=Health())


def _create(connection: Connection, made: Webhook, actor: Actor, *, now_ms: int) -> None:
    with_kept_headers(made.settings, WebhookSettings(url=""))  # nothing is there to be kept
    if statements.count(connection) >= WEBHOOKS_MAX:
        raise TooManyWebhooksError
    statements.create(connection, made)
    details = {"queue": made.settings.queue, "paused": made.paused}
    change = Change(action="webhook_created", target=made.name, details=details)
    audit.add(connection, actor, change, now_ms=now_ms)


def _store(
    connection: Connection, was: Webhook, now: Webhook, actor: Actor, action: str, *, now_ms: int
) -> Webhook:
    now = replace(now, version=was.version + 1, updated_at_ms=now_ms)
    statements.store(connection, now)
    # The names of what changed: an address or a header may be a secret itself.
    fields = [
        name
        for name in WebhookSettings.__struct_fields__
        if getattr(was.settings, name) != getattr(now.settings, name)
    ]
    if was.paused != now.paused:
        fields.append("paused" if now.paused else "resumed")
    details = {"changed": fields} if action == "webhook_changed" else {}
    audit.add(
        connection, actor, Change(action=action, target=now.name, details=details), now_ms=now_ms
    )
    return now
