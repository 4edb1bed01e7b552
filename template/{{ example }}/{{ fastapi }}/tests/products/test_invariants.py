"""What the database holds to, whoever writes to it."""

from typing import Any

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import Base
from app.orders.models import Order, OrderItem
from app.payments.models import Event
from app.products.models import Product
from support import UserFactory


@pytest.fixture
async def keys(db_session: AsyncSession, user_factory: UserFactory) -> dict[str, int]:
    product = Product(name="Teapot", price=1, stock=1)
    order = Order(user_id=(await user_factory()).id, fingerprint="0" * 64, idempotency_key="k")
    db_session.add_all([product, order])
    await db_session.commit()
    db_session.add(OrderItem(order_id=order.id, product_id=product.id, quantity=1, unit_price=1))
    db_session.add(Event(id="evt_1", order_id=order.id, status="ok"))
    await db_session.commit()
    return {"product_id": product.id, "order_id": order.id, "user_id": order.user_id}


@pytest.mark.parametrize(
    ("model", "changes", "constraint"),
    [
        (Product, {"name": ""}, "ck_products_name_length"),
        (Product, {"name": "x" * 201}, "ck_products_name_length"),
        (Product, {"price": 0}, "ck_products_price_is_positive"),
        (Product, {"stock": -1}, "ck_products_stock_is_not_negative"),
        (Order, {"user_id": -1}, "fk_orders_user_id"),
        (Order, {"idempotency_key": "k"}, "uq_orders_user_id_idempotency_key"),
        (Order, {"idempotency_key": ""}, "ck_orders_idempotency_key_length"),
        (Order, {"fingerprint": "0"}, "ck_orders_fingerprint_is_sha256"),
        (OrderItem, {}, "pk_order_items"),
        (OrderItem, {"product_id": -1}, "fk_order_items_product_id"),
        (OrderItem, {"order_id": -1}, "fk_order_items_order_id"),
        (OrderItem, {"quantity": 0}, "ck_order_items_quantity_is_positive"),
        (OrderItem, {"unit_price": 0}, "ck_order_items_unit_price_is_positive"),
        (Event, {"id": "evt_1"}, "pk_payment_events"),
        (Event, {"id": ""}, "ck_payment_events_id_length"),
        (Event, {"order_id": -1}, "fk_payment_events_order_id"),
        (Event, {"status": ""}, "ck_payment_events_status_length"),
        (Event, {"data": ""}, "ck_payment_events_data_length"),
        (Event, {"message": ""}, "ck_payment_events_message_length"),
    ],
)
async def test_the_database_refuses(
    db_session: AsyncSession, keys: dict[str, int], model: type[Base], changes: dict[str, Any], constraint: str
) -> None:
    defaults: dict[type[Base], dict[str, Any]] = {
        Product: {"name": "Cup", "price": 1, "stock": 1},
        Order: {"user_id": keys["user_id"], "fingerprint": "0" * 64},
        OrderItem: {"order_id": keys["order_id"], "product_id": keys["product_id"], "quantity": 1, "unit_price": 1},
        Event: {"id": "evt_2", "order_id": keys["order_id"], "status": "ok"},
    }
    db_session.add(model(**defaults[model] | changes))
    with pytest.raises(IntegrityError, match=f'"{constraint}"'):
        await db_session.flush()


async def test_lines_go_with_their_order_and_products_stay_while_ordered(
    db_session: AsyncSession, keys: dict[str, int]
) -> None:
    with pytest.raises(IntegrityError, match='"fk_order_items_product_id"'):
        async with db_session.begin_nested():
            await db_session.execute(text("DELETE FROM products"))
    await db_session.execute(text("DELETE FROM payment_events"))
    await db_session.execute(text("DELETE FROM orders"))
    assert await db_session.scalar(text("SELECT count(*) FROM order_items")) == 0


def test_a_line_is_known_by_its_order_and_product() -> None:
    assert [column.name for column in inspect(OrderItem).primary_key] == ["order_id", "product_id"]


async def test_search_uses_its_index(db_session: AsyncSession) -> None:
    await db_session.execute(text("SET LOCAL enable_seqscan = off"))
    plan = await db_session.scalars(text("EXPLAIN SELECT id FROM products WHERE words @@ CAST('''a'':*' AS tsquery)"))
    assert "ix_products_words" in "\n".join(plan)


@pytest.mark.parametrize("name", ["  two  blanks ", "\t", "%%%", "\\'\\", "x" * 200, "😀" * 200])
async def test_every_name_can_be_indexed(db_session: AsyncSession, name: str) -> None:
    db_session.add(Product(name=name, price=1, stock=0))
    await db_session.flush()
