"""The catalogue.

Revision ID: products_0001_initial
Revises:
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "products_0001_initial"
down_revision = None
branch_labels = ("products",)
depends_on = None

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
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("words", postgresql.TSVECTOR(), sa.Computed(WORDS, persisted=True), nullable=False),
        sa.CheckConstraint("char_length(name) BETWEEN 1 AND 200", name=op.f("ck_products_name_length")),
        sa.CheckConstraint("price > 0", name=op.f("ck_products_price_is_positive")),
        sa.CheckConstraint("stock >= 0", name=op.f("ck_products_stock_is_not_negative")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_products")),
    )
    op.create_index(op.f("ix_products_words"), "products", ["words"], postgresql_using="gin")


def downgrade() -> None:
    op.drop_table("products")
