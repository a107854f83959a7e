"""Run by Alembic for each command; the connection and its transaction are models/migrate.py's."""

from alembic import context

from models.migrate import all_tables


def _is_compared(name: str | None, kind: str, _parents: object) -> bool:
    """Leave out the partitions of `message_done`, which come and go."""
    return not (kind == "table" and name is not None and name.startswith("message_done_"))


def _is_here(
    there: object,
    _name: str | None,
    kind: str,
    _reflected: bool,  # noqa: FBT001  # Alembic's own
    _other: object,
) -> bool:
    """Leave out indexes that only another database has: `info` names the one."""
    info = getattr(there, "info", {}) if kind == "index" else {}
    return bool(info.get("dialect", _dialect) == _dialect)


_dialect = context.config.attributes["connection"].dialect.name
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=all_tables(),
    include_name=_is_compared,
    include_object=_is_here,
    # SQLite alters a table by copying it.
    render_as_batch=True,
    # Both databases roll schema changes back; Alembic does not believe it of SQLite.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
