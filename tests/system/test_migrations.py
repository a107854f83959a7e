from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect

from models import migrate
from models.errors import UnavailableError
from tests.postgresql import PostgresqlServer
from tests.servers import BACKENDS


@pytest.fixture(params=BACKENDS)
def empty_url(request: pytest.FixtureRequest, new_folder: Callable[[str], Path]) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{new_folder('e')}/stanchion.db"
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    return server.create_database(new_folder("e").name)


def test_upgrade_brings_an_empty_database_to_the_head(empty_url: str) -> None:
    assert migrate.current(empty_url) is None

    migrate.upgrade(empty_url)

    assert migrate.current(empty_url) == migrate.head()


def test_upgrade_makes_the_tables_of_the_code(empty_url: str) -> None:
    migrate.upgrade(empty_url)

    migrate.check(empty_url)


def test_tables_that_messages_pass_through_are_tidied_up_in_time(
    postgresql_server: PostgresqlServer,
) -> None:
    engine = create_engine(postgresql_server.url("migrated").replace("://", "+psycopg://"))
    with engine.begin() as connection:
        rows = connection.exec_driver_sql("SELECT relname, reloptions FROM pg_class").all()
    engine.dispose()
    options = {row.relname: set(row.reloptions or ()) for row in rows}

    for table in ("ready", "delayed", "leased", "aside", "group"):
        assert options[f"message_{table}"] >= {
            "autovacuum_vacuum_threshold=10000",
            "autovacuum_vacuum_scale_factor=0",
            "autovacuum_vacuum_cost_delay=0",
        }
    assert "fillfactor=70" in options["message_leased"]


def test_upgrade_changes_nothing_when_repeated(empty_url: str) -> None:
    migrate.upgrade(empty_url)
    migrate.upgrade(empty_url)

    assert migrate.current(empty_url) == migrate.head()


def test_upgrade_takes_turns_with_others(empty_url: str) -> None:
    with ThreadPoolExecutor(4) as executor:
        for upgrade in [executor.submit(migrate.upgrade, empty_url) for _ in range(4)]:
            upgrade.result()

    assert migrate.current(empty_url) == migrate.head()


def test_upgrade_keeps_nothing_of_a_step_that_fails(empty_url: str) -> None:
    engine = create_engine(empty_url)
    with engine.begin() as connection:
        # In the way of an index that 0001 makes after its table.
        connection.exec_driver_sql("CREATE TABLE ix_outbox_due_at_ms (id integer)")

    with pytest.raises(Exception, match="ix_outbox_due_at_ms"):
        migrate.upgrade(empty_url)

    assert inspect(engine).get_table_names() == ["ix_outbox_due_at_ms"]
    engine.dispose()


def test_upgrade_says_when_the_database_is_away() -> None:
    with pytest.raises(UnavailableError, match="database is unavailable"):
        migrate.upgrade("postgresql://nobody@127.0.0.1:1/nothing")
