"""Bring a database to the schema of this release; Alembic, configured in code.

The whole upgrade is one transaction: it happens or it does not. Who comes second waits, then finds
nothing to do: on PostgreSQL by an advisory lock, on SQLite by the lock of its one writer.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.pool import NullPool

import models
from models.database import metadata
from models.errors import UnavailableError

# Any number that nobody else locks by in the same database.
_LOCK: Final = 7_813_420_511
# How long to wait for another upgrade, or for readers of an SQLite file to go away.
_SQLITE_BUSY_S: Final = 60


def upgrade(url: str) -> None:
    """Upgrade to `head()`; a repeat changes nothing, two at once run one after the other.

    Raises UnavailableError when the database cannot be reached.
    """
    with _connected(url) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        command.upgrade(_config(connection), "head")


def check(url: str) -> None:
    """Compare the database with the tables of the code; raises CommandError if it differs."""
    with _connected(url) as connection:
        command.check(_config(connection))


def current(url: str) -> str | None:
    """Return the revision that a database is at, None for one that is empty or not there yet.

    Raises UnavailableError when the database cannot be reached.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").exists():
        return None  # to look would make the file
    with _connected(url) as connection:
        return MigrationContext.configure(connection).get_current_revision()


def head() -> str:
    """Return the revision that this release needs."""
    revision = ScriptDirectory.from_config(_config(None)).get_current_head()
    assert revision is not None, "there is at least one migration"
    return revision


def all_tables() -> MetaData:
    """Return the metadata with every table; it imports them all."""
    for domain in pkgutil.iter_modules(models.__path__, "models."):
        if domain.ispkg:
            for name in ("tables", "history_tables"):
                if importlib.util.find_spec(f"{domain.name}.{name}"):
                    importlib.import_module(f"{domain.name}.{name}")
    return metadata


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", "models:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    """Open one transaction, without the deadlines of `Database`: a migration may take its time."""
    engine = create_engine(url, poolclass=NullPool)
    if engine.dialect.name == "sqlite":
        _take_turns(engine)
    try:
        with engine.begin() as connection:
            yield connection
    except (OperationalError, InterfaceError) as error:
        raise UnavailableError("database", " ".join(str(error.orig).split())[:200]) from error
    finally:
        engine.dispose()


def _take_turns(engine: Any) -> None:
    """Let SQLite take its write lock at once; foreign keys stay off, since a batch drops tables."""

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout={_SQLITE_BUSY_S * 1000}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
