"""HTTP tests of `/api/v1/products`."""

import json
from typing import Any

import httpx2
import pytest

from app.core.testing import Headers, SignIn, UserFactory, assert_problem, pointers
from tests.products.helpers import TEAPOT, make_product


async def test_product_is_created(async_client: httpx2.AsyncClient, admin: Headers) -> None:
    response = await async_client.post("/api/v1/products", json=TEAPOT, headers=admin)
    assert response.status_code == 201
    product = response.json()
    assert product == {"id": product["id"], "name": "Teapot", "price": "19.90", "stock": 5}
    assert response.headers["location"] == f"/api/v1/products/{product['id']}"
    found = await async_client.get(response.headers["location"])
    assert (found.status_code, found.json()) == (200, product)


@pytest.mark.parametrize(
    ("price", "given"),
    [("19.90", "19.90"), ("0.1", "0.10"), (19.9, "19.90"), (20, "20.00"), ("9999999999.99", "9999999999.99")],
)
async def test_price_is_exact_with_two_decimals(
    async_client: httpx2.AsyncClient, admin: Headers, price: Any, given: str
) -> None:
    response = await async_client.post("/api/v1/products", json=TEAPOT | {"price": price}, headers=admin)
    assert response.json()["price"] == given
    assert (await async_client.get(response.headers["location"])).json()["price"] == given


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"price": "0"}, "/body/price"),
        ({"price": "-1"}, "/body/price"),
        ({"price": "0.001"}, "/body/price"),
        ({"price": "10000000000"}, "/body/price"),
        ({"price": True}, "/body/price"),
        ({"price": "NaN"}, "/body/price"),
        ({"stock": 0}, "/body/stock"),
        ({"stock": 2**31}, "/body/stock"),
        ({"stock": "5"}, "/body/stock"),
        ({"stock": False}, "/body/stock"),
        ({"name": " "}, "/body/name"),
        ({"name": "a\x00b"}, "/body/name"),
        ({"name": "x" * 201}, "/body/name"),
        ({"id": 1}, "/body/id"),
    ],
)
async def test_invalid_field_is_422(
    async_client: httpx2.AsyncClient, admin: Headers, changes: dict[str, Any], pointer: str
) -> None:
    response = await async_client.post("/api/v1/products", json=TEAPOT | changes, headers=admin)
    assert pointers(response) == {pointer}


async def test_lone_surrogate_is_refused(async_client: httpx2.AsyncClient, admin: Headers) -> None:
    body = json.dumps(TEAPOT | {"name": "\ud800"})
    headers = admin | {"Content-Type": "application/json"}
    assert pointers(await async_client.post("/api/v1/products", content=body, headers=headers)) == {"/body/name"}


async def test_create_product_without_admin_scope_is_403(
    async_client: httpx2.AsyncClient, user_factory: UserFactory, sign_in: SignIn
) -> None:
    assert_problem(await async_client.post("/api/v1/products", json=TEAPOT), 401)
    assert_problem(await async_client.post("/api/v1/products", json=TEAPOT, headers=sign_in(await user_factory())), 403)


async def test_product_names_need_not_be_unique(async_client: httpx2.AsyncClient, admin: Headers) -> None:
    assert await make_product(async_client, admin) != await make_product(async_client, admin)


async def test_unknown_product_is_404(async_client: httpx2.AsyncClient) -> None:
    assert_problem(await async_client.get(f"/api/v1/products/{2**53 - 1}"), 404)


@pytest.mark.parametrize("product_id", ["0", "-1", "x", str(2**53), "9" * 5000])
async def test_invalid_id_is_422(async_client: httpx2.AsyncClient, product_id: str) -> None:
    assert pointers(await async_client.get(f"/api/v1/products/{product_id}")) == {"/path/product_id"}
