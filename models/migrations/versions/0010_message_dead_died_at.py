"""Index dead messages by when they died, so that lists of them can be sorted so."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_message_dead_died_at_ms", "message_dead", ["died_at_ms"])
