"""The schema of people: users, their sessions, the keys of programs, failed log-ins."""

from typing import Final

from sqlalchemy import BigInteger, Column, ForeignKey, Identity, Integer, String, Table, Text

from models.database import metadata

_BigId: Final = BigInteger().with_variant(Integer(), "sqlite")

user: Final = Table(
    "people_user",
    metadata,
    Column("id", _BigId, Identity(), primary_key=True),
    Column("username", String(64), nullable=False, unique=True),  # in lower case
    Column("full_name", String(255), nullable=False),
    Column("role", String(16), nullable=False),
    Column("counter_id", BigInteger),  # of tickets; null: not tied to one
    Column("password_hash", Text, nullable=False),
    # Grows with each change that ends what was let in before; tokens carry the number.
    Column("version", Integer, nullable=False),
    Column("disabled_at_ms", BigInteger),
    Column("last_login_at_ms", BigInteger),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("updated_at_ms", BigInteger, nullable=False),
    sqlite_autoincrement=True,  # an id in the audit log never comes to mean somebody else
)

session: Final = Table(
    "people_session",
    metadata,
    Column("digest", String(64), primary_key=True),  # SHA-256 of what the cookie says
    Column(
        "user_id", BigInteger, ForeignKey("people_user.id", ondelete="CASCADE"), nullable=False,
        index=True,
    ),
    Column("address", String(64), nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False, index=True),
)  # fmt: skip

key: Final = Table(
    "people_key",
    metadata,
    Column("id", _BigId, Identity(), primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("scope", String(16), nullable=False),
    Column("digest", String(64), nullable=False, unique=True),  # SHA-256 of the key
    Column("created_at_ms", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

failure: Final = Table(
    "people_failure",
    metadata,
    Column("subject", String(128), primary_key=True),  # `user:name` or `address:network`
    Column("failures", Integer, nullable=False),
    Column("last_at_ms", BigInteger, nullable=False),
    Column("locked_until_ms", BigInteger, nullable=False),
)
