"""HTTP tests of `/api/v1/products`."""

import json
from typing import Any

import httpx2
import pytest

from app.core.testing import (
    Headers,
    Rows,
    SignIn,
    UserFactory,
    assert_problem,
    pointers,
)
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
        ({"price": "1_0"}, "/body/price"),
        ({"price": "1e3"}, "/body/price"),
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


async def test_create_product_without_scope_is_403(
    async_client: httpx2.AsyncClient, user_factory: UserFactory, sign_in: SignIn
) -> None:
    assert_problem(await async_client.post("/api/v1/products", json=TEAPOT), 401)
    assert_problem(await async_client.post("/api/v1/products", json=TEAPOT, headers=sign_in(await user_factory())), 403)


async def test_product_names_need_not_be_unique(async_client: httpx2.AsyncClient, admin: Headers) -> None:
    assert await make_product(async_client, admin) != await make_product(async_client, admin)


async def test_unknown_product_is_404(async_client: httpx2.AsyncClient, admin: Headers) -> None:
    for method in ("GET", "PATCH", "DELETE"):
        body: Headers | None = {} if method == "PATCH" else None
        assert_problem(
            await async_client.request(method, f"/api/v1/products/{2**53 - 1}", json=body, headers=admin), 404
        )


@pytest.mark.parametrize("product_id", ["0", "-1", "x", "1_0", str(2**53), "9" * 5000])
async def test_invalid_id_is_422(async_client: httpx2.AsyncClient, product_id: str) -> None:
    assert pointers(await async_client.get(f"/api/v1/products/{product_id}")) == {"/path/product_id"}


async def test_role_of_the_catalogue_may_write(
    async_client: httpx2.AsyncClient, user_factory: UserFactory, sign_in: SignIn
) -> None:
    assert await make_product(async_client, sign_in(await user_factory(), "catalogue"))


async def test_patch_changes_only_named_fields(async_client: httpx2.AsyncClient, admin: Headers) -> None:
    path = f"/api/v1/products/{await make_product(async_client, admin)}"
    before = (await async_client.get(path)).json()
    changed = await async_client.patch(path, json={"price": "17.5", "stock": 0}, headers=admin)
    assert (changed.status_code, changed.json()) == (200, before | {"price": "17.50", "stock": 0})
    found = await async_client.get(path)
    assert (found.json(), found.headers["etag"]) == (changed.json(), changed.headers["etag"])
    assert (await async_client.patch(path, json={}, headers=admin)).json() == changed.json()


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": None}, "/body/name"),
        ({"price": None}, "/body/price"),
        ({"stock": None}, "/body/stock"),
        ({"stock": -1}, "/body/stock"),
        ({"archived_at": None}, "/body/archived_at"),
        ([], "/body"),
        (None, "/body"),
    ],
)
async def test_invalid_change_is_422(async_client: httpx2.AsyncClient, admin: Headers, body: Any, pointer: str) -> None:
    path = f"/api/v1/products/{await make_product(async_client, admin)}"
    headers = admin | {"Content-Type": "application/merge-patch+json"}
    response = await async_client.patch(path, content=json.dumps(body), headers=headers)
    assert pointers(response) == {pointer}


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_change_of_a_stale_product_is_412(async_client: httpx2.AsyncClient, admin: Headers, method: str) -> None:
    made = await async_client.post("/api/v1/products", json=TEAPOT, headers=admin)
    path, stale = made.headers["location"], made.headers["etag"]
    fresh = (await async_client.patch(path, json={"stock": 4}, headers=admin | {"If-Match": stale})).headers["etag"]
    body = {"stock": 3} if method == "PATCH" else None
    for condition in (stale, f"W/{fresh}", "x"):
        headers = admin | {"If-Match": condition}
        assert_problem(await async_client.request(method, path, json=body, headers=headers), 412)
    assert (await async_client.get(path)).json()["stock"] == 4
    headers = admin | {"If-Match": fresh}
    assert (await async_client.request(method, path, json=body, headers=headers)).is_success


async def test_deleted_product_is_gone(async_client: httpx2.AsyncClient, admin: Headers, rows: Rows) -> None:
    path = f"/api/v1/products/{await make_product(async_client, admin)}"
    deleted = await async_client.delete(path, headers=admin)
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert_problem(await async_client.get(path), 404)
    assert_problem(await async_client.delete(path, headers=admin), 404)
    assert await rows("SELECT id FROM products") == []
