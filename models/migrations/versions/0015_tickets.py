"""Add tickets: branches, counters, procedures, numbers, tickets, and news for displays."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def _big_id() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _make_halls()
    _make_tickets()
    op.create_table(
        "ticket_news",
        sa.Column("branch_id", sa.BigInteger, sa.ForeignKey("ticket_branch.id"), nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("events", sa.Text, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("branch_id", "version", name="pk_ticket_news"),
    )
    op.create_index("ix_ticket_news_at_ms", "ticket_news", ["at_ms"])


def _make_halls() -> None:
    op.create_table(
        "ticket_branch",
        sa.Column("id", _big_id(), sa.Identity(), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("timezone", sa.String(64), nullable=False),
        sa.Column("reset_minute", sa.Integer, nullable=False),
        sa.Column("numbering", sa.String(16), nullable=False),
        sa.Column("number_first", sa.Integer, nullable=False),
        sa.Column("opening", sa.Text),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("changed_at_ms", sa.BigInteger, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_ticket_branch"),
        sa.UniqueConstraint("name", name="uq_ticket_branch_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "ticket_counter",
        sa.Column("id", _big_id(), sa.Identity(), nullable=False),
        sa.Column("branch_id", sa.BigInteger, sa.ForeignKey("ticket_branch.id"), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("pause_reason", sa.Text),
        sa.Column("paused_until_ms", sa.BigInteger),
        sa.Column("policy", sa.String(16), nullable=False),
        sa.Column("turn", sa.String(16)),
        sa.Column("number_first", sa.Integer, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("updated_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_ticket_counter"),
        sa.UniqueConstraint("branch_id", "name", name="uq_ticket_counter_branch_id_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "ticket_procedure",
        sa.Column("id", _big_id(), sa.Identity(), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("folded", sa.Text, nullable=False),
        sa.Column("service_min", sa.Integer, nullable=False),
        sa.Column("is_active", sa.Boolean, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("updated_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_ticket_procedure"),
        sa.UniqueConstraint("name", name="uq_ticket_procedure_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "ticket_procedure_counter",
        sa.Column(
            "procedure_id", sa.BigInteger, sa.ForeignKey("ticket_procedure.id"), nullable=False
        ),
        sa.Column("counter_id", sa.BigInteger, sa.ForeignKey("ticket_counter.id"), nullable=False),
        sa.PrimaryKeyConstraint("procedure_id", "counter_id", name="pk_ticket_procedure_counter"),
    )
    op.create_index(
        "ix_ticket_procedure_counter_counter_id", "ticket_procedure_counter", ["counter_id"]
    )


def _make_tickets() -> None:
    op.create_table(
        "ticket_sequence",
        sa.Column("scope", sa.String(32), nullable=False),
        sa.Column("business_day", sa.String(10), nullable=False),
        sa.Column("last_number", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("scope", "business_day", name="pk_ticket_sequence"),
    )
    op.create_table(
        "ticket",
        sa.Column("id", _big_id(), sa.Identity(), nullable=False),
        sa.Column("public_id", sa.String(32), nullable=False),
        sa.Column("branch_id", sa.BigInteger, sa.ForeignKey("ticket_branch.id"), nullable=False),
        sa.Column("counter_id", sa.BigInteger, sa.ForeignKey("ticket_counter.id"), nullable=False),
        sa.Column("procedure_id", sa.BigInteger, sa.ForeignKey("ticket_procedure.id")),
        sa.Column("sequence", sa.String(32), nullable=False),
        sa.Column("business_day", sa.String(10), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("priority", sa.String(16), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("is_parked", sa.Boolean, nullable=False),
        sa.Column("queued_at_ms", sa.BigInteger, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("updated_at_ms", sa.BigInteger, nullable=False),
        sa.Column("called_at_ms", sa.BigInteger),
        sa.Column("served_at_ms", sa.BigInteger),
        sa.Column("completed_at_ms", sa.BigInteger),
        sa.Column("service_s", sa.Integer),
        sa.Column("call_count", sa.Integer, nullable=False),
        sa.Column("notes", sa.Text),
        sa.Column("completion_reason", sa.String(32)),
        sa.Column("updated_by", sa.BigInteger),
        sa.Column("updated_by_username", sa.String(64)),
        sa.Column("updated_by_full_name", sa.String(255)),
        sa.Column("estimated_min", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_ticket"),
        sa.UniqueConstraint("public_id", name="uq_ticket_public_id"),
        sa.UniqueConstraint(
            "sequence", "business_day", "number", name="uq_ticket_sequence_business_day_number"
        ),
        sqlite_autoincrement=True,
    )
    is_open = sa.text("completed_at_ms IS NULL")
    op.create_index(
        "ix_ticket_open",
        "ticket",
        ["counter_id"],
        postgresql_where=is_open,
        sqlite_where=is_open,
    )
    op.create_index(
        "ix_ticket_counter_id_business_day_status",
        "ticket",
        ["counter_id", "business_day", "status"],
    )
    op.create_index("ix_ticket_created_at_ms", "ticket", ["created_at_ms"])
