"""The sales of each day.

Revision ID: sales_0001_initial
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = "sales_0001_initial"
down_revision = None
branch_labels = ("sales",)
depends_on = None


def upgrade() -> None:
    op.create_table(
        "daily_sales",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("orders", sa.BigInteger(), nullable=False),
        sa.Column("paid", sa.BigInteger(), nullable=False),
        sa.Column("returned", sa.BigInteger(), nullable=False),
        sa.Column("revenue", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "0 <= returned AND returned <= paid AND paid <= orders", name=op.f("ck_daily_sales_counts_fit")
        ),
        sa.CheckConstraint("revenue >= 0", name=op.f("ck_daily_sales_revenue_is_not_negative")),
        sa.PrimaryKeyConstraint("day", "channel", name=op.f("pk_daily_sales")),
    )


def downgrade() -> None:
    op.drop_table("daily_sales")
