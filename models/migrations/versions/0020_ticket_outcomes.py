"""Add what became of a ticket's estimate, its paper and its holder's opinion; calibrations."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in (
        sa.Column("first_called_at_ms", sa.BigInteger),
        sa.Column("ahead", sa.Integer),
        sa.Column("drained_min", sa.Float),
        sa.Column("estimated_low_min", sa.Integer),
        sa.Column("estimated_high_min", sa.Integer),
        sa.Column("print_state", sa.String(16)),
        sa.Column("rating", sa.Integer),
        sa.Column("rating_comment", sa.Text),
        sa.Column("rated_at_ms", sa.BigInteger),
    ):
        op.add_column("ticket", column)
    op.create_index("ix_ticket_branch_id_business_day", "ticket", ["branch_id", "business_day"])
    op.create_index("ix_ticket_completed_at_ms", "ticket", ["completed_at_ms"])
    op.create_table(
        "ticket_calibration",
        sa.Column("branch_id", sa.BigInteger, sa.ForeignKey("ticket_branch.id"), nullable=False),
        sa.Column("ahead_min", sa.Integer, nullable=False),
        sa.Column("outcomes", sa.Integer, nullable=False),
        sa.Column("low", sa.Float, nullable=False),
        sa.Column("middle", sa.Float, nullable=False),
        sa.Column("high", sa.Float, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("branch_id", "ahead_min", name="pk_ticket_calibration"),
    )
