"""Requests to the catalogue, for the tests of every slice that needs a product."""

from typing import Any

import httpx2

from app.core.testing import Headers

TEAPOT = {"name": "Teapot", "price": "19.90", "stock": 5}


async def make_product(client: httpx2.AsyncClient, admin: Headers, **fields: Any) -> int:
    """Create a product; return its id."""
    response = await client.post("/api/v1/products", json=TEAPOT | fields, headers=admin)
    assert response.status_code == 201, response.text
    product_id: int = response.json()["id"]
    return product_id


async def stock_of(client: httpx2.AsyncClient, product_id: int) -> int:
    """Return the stock of a product."""
    stock: int = (await client.get(f"/api/v1/products/{product_id}")).json()["stock"]
    return stock
