"""How the parts are wired together."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI

import app as package
from app import health
from app.config import Settings
from app.db import Database
from app.main import create_app
from app.slices import Slice, SliceError, find_slices
from support import MakeClient, UserFactory, assert_problem

ROUTES = """
from fastapi import APIRouter

router = APIRouter()


@router.get("{path}")
async def probe() -> None: ...
"""


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The folder of a slice called `probe`, found beside the real ones."""
    folder = tmp_path / "probe"
    folder.mkdir()
    (folder / "__init__.py").touch()
    found = [*find_slices(), Slice("probe")]
    monkeypatch.setattr("app.__path__", [*package.__path__, str(tmp_path)])
    monkeypatch.setattr("app.main.find_slices", lambda: iter(found))
    yield folder
    for name in ("app.probe", "app.probe.routes"):
        sys.modules.pop(name, None)


async def test_a_slice_is_served_by_being_there(probe: Path, settings: Settings) -> None:
    (probe / "routes.py").write_text(ROUTES.format(path="/probe"))
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(create_app(settings)), base_url="http://test"
    ) as client:
        assert_problem(await client.get("/probe"), 401)


def test_a_route_belongs_to_one_slice(probe: Path, settings: Settings) -> None:
    (probe / "routes.py").write_text(ROUTES.format(path="/users/me"))
    with pytest.raises(SliceError) as refused:
        create_app(settings)
    assert str(refused.value) == "The slice 'probe' does not load: GET /users/me is a route of 'users'"


async def test_nothing_is_served_without_a_token_that_asks_for_one(async_client: httpx2.AsyncClient) -> None:
    document = (await async_client.get("/openapi.json")).json()
    guarded = [
        (method, path)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if "token" in {name for scheme in operation.get("security", []) for name in scheme}
    ]
    assert ("get", "/users/me") in guarded
    for method, path in guarded:
        assert_problem(await async_client.request(method, path.replace("{", "").replace("}", "")), 401)


async def test_the_service_starts_and_ends_with_its_connections(app: FastAPI, settings: Settings) -> None:
    app.state.database = Database.connect(settings)
    async with app.router.lifespan_context(app):
        await app.state.database.check()


async def test_the_service_starts_although_the_database_is_down(app: FastAPI, settings: Settings) -> None:
    gone = settings.model_copy(update={"database_url": "postgresql://nobody@127.0.0.1:9/nothing"})
    app.state.database = Database.connect(gone)
    client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test")
    async with app.router.lifespan_context(app), client, asyncio.timeout(10):
        assert_problem(await client.get("/health/ready"), 503)


async def test_a_dependency_that_hangs_is_not_waited_for(
    app: FastAPI, async_client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "SECONDS", 0.05)
    monkeypatch.setattr(app.state.database, "check", lambda: asyncio.sleep(60))
    async with asyncio.timeout(10):
        assert_problem(await async_client.get("/health/ready"), 503)


async def test_limits_hold_while_redis_is_down(make_client: MakeClient, user_factory: UserFactory) -> None:
    await user_factory(email="ada@example.com")
    form = {"username": "ada@example.com", "password": "wrong password"}
    async with make_client(redis_url="redis://127.0.0.1:9", login_rate="1/minute") as client:
        assert_problem(await client.post("/auth/token", data=form), 401)
        assert_problem(await client.post("/auth/token", data=form), 429)
