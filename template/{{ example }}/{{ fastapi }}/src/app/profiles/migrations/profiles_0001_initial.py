"""Profiles.

Revision ID: profiles_0001_initial
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = "profiles_0001_initial"
down_revision = None
branch_labels = ("profiles",)
depends_on = "core_accounts_0001_initial"


def upgrade() -> None:
    op.create_table(
        "profiles",
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("locale", sa.Text(), nullable=True),
        sa.Column("time_zone", sa.Text(), nullable=True),
        sa.CheckConstraint("char_length(display_name) BETWEEN 1 AND 200", name=op.f("ck_profiles_display_name_length")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_profiles_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_profiles")),
    )


def downgrade() -> None:
    op.drop_table("profiles")
