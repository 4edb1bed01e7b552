"""Requests to place orders, for the tests of every slice that needs an order."""

import httpx2

from app.core.testing import Headers


async def place_order(
    client: httpx2.AsyncClient, user: Headers, *lines: tuple[int, int], key: str | None = None
) -> httpx2.Response:
    """Place an order; each line is a product id and a quantity."""
    body = {"lines": [{"product_id": product_id, "quantity": quantity} for product_id, quantity in lines]}
    return await client.post("/api/v1/orders", json=body, headers=user | ({"Idempotency-Key": key} if key else {}))
