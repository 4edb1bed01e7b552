"""Table of deleted users: their access tokens end.

Revision ID: core_accounts_0005_deleted_users
Revises: core_accounts_0004_verification
"""

import sqlalchemy as sa
from alembic import op

revision = "core_accounts_0005_deleted_users"
down_revision = "core_accounts_0004_verification"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "deleted_users",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deleted_users")),
    )
    op.create_index(op.f("ix_deleted_users_deleted_at"), "deleted_users", ["deleted_at"])


def downgrade() -> None:
    op.drop_table("deleted_users")
