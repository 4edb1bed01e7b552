"""Invitations.

Revision ID: core_accounts_0007_invitations
Revises: core_accounts_0006_api_keys
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "core_accounts_0007_invitations"
down_revision = "core_accounts_0006_api_keys"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "invitations",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("roles", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("char_length(digest) = 64", name=op.f("ck_invitations_digest_is_sha256")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invitations")),
        sa.UniqueConstraint("digest", name=op.f("uq_invitations_digest")),
    )
    op.create_index(op.f("ix_invitations_expires_at"), "invitations", ["expires_at"])
    op.add_column("email_tokens", sa.Column("invitation_id", sa.BigInteger(), nullable=True))
    op.create_index(op.f("ix_email_tokens_invitation_id"), "email_tokens", ["invitation_id"])
    op.create_foreign_key(
        op.f("fk_email_tokens_invitation_id"),
        "email_tokens",
        "invitations",
        ["invitation_id"],
        ["id"],
        ondelete="CASCADE",
    )


def downgrade() -> None:
    op.drop_column("email_tokens", "invitation_id")
    op.drop_table("invitations")
