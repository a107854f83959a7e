"""The schema of the audit log."""

from typing import Final

from sqlalchemy import BigInteger, Column, Identity, Index, Integer, String, Table, Text

from models.database import metadata

entry: Final = Table(
    "audit_entry",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True),
    Column("at_ms", BigInteger, nullable=False, index=True),
    Column("actor_kind", String(16), nullable=False),
    Column("actor_id", String(64)),
    Column("actor_name", String(255), nullable=False),
    Column("address", String(64), nullable=False),  # empty: this machine's command line
    Column("action", String(64), nullable=False),
    Column("target", String(255), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("details", Text, nullable=False),  # a JSON object
    Column("request_id", String(64)),
    Index(None, "target", "id"),
    sqlite_autoincrement=True,  # a later entry has a larger id, also after the last was deleted
)
