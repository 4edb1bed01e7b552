"""The application: slices, start, readiness, proxies and shutdown."""

import asyncio
import signal
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from structlog.testing import capture_logs

from app.core.cli.main import main
from app.core.config import Settings
from app.core.database.engine import Database
from app.core.http import health
from app.core.http.state import state_of
from app.core.slices import SliceError
from app.core.testing import assert_problem
from app.main import create_app

ROUTES = """
from fastapi import APIRouter

router = APIRouter()


@router.get("{path}")
async def probe() -> None: ...
"""


async def test_new_slice_is_served(newcomer: Path, settings: Settings) -> None:
    (newcomer / "routes.py").write_text(ROUTES.format(path="/probe"))
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(create_app(settings)), base_url="http://test"
    ) as client:
        assert_problem(await client.get("/api/v1/probe"), 401)


def test_drain_ends_after_drain_seconds(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Any] = []
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("DRAIN_SECONDS", "0.01")
    monkeypatch.setenv("PORT", "0")  # `poe dev` may use the default
    monkeypatch.setattr("gc.freeze", lambda: served.append("frozen"))
    monkeypatch.setattr("uvicorn.Server.run", lambda self, **_: served.append(self))
    main(["serve"])
    [frozen, server] = served
    assert frozen == "frozen"
    server.handle_exit(signal.SIGTERM, None)
    assert state_of(server.config.app).draining
    deadline = time.monotonic() + 30
    while not server.should_exit and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.should_exit


def test_duplicate_route_is_named(newcomer: Path, settings: Settings) -> None:
    (newcomer / "routes.py").write_text(ROUTES.format(path="/users/me"))
    with pytest.raises(SliceError) as refused:
        create_app(settings)
    assert str(refused.value) == "The slice 'newcomer' does not load: GET /api/v1/users/me is a route of 'core'"


async def test_lifespan_connects_to_the_database(app: FastAPI, settings: Settings) -> None:
    state_of(app).database = Database.connect(settings)
    async with app.router.lifespan_context(app):
        await state_of(app).database.check()


async def test_service_starts_while_database_is_down(
    app: FastAPI, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.core.retries.random.uniform", lambda *_: 0)
    gone = settings.model_copy(update={"database_url": "postgresql://unknown@127.0.0.1:9/nothing"})
    state_of(app).database = Database.connect(gone)
    client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test")
    with capture_logs() as lines:
        async with app.router.lifespan_context(app), client, asyncio.timeout(10):
            assert_problem(await client.get("/health/ready"), 503)
    assert "database unavailable" in [line["event"] for line in lines]


@pytest.mark.slow
async def test_readiness_check_has_a_time_limit(
    app: FastAPI, async_client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "CHECK_TIMEOUT_SECONDS", 0.05)
    monkeypatch.setattr(state_of(app).database, "check", lambda: asyncio.sleep(60))
    async with asyncio.timeout(10):
        problem = assert_problem(await async_client.get("/health/ready"), 503)
    assert problem["detail"] == "No answer from: database."


async def test_readiness_burst_asks_the_database_once(
    app: FastAPI, async_client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    async def check() -> None:
        asked.append(True)
        await asyncio.sleep(0.01)

    monkeypatch.setattr(state_of(app).database, "check", check)
    answers = await asyncio.gather(*(async_client.get("/health/ready") for _ in range(20)))
    answers.append(await async_client.get("/health/ready"))
    assert {answer.status_code for answer in answers} == {200}
    assert asked == [True]


@pytest.mark.slow
async def test_readiness_needs_no_connection_of_the_pool(committing_app: FastAPI, settings: Settings) -> None:
    database = Database.connect(settings.model_copy(update={"database_pool_size": 1, "database_timeout_seconds": 0.2}))
    state_of(committing_app).database = database
    transport = httpx2.ASGITransport(committing_app)
    async with (
        httpx2.AsyncClient(transport=transport, base_url="http://test") as client,
        database.sessions() as session,
    ):
        await session.connection()
        assert_problem(
            await client.post("/api/v1/auth/token", data={"grant_type": "refresh_token", "refresh_token": "x" * 43}),
            503,
        )
        assert (await client.get("/health/ready")).status_code == 200
