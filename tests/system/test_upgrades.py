"""The way from the first release to this one, with rows in every table from its first day on."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.script import ScriptDirectory

from models import migrate
from tests.postgresql import PostgresqlServer
from tests.servers import BACKENDS

ROWS = 3
PARTITIONS = sa.text("SELECT relname FROM pg_class WHERE relispartition")


@pytest.fixture(params=BACKENDS)
def empty_url(request: pytest.FixtureRequest, new_folder: Callable[[str], Path]) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{new_folder('u')}/stanchion.db"
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    return server.create_database(new_folder("u").name)


def revisions() -> list[str]:
    script = ScriptDirectory.from_config(migrate._config(None))
    return [each.revision for each in reversed(list(script.walk_revisions()))]


def value_of(column: sa.Column[Any], number: int) -> Any:
    """Return something that fits a column and tells rows apart."""
    kind = column.type
    if isinstance(kind, sa.Boolean):
        return False
    if isinstance(kind, sa.Integer | sa.Numeric):
        return number
    if isinstance(kind, sa.LargeBinary):
        return number.to_bytes(16)
    text = f"{number}"
    length = getattr(kind, "length", None)
    return text[-length:] if length else text


def fill(connection: sa.Connection, table: sa.Table, numbers: Iterator[int]) -> None:
    for _ in range(ROWS):
        number = next(numbers)
        row = {
            column.name: value_of(column, number)
            for column in table.columns
            if not column.nullable and column.server_default is None and column.identity is None
        }
        for key in table.foreign_keys:
            parents = connection.execute(sa.select(key.column).limit(ROWS)).scalars().all()
            row[key.parent.name] = parents[number % len(parents)]
        connection.execute(table.insert(), row)


def tables_of(connection: sa.Connection) -> dict[str, sa.Table]:
    """Return the tables with rows of their own, a partitioned one as a whole."""
    metadata = sa.MetaData()
    metadata.reflect(connection)
    left_out = {"alembic_version"}
    if connection.dialect.name == "postgresql":
        left_out |= set(connection.execute(PARTITIONS).scalars())
    return {table.name: table for table in metadata.sorted_tables if table.name not in left_out}


def test_every_row_of_every_release_is_there_after_the_upgrade(empty_url: str) -> None:
    filled: dict[str, str] = {}
    numbers = itertools.count(1)
    for revision in revisions():
        with migrate._connected(empty_url) as connection:
            command.upgrade(migrate._config(connection), revision)
        with migrate._connected(empty_url) as connection:
            for name, table in tables_of(connection).items():
                if name not in filled:
                    fill(connection, table, numbers)
                    filled[name] = revision

    migrate.check(empty_url)
    with migrate._connected(empty_url) as connection:
        counts = {
            name: connection.scalar(sa.select(sa.func.count()).select_from(table))
            for name, table in tables_of(connection).items()
        }
    assert set(counts) == set(filled)  # no release gave a table up
    assert {name: count for name, count in counts.items() if count < ROWS} == {}
