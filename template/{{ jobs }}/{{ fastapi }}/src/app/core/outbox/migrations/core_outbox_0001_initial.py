"""Outgoing messages.

Revision ID: core_outbox_0001_initial
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = "core_outbox_0001_initial"
down_revision = None
branch_labels = ("core_outbox",)
depends_on = None


def upgrade() -> None:
    op.create_table(
        "outgoing_messages",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outgoing_messages")),
    )


def downgrade() -> None:
    op.drop_table("outgoing_messages")
