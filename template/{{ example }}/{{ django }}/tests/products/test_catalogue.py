from decimal import Decimal

import httpx2
import pytest

from app.core.testing import UserFactory
from app.products.models import Product
from tests.core.accounts.browser import log_in, submit

OPENED = {"initial-stock": "5"}
"""The stock when the form was opened, which the page sends as a hidden field."""


async def test_admin_changes_a_price(async_client: httpx2.AsyncClient, user_factory: UserFactory) -> None:
    await user_factory(email="root@example.com", is_superuser=True, is_staff=True)
    product = await Product.objects.acreate(name="Teapot", price=Decimal("19.90"), stock=5)
    await log_in(async_client, "root@example.com")
    path = f"/admin/products/product/{product.pk}/change/"
    changed = await submit(async_client, path, name="Teapot", price="17.50", stock="5", **OPENED)
    assert changed.headers["location"] == "/admin/products/product/"
    assert (await Product.objects.aget()).price == Decimal("17.50")


@pytest.mark.parametrize(("typed", "left"), [("5", 2), ("15", 12), ("1", 0)])
async def test_open_form_keeps_concurrent_sales(
    async_client: httpx2.AsyncClient, user_factory: UserFactory, typed: str, left: int
) -> None:
    await user_factory(email="root@example.com", is_superuser=True, is_staff=True)
    product = await Product.objects.acreate(name="Teapot", price=Decimal("19.90"), stock=2)
    await log_in(async_client, "root@example.com")
    path = f"/admin/products/product/{product.pk}/change/"
    changed = await submit(async_client, path, name="Kettle", price="19.90", stock=typed, **OPENED)
    assert changed.headers["location"] == "/admin/products/product/"
    await product.arefresh_from_db()
    assert (product.name, product.stock) == ("Kettle", left)


async def test_admin_adds_a_product(async_client: httpx2.AsyncClient, user_factory: UserFactory) -> None:
    await user_factory(email="root@example.com", is_superuser=True, is_staff=True)
    await log_in(async_client, "root@example.com")
    await submit(async_client, "/admin/products/product/add/", name="Teapot", price="19.90", stock="5", **OPENED)
    assert (await Product.objects.aget()).stock == 5
