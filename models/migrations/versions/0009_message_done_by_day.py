"""Keep acknowledged messages by day on PostgreSQL, so that old days are dropped whole.

No row moves: the table as it is becomes the partition of all days up to today, which are deleted
row by row as before. SQLite has one table.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TOMORROW = """
    SELECT CAST(extract(epoch FROM date_trunc('day', now() AT TIME ZONE 'utc')) AS bigint) * 1000
           + 86400000
"""


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    tomorrow_ms = connection.exec_driver_sql(_TOMORROW).scalar_one()
    op.execute("ALTER TABLE message_done RENAME TO message_done_before")
    # Each partition has an index of its own, so what is unique has to name the day's column too.
    op.execute("ALTER TABLE message_done_before DROP CONSTRAINT pk_message_done")
    op.execute(
        "ALTER TABLE message_done_before ADD CONSTRAINT pk_message_done_before"
        " PRIMARY KEY (id, acknowledged_at_ms)"
    )
    op.execute(
        "ALTER INDEX ix_message_done_acknowledged_at_ms"
        " RENAME TO ix_message_done_before_acknowledged_at_ms"
    )
    op.execute(
        "CREATE TABLE message_done (LIKE message_done_before INCLUDING DEFAULTS,"
        " CONSTRAINT pk_message_done PRIMARY KEY (id, acknowledged_at_ms))"
        " PARTITION BY RANGE (acknowledged_at_ms)"
    )
    op.execute(
        "CREATE INDEX ix_message_done_acknowledged_at_ms ON message_done (acknowledged_at_ms)"
    )
    op.execute(
        "ALTER TABLE message_done ATTACH PARTITION message_done_before"
        f" FOR VALUES FROM (MINVALUE) TO ({tomorrow_ms})"
    )
    # What is acknowledged on a day that nobody made a partition for.
    op.execute("CREATE TABLE message_done_default PARTITION OF message_done DEFAULT")
    for table in ("message_aside", "message_group"):  # as 0007 says of the others
        op.execute(
            f"ALTER TABLE {table} SET (autovacuum_vacuum_threshold = 10000,"
            " autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 0)"
        )
