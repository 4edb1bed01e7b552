"""HTTP tests of `/api/v1/orders/{order_id}/cancel`, of the filter by status, and of the summary."""

from typing import Any

import httpx2
import pytest

from app.core.testing import Headers, Rows, SignIn, UserFactory, assert_problem, pointers
from tests.orders.helpers import place_order
from tests.products.helpers import make_product, stock_of


@pytest.fixture
async def user(user_factory: UserFactory, sign_in: SignIn) -> Headers:
    return sign_in(await user_factory())


@pytest.fixture
async def teapot(async_client: httpx2.AsyncClient, admin: Headers) -> int:
    return await make_product(async_client, admin)


async def cancel(client: httpx2.AsyncClient, headers: Headers, order: dict[str, Any]) -> httpx2.Response:
    return await client.post(f"/api/v1/orders/{order['id']}/cancel", headers=headers)


async def test_cancelled_order_restores_stock_once(
    async_client: httpx2.AsyncClient, admin: Headers, user: Headers, teapot: int
) -> None:
    cup = await make_product(async_client, admin, name="Cup")
    order = (await place_order(async_client, user, (cup, 2), (teapot, 5))).json()
    response = await cancel(async_client, user, order)
    cancelled = response.json()
    assert (response.status_code, cancelled["status"]) == (200, "cancelled")
    assert cancelled == order | {"status": "cancelled", "cancelled_at": cancelled["cancelled_at"]}
    assert (await stock_of(async_client, teapot), await stock_of(async_client, cup)) == (5, 5)
    problem = assert_problem(await cancel(async_client, user, order), 409)
    assert problem["type"] == "urn:problem-type:order-closed"
    assert await stock_of(async_client, teapot) == 5
    assert (await async_client.get(f"/api/v1/orders/{order['id']}", headers=user)).json() == cancelled


async def test_paid_order_cannot_be_cancelled(
    async_client: httpx2.AsyncClient, user: Headers, teapot: int, rows: Rows
) -> None:
    order = (await place_order(async_client, user, (teapot, 1))).json()
    await rows("UPDATE orders SET paid_at = now() RETURNING id")
    assert_problem(await cancel(async_client, user, order), 409)
    assert await stock_of(async_client, teapot) == 4


async def test_order_of_another_user_cannot_be_cancelled(
    async_client: httpx2.AsyncClient, user: Headers, user_factory: UserFactory, sign_in: SignIn, teapot: int
) -> None:
    order = (await place_order(async_client, user, (teapot, 1))).json()
    assert_problem(await cancel(async_client, sign_in(await user_factory()), order), 404)
    assert_problem(await cancel(async_client, user, {"id": 2**53 - 1}), 404)
    assert_problem(await cancel(async_client, {}, order), 401)
    assert await stock_of(async_client, teapot) == 4


async def test_admin_may_cancel(async_client: httpx2.AsyncClient, user: Headers, admin: Headers, teapot: int) -> None:
    order = (await place_order(async_client, user, (teapot, 1))).json()
    assert (await cancel(async_client, admin, order)).json()["user_id"] == order["user_id"]


async def test_restored_stock_stays_in_range(
    async_client: httpx2.AsyncClient, user: Headers, admin: Headers, teapot: int
) -> None:
    order = (await place_order(async_client, user, (teapot, 2))).json()
    await async_client.patch(f"/api/v1/products/{teapot}", json={"stock": 2**31 - 1}, headers=admin)
    assert (await cancel(async_client, user, order)).status_code == 200
    assert await stock_of(async_client, teapot) == 2**31 - 1


async def test_orders_are_filtered_by_status(
    async_client: httpx2.AsyncClient, user: Headers, teapot: int, rows: Rows
) -> None:
    placed, paid, cancelled = [(await place_order(async_client, user, (teapot, 1))).json()["id"] for _ in range(3)]
    await rows(f"UPDATE orders SET paid_at = now() WHERE id = {paid} RETURNING id")
    await cancel(async_client, user, {"id": cancelled})
    for status, expected in (("placed", placed), ("paid", paid), ("cancelled", cancelled)):
        page = (await async_client.get("/api/v1/orders", params={"status": status}, headers=user)).json()
        assert [(order["id"], order["status"]) for order in page["items"]] == [(expected, status)]
    page = (await async_client.get("/api/v1/orders", params={"sort": "id"}, headers=user)).json()
    assert [order["id"] for order in page["items"]] == [placed, paid, cancelled]


class TestSummary:
    URL = "/api/v1/orders/summary"

    async def test_orders_are_summed_by_day_and_product(
        self, async_client: httpx2.AsyncClient, user: Headers, admin: Headers, teapot: int, rows: Rows
    ) -> None:
        cup = await make_product(async_client, admin, name="Cup", price="0.10", stock=100)
        first = (await place_order(async_client, user, (teapot, 1), (cup, 3))).json()
        await place_order(async_client, admin, (teapot, 2))
        await cancel(async_client, user, (await place_order(async_client, user, (cup, 50))).json())
        await async_client.patch(f"/api/v1/products/{cup}", json={"price": "9"}, headers=admin)
        await rows("UPDATE orders SET created_at = '2026-02-01T00:30:00+01:00' RETURNING id")
        await rows(f"UPDATE orders SET created_at = '2026-01-30' WHERE id = {first['id']} RETURNING id")
        page = (await async_client.get(self.URL, params={"sort": "day,-quantity"}, headers=admin)).json()
        pot = {"product_id": teapot, "name": "Teapot", "orders": 1}
        mug = {"product_id": cup, "name": "Cup", "orders": 1}
        assert page["items"] == [
            mug | {"day": "2026-01-30", "quantity": 3, "revenue": "0.30"},
            pot | {"day": "2026-01-30", "quantity": 1, "revenue": "19.90"},
            pot | {"day": "2026-01-31", "quantity": 2, "revenue": "39.80"},
        ]
        assert page["total"] == 3
        query: dict[str, Any] = {"start_date": "2026-01-31", "size": 1}
        page = (await async_client.get(self.URL, params=query, headers=admin)).json()
        assert ([line["day"] for line in page["items"]], page["total"]) == (["2026-01-31"], 1)

    async def test_orders_of_one_day_are_one_line(
        self, async_client: httpx2.AsyncClient, user: Headers, admin: Headers, teapot: int
    ) -> None:
        for _ in range(2):
            await place_order(async_client, user, (teapot, 2))
        [line] = (await async_client.get(self.URL, headers=admin)).json()["items"]
        assert (line["orders"], line["quantity"], line["revenue"]) == (2, 4, "79.60")

    @pytest.mark.parametrize(("query", "pointer"), [({"sort": "name"}, "/query/sort"), ({"q": "a"}, "/query/q")])
    async def test_unknown_field_is_422(
        self, async_client: httpx2.AsyncClient, admin: Headers, query: dict[str, str], pointer: str
    ) -> None:
        assert pointers(await async_client.get(self.URL, params=query, headers=admin)) == {pointer}

    async def test_summary_without_admin_scope_is_403(self, async_client: httpx2.AsyncClient, user: Headers) -> None:
        assert_problem(await async_client.get(self.URL, headers=user), 403)
