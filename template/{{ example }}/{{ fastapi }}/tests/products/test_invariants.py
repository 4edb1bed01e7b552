from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

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
    db_session: AsyncSession, changes: dict[str, Any], constraint: str
) -> None:
    db_session.add(Product(**{"name": "Cup", "price": 1, "stock": 1} | changes))
    with pytest.raises(IntegrityError, match=f'"{constraint}"'):
        await db_session.flush()


async def test_search_uses_its_index(db_session: AsyncSession) -> None:
    await db_session.execute(text("SET LOCAL enable_seqscan = off"))
    plan = await db_session.scalars(text("EXPLAIN SELECT id FROM products WHERE words @@ CAST('''a'':*' AS tsquery)"))
    assert "ix_products_words" in "\n".join(plan)


@pytest.mark.parametrize("name", ["  two  blanks ", "\t", "%%%", "\\'\\", "x" * 200, "😀" * 200])
async def test_every_name_can_be_indexed(db_session: AsyncSession, name: str) -> None:
    db_session.add(Product(name=name, price=1, stock=0))
    await db_session.flush()
