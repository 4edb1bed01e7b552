"""Form requests to the admin, as a browser sends them."""

import re
from typing import Any

import httpx2

from app.core.testing import PASSWORD


async def submit(client: httpx2.AsyncClient, path: str, **fields: Any) -> httpx2.Response:
    """Submit the form of this page with its CSRF token and these fields."""
    page = await client.get(path)
    assert page.status_code == 200
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
    assert found
    return await client.post(path, data={"csrfmiddlewaretoken": found[1]} | fields)


async def log_in(client: httpx2.AsyncClient, email: str, password: str = PASSWORD) -> httpx2.Response:
    return await submit(client, "/admin/login/", username=email, password=password, next="/admin/")
