"""What the tests of products, search, orders and payments have in common."""

from typing import Any

import httpx2

from support import Headers

TEAPOT = {"name": "Teapot", "price": "19.90", "stock": 5}


async def make_product(client: httpx2.AsyncClient, admin: Headers, **fields: Any) -> int:
    """The key of a new product."""
    response = await client.post("/products", json=TEAPOT | fields, headers=admin)
    assert response.status_code == 201, response.text
    product_id: int = response.json()["id"]
    return product_id


async def stock_of(client: httpx2.AsyncClient, product_id: int) -> int:
    """How much of a product is left."""
    stock: int = (await client.get(f"/products/{product_id}")).json()["stock"]
    return stock


async def place_order(
    client: httpx2.AsyncClient, user: Headers, *lines: tuple[int, int], key: str | None = None
) -> httpx2.Response:
    """Order quantities of products."""
    body = {"lines": [{"product_id": product_id, "quantity": quantity} for product_id, quantity in lines]}
    return await client.post("/orders", json=body, headers=user | ({"Idempotency-Key": key} if key else {}))
