"""Let PostgreSQL tidy up the tables that every message passes through as fast as they change.

SQLite has nothing to tidy up.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# After so many dead rows whatever the size of the table, and without rests: by the usual share of
# a long table an index would lead through hundreds of thousands of them.
_VACUUM = (
    "autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_scale_factor = 0,"
    " autovacuum_vacuum_cost_delay = 0"
)


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for table in ("message_ready", "message_delayed", "message_leased"):
        op.execute(f"ALTER TABLE {table} SET ({_VACUUM})")
    # Room for the next version of a row on its own page: then no index changes with it.
    op.execute("ALTER TABLE message_leased SET (fillfactor = 70)")
    op.execute("ALTER TABLE message_counter SET (fillfactor = 50)")
