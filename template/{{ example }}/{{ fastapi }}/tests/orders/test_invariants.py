from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import Base
from app.core.testing import UserFactory
from app.orders.models import Order, OrderItem
from app.products.models import Product

NOW = datetime(2026, 1, 31, tzinfo=UTC)


@pytest.fixture
async def keys(db_session: AsyncSession, user_factory: UserFactory) -> dict[str, int]:
    product = Product(name="Teapot", price=1, stock=1)
    order = Order(user_id=(await user_factory()).id)
    db_session.add_all([product, order])
    await db_session.commit()
    db_session.add(OrderItem(order_id=order.id, product_id=product.id, quantity=1, unit_price=1))
    await db_session.commit()
    return {"product_id": product.id, "order_id": order.id, "user_id": order.user_id}


@pytest.mark.parametrize(
    ("model", "changes", "constraint"),
    [
        (Order, {"user_id": -1}, "fk_orders_user_id"),
        (Order, {"paid_at": NOW, "cancelled_at": NOW}, "ck_orders_paid_or_cancelled"),
        (OrderItem, {}, "pk_order_items"),
        (OrderItem, {"product_id": -1}, "fk_order_items_product_id"),
        (OrderItem, {"order_id": -1}, "fk_order_items_order_id"),
        (OrderItem, {"quantity": 0}, "ck_order_items_quantity_is_positive"),
        (OrderItem, {"unit_price": 0}, "ck_order_items_unit_price_is_positive"),
    ],
)
async def test_constraint_refuses_invalid_row(
    db_session: AsyncSession, keys: dict[str, int], model: type[Base], changes: dict[str, Any], constraint: str
) -> None:
    defaults: dict[type[Base], dict[str, Any]] = {
        Order: {"user_id": keys["user_id"]},
        OrderItem: {"order_id": keys["order_id"], "product_id": keys["product_id"], "quantity": 1, "unit_price": 1},
    }
    db_session.add(model(**defaults[model] | changes))
    with pytest.raises(IntegrityError, match=f'"{constraint}"'):
        await db_session.flush()


async def test_delete_cascades_to_lines_not_products(db_session: AsyncSession, keys: dict[str, int]) -> None:
    with pytest.raises(IntegrityError, match='"fk_order_items_product_id"'):
        async with db_session.begin_nested():
            await db_session.execute(text("DELETE FROM products"))
    await db_session.execute(text("DELETE FROM orders"))
    assert await db_session.scalar(text("SELECT count(*) FROM order_items")) == 0


def test_line_key_is_order_and_product() -> None:
    assert [column.name for column in inspect(OrderItem).primary_key] == ["order_id", "product_id"]
