"""The schema of the pulse. All moments are Unix milliseconds."""

from typing import Final

from sqlalchemy import BigInteger, Column, String, Table

from models.database import metadata

minute: Final = Table(
    "pulse_minute",
    metadata,
    Column("minute_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("domain", String(16), primary_key=True),
    Column("depth", BigInteger),  # null: nobody looked in this minute
    Column("oldest_s", BigInteger),  # how long the oldest has waited; null: none does
    Column("arrived", BigInteger, nullable=False),
    Column("done", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
)
