"""The catalogue in the administration."""

from decimal import Decimal

import httpx2

from administration import log_in, submit
from app.products.models import Product
from support import UserFactory


async def test_an_administrator_changes_a_price(async_client: httpx2.AsyncClient, user_factory: UserFactory) -> None:
    await user_factory(email="root@example.com", is_admin=True)
    product = await Product.objects.acreate(name="Teapot", price=Decimal("19.90"), stock=5)
    await log_in(async_client, "root@example.com")
    path = f"/admin/products/product/{product.pk}/change/"
    changed = await submit(async_client, path, name="Teapot", price="17.50", stock="5")
    assert changed.headers["location"] == "/admin/products/product/"
    assert (await Product.objects.aget()).price == Decimal("17.50")
