"""Let SQLite look for parts of texts in indexes, which are read instead of the table."""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        return
    for column in (
        "sender_folded",
        "recipients_folded",
        "subject_folded",
        "last_error_folded",
        "source_folded",
    ):
        op.create_index(
            f"ix_mail_message_{column}_host_message_id",
            "mail_message",
            [column, "host", "message_id"],
        )
