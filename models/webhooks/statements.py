"""Every word said to SQL about webhooks; one text for PostgreSQL and SQLite."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import (
    BigInteger,
    Connection,
    Row,
    Select,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from models.webhooks.rules import (
    DELIVERIES_KEPT,
    Delivery,
    Health,
    SigningSecrets,
    Webhook,
    WebhookSettings,
)
from models.webhooks.tables import delivery, webhook

_decode: Final = msgspec.json.Decoder(WebhookSettings).decode
_encode: Final = msgspec.json.Encoder().encode
_MOMENT: Final = bindparam("moment_ms", type_=BigInteger)

_COUNT: Final = select(func.count()).select_from(webhook)
_BY_NAME: Final = select(webhook).where(webhook.c.name == bindparam("of_name"))
_LOCKED: Final = _BY_NAME.with_for_update()
_PAGE: Final = (
    select(webhook)
    .where(webhook.c.name > bindparam("after"))
    .order_by(webhook.c.name)
    .limit(bindparam("count"))
)
_ACTIVE: Final = select(webhook).where(webhook.c.paused.is_(False)).order_by(webhook.c.served_at_ms)
_RUNNING: Final = _COUNT.where(webhook.c.claimed_until_ms > _MOMENT)
_CLAIM: Final = (
    update(webhook)
    .where(webhook.c.name == bindparam("of_name"), webhook.c.claimed_until_ms <= _MOMENT)
    .values(
        claim_id=bindparam("new_claim"),
        claimed_until_ms=bindparam("until_ms", type_=BigInteger),
    )
)
_HELD: Final = update(webhook).where(
    webhook.c.name == bindparam("of_name"),
    webhook.c.claim_id == bindparam("of_claim"),
    webhook.c.claimed_until_ms > _MOMENT,
)
_EXTEND: Final = _HELD.values(
    claimed_until_ms=bindparam("until_ms", type_=BigInteger), served_at_ms=_MOMENT
)
_RELEASE: Final = _HELD.values(claim_id=None, claimed_until_ms=0)
_DELIVERIES: Final = (
    select(delivery)
    .where(delivery.c.webhook == bindparam("of_name"))
    .order_by(delivery.c.id.desc())
    .limit(bindparam("count"))
)
_FIRST_KEPT: Final[Select[Any]] = (
    select(delivery.c.id)
    .where(delivery.c.webhook == bindparam("of_name"))
    .order_by(delivery.c.id.desc())
    .offset(DELIVERIES_KEPT)
    .limit(1)
)
_FORGET: Final = delete(delivery).where(
    delivery.c.webhook == bindparam("of_name"), delivery.c.id <= bindparam("last_id")
)


def count(connection: Connection) -> int:
    """Return how many webhooks there are."""
    return int(connection.execute(_COUNT).scalar_one())


def read(connection: Connection, name: str, *, lock: bool = False) -> Webhook | None:
    """Return a webhook; with `lock` nobody else changes it before the commit."""
    row = connection.execute(_LOCKED if lock else _BY_NAME, {"of_name": name}).first()
    return None if row is None else _webhook(row)


def page(connection: Connection, *, after: str, count: int) -> list[Webhook]:
    """Return up to `count` webhooks by name, those behind `after`."""
    return [_webhook(row) for row in connection.execute(_PAGE, {"after": after, "count": count})]


def active(connection: Connection) -> list[Webhook]:
    """Return the webhooks that are not paused, first those that were not served for longest."""
    return [_webhook(row) for row in connection.execute(_ACTIVE)]


def create(connection: Connection, made: Webhook) -> None:
    """Store a new webhook; raises IntegrityError if there is one of this name."""
    row = _row(made) | {"claimed_until_ms": 0, "served_at_ms": 0}
    connection.execute(insert(webhook), row)


def store(connection: Connection, changed: Webhook) -> None:
    """Store a webhook that was read with `lock` and changed."""
    statement = update(webhook).where(webhook.c.name == changed.name).values(_row(changed))
    connection.execute(statement)


def remove(connection: Connection, name: str) -> bool:
    """Delete a webhook and what is known of its deliveries; say whether there was one."""
    connection.execute(delete(delivery).where(delivery.c.webhook == name))
    return connection.execute(delete(webhook).where(webhook.c.name == name)).rowcount > 0


def count_claimed(connection: Connection, *, now_ms: int) -> int:
    """Return how many webhooks are being served."""
    return int(connection.execute(_RUNNING, {"moment_ms": now_ms}).scalar_one())


def claim(connection: Connection, name: str, claim_id: str, *, until_ms: int, now_ms: int) -> bool:
    """Claim a webhook that nobody serves; say whether that worked."""
    values = {"of_name": name, "new_claim": claim_id, "until_ms": until_ms, "moment_ms": now_ms}
    return connection.execute(_CLAIM, values).rowcount > 0


def extend_claim(
    connection: Connection, name: str, claim_id: str, *, until_ms: int, now_ms: int
) -> bool:
    """Let a claim that is in force last until another moment; say whether it was in force."""
    values = {"of_name": name, "of_claim": claim_id, "until_ms": until_ms, "moment_ms": now_ms}
    return connection.execute(_EXTEND, values).rowcount > 0


def release(connection: Connection, name: str, claim_id: str, *, now_ms: int) -> None:
    """End a claim; one that ran out is somebody else's to end."""
    values = {"of_name": name, "of_claim": claim_id, "moment_ms": now_ms}
    connection.execute(_RELEASE, values)


def note(connection: Connection, name: str, deliveries: Sequence[Delivery]) -> None:
    """Keep what was delivered, and forget what is older than the last DELIVERIES_KEPT."""
    kept = deliveries[-DELIVERIES_KEPT:]
    if not kept:
        return
    connection.execute(
        insert(delivery),
        [
            {
                "webhook": name,
                "at_ms": each.at_ms,
                "message_id": each.message_id,
                "attempt": each.attempt,
                "status": each.status,
                "took_ms": each.took_ms,
                "error": each.error,
            }
            for each in kept
        ],
    )
    last_id = connection.execute(_FIRST_KEPT, {"of_name": name}).scalar()
    if last_id is not None:
        connection.execute(_FORGET, {"of_name": name, "last_id": last_id})


def deliveries(connection: Connection, name: str, *, count: int) -> list[Delivery]:
    """Return the last deliveries of a webhook, the newest first."""
    rows = connection.execute(_DELIVERIES, {"of_name": name, "count": count})
    return [
        Delivery(
            at_ms=row.at_ms,
            message_id=row.message_id,
            attempt=row.attempt,
            status=row.status,
            took_ms=row.took_ms,
            error=row.error,
        )
        for row in rows
    ]


def _row(each: Webhook) -> dict[str, Any]:
    return {
        "name": each.name,
        "settings": _encode(each.settings).decode(),
        "secret": each.secrets.secret,
        "old_secret": each.secrets.old_secret,
        "old_until_ms": each.secrets.old_until_ms,
        "paused": each.paused,
        "paused_reason": each.paused_reason,
        "failures": each.health.failures,
        "rests_until_ms": each.health.rests_until_ms,
        "created_at_ms": each.created_at_ms,
        "updated_at_ms": each.updated_at_ms,
        "version": each.version,
    }


def _webhook(row: Row[Any]) -> Webhook:
    return Webhook(
        name=row.name,
        settings=_decode(row.settings),
        secrets=SigningSecrets(
            secret=row.secret, old_secret=row.old_secret, old_until_ms=row.old_until_ms
        ),
        health=Health(failures=row.failures, rests_until_ms=row.rests_until_ms),
        paused=row.paused,
        paused_reason=row.paused_reason,
        created_at_ms=row.created_at_ms,
        updated_at_ms=row.updated_at_ms,
        version=row.version,
    )
