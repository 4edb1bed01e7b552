"""HTTPException keeps its status, headers and detail, as a problem document."""

from collections.abc import AsyncIterator

import httpx2
import pytest
from fastapi import FastAPI, HTTPException

from app.core.config import Settings
from app.core.testing import assert_problem
from app.main import create_app

ERRORS = {
    "list": HTTPException(422, ["a", "b"]),
    "headers": HTTPException(401, "Log in first.", headers={"WWW-Authenticate": "Basic", "X-Hint": "7"}),
    "redirect": HTTPException(307, headers={"Location": "/elsewhere"}),
    "unchanged": HTTPException(304, headers={"ETag": '"7"'}),
    "plain": HTTPException(499),
}


@pytest.fixture
async def client(app: FastAPI, settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of an application with a route that raises these errors."""
    planted = create_app(settings)

    @planted.get("/raise/{name}")
    async def fail(name: str) -> None:
        raise ERRORS[name]

    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(planted), base_url="http://test") as client:
        yield client


async def test_list_detail_becomes_data(client: httpx2.AsyncClient) -> None:
    assert assert_problem(await client.get("/raise/list"), 422)["data"] == ["a", "b"]


async def test_http_exception_headers_are_kept(client: httpx2.AsyncClient) -> None:
    response = await client.get("/raise/headers")
    assert assert_problem(response, 401)["detail"] == "Log in first."
    assert (response.headers["www-authenticate"], response.headers["x-hint"]) == ("Basic", "7")


async def test_redirect_keeps_its_location(client: httpx2.AsyncClient) -> None:
    response = await client.get("/raise/redirect")
    assert (response.status_code, response.headers["location"]) == (307, "/elsewhere")


async def test_304_has_no_body(client: httpx2.AsyncClient) -> None:
    response = await client.get("/raise/unchanged")
    assert (response.status_code, response.headers["etag"], response.content) == (304, '"7"', b"")


async def test_unknown_status_has_a_default_detail(client: httpx2.AsyncClient) -> None:
    assert assert_problem(await client.get("/raise/plain"), 499)["detail"] == "Client Error."
