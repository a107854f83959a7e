"""Run by Alembic for each command; the connection and its transaction are models/migrate.py's."""

from alembic import context

from models.migrate import all_tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=all_tables(),
    # SQLite alters a table by copying it.
    render_as_batch=True,
    # Both databases roll schema changes back; Alembic does not believe it of SQLite.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
