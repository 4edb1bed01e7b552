from typing import Any

import httpx2
import pytest

from app.core.config import Settings
from app.core.testing import MakeClient
from tests.core.http.api import Route, routes_of


@pytest.fixture
async def document(async_client: httpx2.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await async_client.get("/openapi.json")).json()
    return found


@pytest.fixture
def routes(document: dict[str, Any], served: dict[str, str]) -> list[Route]:
    return routes_of(document, served)


@pytest.fixture
def unlimited_client(make_client: MakeClient) -> httpx2.AsyncClient:
    """A client of an application with rate limits that tests never reach."""
    return make_client(**{name: "1000000/second" for name in Settings.model_fields if name.endswith("_rate")})
