from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import IntegrityError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from app.products.models import Product


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"name": ""}, "ck_products_name_length"),
        ({"name": "x" * 201}, "ck_products_name_length"),
        ({"price": 0}, "ck_products_price_is_positive"),
        ({"stock": -1}, "ck_products_stock_is_not_negative"),
    ],
)
async def test_constraint_refuses_invalid_row(
    db_session: BaseDatabaseWrapper, changes: dict[str, Any], constraint: str
) -> None:
    row = Product(**{"name": "Cup", "price": 1, "stock": 1} | changes)
    with pytest.raises(IntegrityError, match=f'"{constraint}"'):
        await sync_to_async(transaction.atomic(row.save))(force_insert=True)


async def test_search_uses_its_index(db_session: BaseDatabaseWrapper) -> None:
    @sync_to_async
    def plan() -> str:
        with db_session.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("EXPLAIN SELECT id FROM products WHERE words @@ CAST('''a'':*' AS tsquery)")
            return str(cursor.fetchall())

    assert "ix_products_words" in await plan()


@pytest.mark.parametrize("name", ["  two  blanks ", "\t", "%%%", "\\'\\", "x" * 200, "😀" * 200])
async def test_every_name_can_be_indexed(db_session: BaseDatabaseWrapper, name: str) -> None:
    await sync_to_async(Product.objects.create)(name=name, price=1, stock=0)
