"""`/users`, from the outside."""

from typing import Any

import httpx2
import pytest

VALID = {"name": "Ada Lovelace", "email": "ada@example.com", "password": "engine-no-1"}


@pytest.mark.parametrize(
    ("changes", "expected_status"),
    [({}, 201), ({"name": ""}, 422), ({"name": None}, 422)],
    ids=["valid", "empty_name", "missing_name"],
)
async def test_register(async_client: httpx2.AsyncClient, changes: dict[str, Any], expected_status: int) -> None:
    body = {key: value for key, value in (VALID | changes).items() if value is not None}
    response = await async_client.post("/users", json=body)
    assert response.status_code == expected_status
