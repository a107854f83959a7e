"""The schema of the keys that sign tokens."""

from typing import Final

from sqlalchemy import BigInteger, Column, String, Table, Text

from models.database import metadata

key: Final = Table(
    "token_key",
    metadata,
    Column("kid", String(64), primary_key=True),
    Column("algorithm", String(16), nullable=False),
    Column("private_pem", Text, nullable=False),
    Column("public_jwk", Text, nullable=False),  # a JSON object
    Column("created_at_ms", BigInteger, nullable=False),
    Column("signs_from_ms", BigInteger, nullable=False),
)
