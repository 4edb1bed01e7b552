"""HTTP tests of `/api/v1/orders`."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from app.core.testing import Accounts, Headers, SignIn, UserFactory, assert_problem, pointers
from tests.orders.helpers import place_order
from tests.products.helpers import make_product, stock_of


@pytest.fixture
async def user(user_factory: UserFactory, sign_in: SignIn) -> Headers:
    return sign_in(await user_factory())


@pytest.fixture
async def teapot(async_client: httpx2.AsyncClient, admin: Headers) -> int:
    return await make_product(async_client, admin)


class TestPlace:
    async def test_order_has_lines_and_total(
        self, async_client: httpx2.AsyncClient, admin: Headers, user_factory: UserFactory, sign_in: SignIn, teapot: int
    ) -> None:
        cup = await make_product(async_client, admin, name="Cup", price="0.1", stock=100)
        ada = await user_factory()
        response = await place_order(async_client, sign_in(ada), (cup, 3), (teapot, 2))
        assert response.status_code == 201
        order = response.json()
        assert order == {
            "id": order["id"],
            "user_id": ada.id,
            "created_at": order["created_at"],
            "paid_at": None,
            "cancelled_at": None,
            "status": "placed",
            "lines": [
                {"product_id": teapot, "quantity": 2, "unit_price": "19.90"},
                {"product_id": cup, "quantity": 3, "unit_price": "0.10"},
            ],
            "total": "40.10",
        }
        assert order["created_at"].endswith("Z")
        assert response.headers["location"] == f"/api/v1/orders/{order['id']}"
        assert (await async_client.get(f"/api/v1/orders/{order['id']}", headers=sign_in(ada))).json() == order
        assert (await stock_of(async_client, teapot), await stock_of(async_client, cup)) == (3, 97)

    async def test_huge_order_total_is_exact(
        self, async_client: httpx2.AsyncClient, admin: Headers, user: Headers
    ) -> None:
        most = {"price": "9999999999.99", "stock": 2**31 - 1}
        lines = [(await make_product(async_client, admin, **most), 2**31 - 1) for _ in range(3)]
        response = await place_order(async_client, user, *lines)
        assert response.json()["total"] == "64424509409935575490.59"

    async def test_order_beyond_stock_is_409(
        self, async_client: httpx2.AsyncClient, user: Headers, teapot: int
    ) -> None:
        assert (await place_order(async_client, user, (teapot, 5))).status_code == 201
        problem = assert_problem(await place_order(async_client, user, (teapot, 1)), 409)
        assert problem["type"] == "urn:problem-type:out-of-stock"
        assert str(teapot) in problem["detail"]
        assert await stock_of(async_client, teapot) == 0

    @pytest.mark.parametrize("status", [404, 409])
    async def test_failed_line_rolls_back_the_order(
        self, async_client: httpx2.AsyncClient, admin: Headers, user: Headers, teapot: int, status: int
    ) -> None:
        product_id = 2**53 - 1 if status == 404 else await make_product(async_client, admin, stock=1)
        problem = assert_problem(await place_order(async_client, user, (teapot, 2), (product_id, 2)), status)
        assert str(product_id) in problem["detail"]
        assert await stock_of(async_client, teapot) == 5
        assert (await async_client.get("/api/v1/orders", headers=user)).json()["total"] == 0

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({"lines": []}, "/body/lines"),
            ({"lines": [{"product_id": n, "quantity": 1} for n in range(1, 102)]}, "/body/lines"),
            ({"lines": [{"product_id": 1, "quantity": 1}, {"product_id": 1, "quantity": 2}]}, "/body"),
            ({"lines": [{"product_id": 1, "quantity": 0}]}, "/body/lines/0/quantity"),
            ({"lines": [{"product_id": 1, "quantity": False}]}, "/body/lines/0/quantity"),
            ({"lines": [{"product_id": 1, "quantity": 2**31}]}, "/body/lines/0/quantity"),
            ({"lines": [{"product_id": True, "quantity": 1}]}, "/body/lines/0/product_id"),
            ({"lines": [{"product_id": "1", "quantity": 1}]}, "/body/lines/0/product_id"),
            ({"lines": [{"product_id": 2**53, "quantity": 1}]}, "/body/lines/0/product_id"),
            ({"lines": [{"product_id": 1, "quantity": 1, "unit_price": "0.01"}]}, "/body/lines/0/unit_price"),
            ({"lines": [{"product_id": 1, "quantity": 1}], "user_id": 1}, "/body/user_id"),
            ({}, "/body/lines"),
        ],
    )
    async def test_invalid_field_is_422(
        self, async_client: httpx2.AsyncClient, user: Headers, body: dict[str, Any], pointer: str
    ) -> None:
        assert pointers(await async_client.post("/api/v1/orders", json=body, headers=user)) == {pointer}

    @pytest.mark.parametrize(
        ("method", "path"), [("POST", "/api/v1/orders"), ("GET", "/api/v1/orders"), ("GET", "/api/v1/orders/1")]
    )
    async def test_missing_token_is_401(self, async_client: httpx2.AsyncClient, method: str, path: str) -> None:
        assert_problem(await async_client.request(method, path, json={} if method == "POST" else None), 401)

    async def test_order_of_deleted_user_is_401(
        self, async_client: httpx2.AsyncClient, user_factory: UserFactory, sign_in: SignIn, teapot: int
    ) -> None:
        user = await user_factory()
        user.id += 1_000_000
        assert_problem(await place_order(async_client, sign_in(user), (teapot, 1)), 401)
        assert await stock_of(async_client, teapot) == 5

    async def test_ordered_product_is_archived_not_deleted(
        self, async_client: httpx2.AsyncClient, user: Headers, admin: Headers, teapot: int
    ) -> None:
        order = (await place_order(async_client, user, (teapot, 1))).json()
        assert (await async_client.delete(f"/api/v1/products/{teapot}", headers=admin)).status_code == 204
        for method in ("GET", "PATCH", "DELETE"):
            body: Headers | None = {} if method == "PATCH" else None
            path = f"/api/v1/products/{teapot}"
            assert_problem(await async_client.request(method, path, json=body, headers=admin), 404)
        assert (await async_client.get("/api/v1/products")).json()["items"] == []
        assert_problem(await place_order(async_client, user, (teapot, 1)), 404)
        assert (await async_client.get(f"/api/v1/orders/{order['id']}", headers=user)).json() == order


class TestIdempotency:
    async def test_repeated_request_places_one_order(
        self, async_client: httpx2.AsyncClient, user: Headers, teapot: int
    ) -> None:
        first = await place_order(async_client, user, (teapot, 5), key="k 1")
        # Out of stock, but the repeated request returns the first order.
        again = await place_order(async_client, user, (teapot, 5), key="k 1")
        assert (again.status_code, again.json()) == (201, first.json())
        assert again.headers["location"] == first.headers["location"]
        assert await stock_of(async_client, teapot) == 0
        assert (await async_client.get("/api/v1/orders", headers=user)).json()["total"] == 1

    async def test_idempotency_ignores_json_formatting(
        self, async_client: httpx2.AsyncClient, user: Headers, teapot: int
    ) -> None:
        first = await place_order(async_client, user, (teapot, 1), key="k")
        body = json.dumps({"lines": [{"quantity": 1, "product_id": teapot}]}, indent=3)
        headers = user | {"Idempotency-Key": "k", "Content-Type": "application/json"}
        assert (await async_client.post("/api/v1/orders", content=body, headers=headers)).json() == first.json()

    async def test_idempotency_key_reuse_is_422(
        self, async_client: httpx2.AsyncClient, user: Headers, teapot: int
    ) -> None:
        await place_order(async_client, user, (teapot, 1), key="k")
        problem = assert_problem(await place_order(async_client, user, (teapot, 2), key="k"), 422)
        assert problem["type"] == "urn:problem-type:idempotency-key-reused"
        assert await stock_of(async_client, teapot) == 4

    async def test_refused_order_releases_idempotency_key(
        self, async_client: httpx2.AsyncClient, user: Headers, teapot: int
    ) -> None:
        assert_problem(await place_order(async_client, user, (teapot, 6), key="k"), 409)
        assert (await place_order(async_client, user, (teapot, 5), key="k")).status_code == 201

    async def test_idempotency_keys_are_per_user(
        self, async_client: httpx2.AsyncClient, user_factory: UserFactory, sign_in: SignIn, teapot: int
    ) -> None:
        orders = [
            (await place_order(async_client, sign_in(await user_factory()), (teapot, 1), key="k")).json()
            for _ in range(2)
        ]
        assert orders[0]["id"] != orders[1]["id"]
        assert await stock_of(async_client, teapot) == 3

    async def test_each_request_without_key_places_an_order(
        self, async_client: httpx2.AsyncClient, user: Headers, teapot: int
    ) -> None:
        first, second = [(await place_order(async_client, user, (teapot, 1))).json() for _ in range(2)]
        assert first["id"] != second["id"]

    @pytest.mark.parametrize("key", ["a", "~" * 255, "a b", '"8e03978e-40d5-43dd-bc93-6894a57f9324"'])
    async def test_valid_idempotency_key_is_accepted(
        self, async_client: httpx2.AsyncClient, user: Headers, teapot: int, key: str
    ) -> None:
        assert (await place_order(async_client, user, (teapot, 1), key=key)).status_code == 201

    @pytest.mark.parametrize("key", [b"", b"x" * 256, b"a\tb", "é".encode(), b"a\xff"])
    async def test_invalid_idempotency_key_is_422(
        self, async_client: httpx2.AsyncClient, user: Headers, teapot: int, key: bytes
    ) -> None:
        headers = {name.encode(): value.encode() for name, value in user.items()} | {b"Idempotency-Key": key}
        body = {"lines": [{"product_id": teapot, "quantity": 1}]}
        response = await async_client.post("/api/v1/orders", json=body, headers=headers)
        assert pointers(response) == {"/header/Idempotency-Key"}


class TestRead:
    async def test_order_of_another_user_is_404(
        self, async_client: httpx2.AsyncClient, user_factory: UserFactory, sign_in: SignIn, admin: Headers, teapot: int
    ) -> None:
        ada, grace = sign_in(await user_factory()), sign_in(await user_factory())
        order = (await place_order(async_client, ada, (teapot, 1))).json()
        path = f"/api/v1/orders/{order['id']}"
        existing = assert_problem(await async_client.get(path, headers=grace), 404)
        missing = assert_problem(await async_client.get(f"/api/v1/orders/{2**53 - 1}", headers=grace), 404)
        assert existing["detail"] == missing["detail"]
        assert (await async_client.get(path, headers=admin)).json() == order
        assert (await async_client.get("/api/v1/orders", headers=grace)).json()["items"] == []
        assert (await async_client.get("/api/v1/orders", headers=admin)).json()["items"] == []

    async def test_orders_are_listed_newest_first_with_lines(
        self, async_client: httpx2.AsyncClient, user: Headers, teapot: int
    ) -> None:
        placed = [(await place_order(async_client, user, (teapot, 1))).json() for _ in range(3)]
        first = (await async_client.get("/api/v1/orders", params={"size": 2}, headers=user)).json()
        assert first == {"items": [placed[2], placed[1]], "page": 1, "size": 2, "total": 3}
        second = (await async_client.get("/api/v1/orders", params={"size": 2, "page": 2}, headers=user)).json()
        assert second["items"] == [placed[0]]

    async def test_orders_are_filtered_by_date(
        self, async_client: httpx2.AsyncClient, user: Headers, teapot: int
    ) -> None:
        order = (await place_order(async_client, user, (teapot, 1))).json()
        placed = datetime.fromisoformat(order["created_at"]).astimezone(UTC).date()
        periods: list[tuple[dict[str, int], int]] = [
            ({}, 1),
            ({"start_date": 0}, 1),
            ({"end_date": 0}, 1),
            ({"start_date": 0, "end_date": 0}, 1),
            ({"start_date": -1, "end_date": 1}, 1),
            ({"start_date": 1}, 0),
            ({"end_date": -1}, 0),
            ({"start_date": 1, "end_date": 2}, 0),
        ]
        for days, found in periods:
            query = {name: str(placed + timedelta(number)) for name, number in days.items()}
            page = (await async_client.get("/api/v1/orders", params=query, headers=user)).json()
            assert (len(page["items"]), page["total"]) == (found, found), query

    async def test_widest_date_range_is_accepted(
        self, async_client: httpx2.AsyncClient, user: Headers, teapot: int
    ) -> None:
        await place_order(async_client, user, (teapot, 1))
        query = {"start_date": "0001-01-01", "end_date": "9999-12-31"}
        assert (await async_client.get("/api/v1/orders", params=query, headers=user)).json()["total"] == 1

    @pytest.mark.parametrize(
        ("query", "pointer"),
        [
            ({"start_date": "2026-01-02", "end_date": "2026-01-01"}, "/query"),
            ({"start_date": "2026-02-30"}, "/query/start_date"),
            ({"end_date": "yesterday"}, "/query/end_date"),
            ({"start_date": "0"}, "/query/start_date"),
            ({"end_date": ""}, "/query/end_date"),
            ({"page": "two"}, "/query/page"),
            ({"status": "lost"}, "/query/status"),
            ({"sort": "total"}, "/query/sort"),
            ({"user_id": "1"}, "/query/user_id"),
        ],
    )
    async def test_invalid_date_range_is_422(
        self, async_client: httpx2.AsyncClient, user: Headers, query: dict[str, str], pointer: str
    ) -> None:
        assert pointers(await async_client.get("/api/v1/orders", params=query, headers=user)) == {pointer}


class TestPersonalData:
    async def test_orders_are_exported(
        self,
        async_client: httpx2.AsyncClient,
        user_factory: UserFactory,
        sign_in: SignIn,
        accounts: Accounts,
        teapot: int,
    ) -> None:
        ada = await user_factory()
        placed = (await place_order(async_client, sign_in(ada), (teapot, 1))).json()
        assert json.loads(json.dumps((await accounts.export(ada))["orders"])) == [placed]

    async def test_orders_of_an_erased_user_stay(
        self,
        async_client: httpx2.AsyncClient,
        user_factory: UserFactory,
        sign_in: SignIn,
        accounts: Accounts,
        teapot: int,
    ) -> None:
        ada = await user_factory()
        placed = (await place_order(async_client, sign_in(ada), (teapot, 1))).json()
        await accounts.erase(ada)
        order = await async_client.get(f"/api/v1/orders/{placed['id']}", headers=sign_in(ada))
        assert order.json() == placed
