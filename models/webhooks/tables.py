"""The schema of webhooks. All moments are Unix milliseconds."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Identity,
    Index,
    Integer,
    String,
    Table,
    Text,
)

from models.database import metadata

webhook: Final = Table(
    "webhook",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("settings", Text, nullable=False),  # JSON of rules.WebhookSettings
    Column("secret", Text, nullable=False),
    Column("old_secret", Text),
    Column("old_until_ms", BigInteger, nullable=False),
    Column("paused", Boolean, nullable=False),
    Column("paused_reason", Text),
    Column("failures", Integer, nullable=False),  # in a row
    Column("rests_until_ms", BigInteger, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("updated_at_ms", BigInteger, nullable=False),
    Column("version", Integer, nullable=False),  # of what somebody set
    # Who serves it at the moment, and until when nobody else does.
    Column("claim_id", String(64)),
    Column("claimed_until_ms", BigInteger, nullable=False),
    Column("served_at_ms", BigInteger, nullable=False),
)

delivery: Final = Table(
    "webhook_delivery",
    metadata,
    Column(
        "id",
        BigInteger().with_variant(Integer(), "sqlite"),
        Identity(),
        primary_key=True,
    ),
    Column("webhook", String(64), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("message_id", String(64), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("status", Integer),
    Column("took_ms", BigInteger, nullable=False),
    Column("error", Text),
    Index(None, "webhook", "id"),
)
