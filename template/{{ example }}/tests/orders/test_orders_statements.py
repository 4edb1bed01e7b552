"""The number of SQL statements of a request for orders."""

import httpx2
import pytest

from app.core.testing import Headers, SignIn, UserFactory
from tests.orders.helpers import place_order
from tests.products.helpers import make_product


@pytest.fixture
async def user(user_factory: UserFactory, sign_in: SignIn) -> Headers:
    return sign_in(await user_factory())


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 5])
async def test_statement_count_is_constant(
    async_client: httpx2.AsyncClient, admin: Headers, user: Headers, statements: list[str], number: int
) -> None:
    lines = [(await make_product(async_client, admin, stock=9), 1) for _ in range(number)]
    for _ in range(number):
        statements.clear()
        assert (await place_order(async_client, user, *lines)).status_code == 201
        assert len(statements) == 6, statements
    statements.clear()
    page = (await async_client.get("/api/v1/orders", headers=user)).json()
    assert [len(order["lines"]) for order in page["items"]] == [number] * number
    assert len(statements) == 3, statements


async def test_deletion_of_product_loads_no_lines(
    async_client: httpx2.AsyncClient, admin: Headers, user: Headers, statements: list[str]
) -> None:
    product_id = await make_product(async_client, admin)
    await place_order(async_client, user, (product_id, 1))
    statements.clear()
    assert (await async_client.delete(f"/api/v1/products/{product_id}", headers=admin)).status_code == 204
    assert statements
    assert [sql for sql in statements if "order_items" in sql and "LIMIT 1" not in sql] == []
