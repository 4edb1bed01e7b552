"""Products, orders and the payment provider's events.

Revision ID: 0001_example
Revises:
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001_example"
down_revision = None
branch_labels = ("example",)
depends_on = "0001_users"

WORDS = r"""array_to_tsvector(array_remove(
    (regexp_split_to_array(lower(name), '\s+'::text)
     || regexp_split_to_array(lower(name), '[^[:alnum:]]+'::text))
    || regexp_split_to_array(lower(name), '[[:alnum:][:space:]]+'::text), ''::text))"""


def upgrade() -> None:
    op.create_table(
        "products",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("price", sa.Numeric(12, 2), nullable=False),
        sa.Column("stock", sa.Integer(), nullable=False),
        sa.Column("words", postgresql.TSVECTOR(), sa.Computed(WORDS, persisted=True), nullable=False),
        sa.CheckConstraint("char_length(name) BETWEEN 1 AND 200", name=op.f("ck_products_name_length")),
        sa.CheckConstraint("price > 0", name=op.f("ck_products_price_is_positive")),
        sa.CheckConstraint("stock >= 0", name=op.f("ck_products_stock_is_not_negative")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_products")),
    )
    op.create_index(op.f("ix_products_words"), "products", ["words"], postgresql_using="gin")
    op.create_table(
        "orders",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "char_length(idempotency_key) BETWEEN 1 AND 255", name=op.f("ck_orders_idempotency_key_length")
        ),
        sa.CheckConstraint("char_length(fingerprint) = 64", name=op.f("ck_orders_fingerprint_is_sha256")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_orders_user_id"), ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
        sa.UniqueConstraint("user_id", "idempotency_key", name=op.f("uq_orders_user_id_idempotency_key")),
    )
    op.create_index(op.f("ix_orders_user_id_created_at_id"), "orders", ["user_id", "created_at", "id"])
    op.create_table(
        "order_items",
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("product_id", sa.BigInteger(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("unit_price", sa.Numeric(12, 2), nullable=False),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_order_items_quantity_is_positive")),
        sa.CheckConstraint("unit_price > 0", name=op.f("ck_order_items_unit_price_is_positive")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_order_items_order_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["product_id"], ["products.id"], name=op.f("fk_order_items_product_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("order_id", "product_id", name=op.f("pk_order_items")),
    )
    op.create_index(op.f("ix_order_items_product_id"), "order_items", ["product_id"])
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
    op.drop_table("order_items")
    op.drop_table("orders")
    op.drop_table("products")
