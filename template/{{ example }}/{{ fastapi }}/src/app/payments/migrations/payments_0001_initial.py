"""The payment provider's events.

Revision ID: payments_0001_initial
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = "payments_0001_initial"
down_revision = None
branch_labels = ("payments",)
depends_on = "orders_0001_initial"


def upgrade() -> None:
    op.create_table(
        "payment_events",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("data", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.CheckConstraint("char_length(id) BETWEEN 1 AND 255", name=op.f("ck_payment_events_id_length")),
        sa.CheckConstraint("char_length(status) BETWEEN 1 AND 200", name=op.f("ck_payment_events_status_length")),
        sa.CheckConstraint("char_length(data) BETWEEN 1 AND 200", name=op.f("ck_payment_events_data_length")),
        sa.CheckConstraint("char_length(message) BETWEEN 1 AND 200", name=op.f("ck_payment_events_message_length")),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("fk_payment_events_order_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment_events")),
    )
    op.create_index(op.f("ix_payment_events_order_id"), "payment_events", ["order_id"])


def downgrade() -> None:
    op.drop_table("payment_events")
