"""Add people: users, sessions, keys, failed log-ins; the audit log; the keys of tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def _id() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    _add_people()
    op.create_table(
        "audit_entry",
        sa.Column("id", _id(), sa.Identity(), nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("actor_kind", sa.String(16), nullable=False),
        sa.Column("actor_id", sa.String(64)),
        sa.Column("actor_name", sa.String(255), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("target", sa.String(255), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("details", sa.Text, nullable=False),
        sa.Column("request_id", sa.String(64)),
        sa.PrimaryKeyConstraint("id", name="pk_audit_entry"),
        # A later entry has a larger id, also after the last one was deleted.
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_entry_at_ms", "audit_entry", ["at_ms"])
    op.create_index("ix_audit_entry_target_id", "audit_entry", ["target", "id"])
    op.create_table(
        "token_key",
        sa.Column("kid", sa.String(64), nullable=False),
        sa.Column("algorithm", sa.String(16), nullable=False),
        sa.Column("private_pem", sa.Text, nullable=False),
        sa.Column("public_jwk", sa.Text, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("signs_from_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("kid", name="pk_token_key"),
    )


def _add_people() -> None:
    op.create_table(
        "people_user",
        sa.Column("id", _id(), sa.Identity(), nullable=False),
        sa.Column("username", sa.String(64), nullable=False),
        sa.Column("full_name", sa.String(255), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("counter_id", sa.BigInteger),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("disabled_at_ms", sa.BigInteger),
        sa.Column("last_login_at_ms", sa.BigInteger),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("updated_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_people_user"),
        sa.UniqueConstraint("username", name="uq_people_user_username"),
        # An id in the audit log never comes to mean somebody else.
        sqlite_autoincrement=True,
    )
    op.create_table(
        "people_session",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_people_session"),
        sa.ForeignKeyConstraint(["user_id"], ["people_user.id"], ondelete="CASCADE"),
    )
    op.create_index("ix_people_session_user_id", "people_session", ["user_id"])
    op.create_index("ix_people_session_expires_at_ms", "people_session", ["expires_at_ms"])
    op.create_table(
        "people_key",
        sa.Column("id", _id(), sa.Identity(), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("scope", sa.String(16), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_people_key"),
        sa.UniqueConstraint("name", name="uq_people_key_name"),
        sa.UniqueConstraint("digest", name="uq_people_key_digest"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "people_failure",
        sa.Column("subject", sa.String(128), nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("last_at_ms", sa.BigInteger, nullable=False),
        sa.Column("locked_until_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("subject", name="pk_people_failure"),
    )
