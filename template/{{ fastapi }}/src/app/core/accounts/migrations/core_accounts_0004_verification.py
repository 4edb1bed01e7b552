"""Registrations that wait for the verification of their address.

Revision ID: core_accounts_0004_verification
Revises: core_accounts_0003_email_tokens
"""

import sqlalchemy as sa
from alembic import op

revision = "core_accounts_0004_verification"
down_revision = "core_accounts_0003_email_tokens"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("email_tokens", sa.Column("name", sa.Text(), nullable=True))
    op.add_column("email_tokens", sa.Column("password", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("email_tokens", "password")
    op.drop_column("email_tokens", "name")
