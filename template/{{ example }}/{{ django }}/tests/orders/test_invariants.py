from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import IntegrityError, connection, transaction
from django.db.models import Model, ProtectedError

from app.core.testing import UserFactory
from app.orders.models import Order, OrderItem
from app.products.models import Product

NOW = datetime(2026, 1, 31, tzinfo=UTC)


@pytest.fixture
async def keys(user_factory: UserFactory) -> dict[str, int]:
    user = await user_factory()

    @sync_to_async
    def create() -> dict[str, int]:
        product = Product.objects.create(name="Teapot", price=1, stock=1)
        order = Order.objects.create(user_id=user.id)
        OrderItem.objects.create(order=order, product=product, quantity=1, unit_price=1)
        return {"product_id": product.id, "order_id": order.id, "user_id": user.id}

    return await create()


def in_savepoint(function: Callable[[], Any]) -> None:
    """Call `function`, then check every constraint, including deferred constraints."""
    with transaction.atomic():
        function()
        connection.check_constraints()


@pytest.mark.parametrize(
    ("model", "changes", "constraint"),
    [
        (Order, {"user_id": -1}, r"orders_user_id_\w+_fk_users_id"),
        (Order, {"paid_at": NOW, "cancelled_at": NOW}, "ck_orders_paid_or_cancelled"),
        (OrderItem, {}, "order_items_pkey"),
        (OrderItem, {"product_id": -1}, r"order_items_product_id_\w+"),
        (OrderItem, {"order_id": -1}, r"order_items_order_id_\w+"),
        (OrderItem, {"quantity": 0}, "ck_order_items_quantity_is_positive"),
        (OrderItem, {"unit_price": 0}, "ck_order_items_unit_price_is_positive"),
    ],
)
async def test_constraint_refuses_invalid_row(
    keys: dict[str, int], model: type[Model], changes: dict[str, Any], constraint: str
) -> None:
    defaults: dict[type[Model], dict[str, Any]] = {
        Order: {"user_id": keys["user_id"]},
        OrderItem: {"order_id": keys["order_id"], "product_id": keys["product_id"], "quantity": 1, "unit_price": 1},
    }
    row = model(**defaults[model] | changes)
    with pytest.raises(IntegrityError, match=f'"{constraint}"'):
        await sync_to_async(in_savepoint)(lambda: row.save(force_insert=True))


async def test_delete_cascades_to_lines_not_products(keys: dict[str, int]) -> None:
    @sync_to_async
    def delete() -> int:
        with pytest.raises(ProtectedError):
            Product.objects.all().delete()
        Order.objects.all().delete()
        return OrderItem.objects.count()

    assert await delete() == 0


def test_line_key_is_order_and_product() -> None:
    assert [field.attname for field in OrderItem._meta.pk_fields] == ["order_id", "product_id"]
