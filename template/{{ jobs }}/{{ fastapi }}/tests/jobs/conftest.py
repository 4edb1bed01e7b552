"""Requests and jobs that really commit, as workers see them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from app.db import Database
from app.jobs import enqueue as enqueue_in


@pytest.fixture
async def committing_async_client(committing_app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """A client whose requests commit."""
    transport = httpx2.ASGITransport(committing_app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


@pytest.fixture
def enqueue(committing_app: FastAPI) -> Callable[..., Awaitable[list[int]]]:
    """Enqueues jobs in one transaction that is committed: `await enqueue((task, {"name": "Ada"}), …)`."""
    database: Database = committing_app.state.database

    async def enqueue(*jobs: tuple[Any, dict[str, Any]]) -> list[int]:
        async with database.sessions.begin() as session:
            return [await enqueue_in(session, what, **arguments) for what, arguments in jobs]

    return enqueue


@pytest.fixture
def cleanups() -> dict[str, float]:
    """What is thrown away at night, and the second of the day."""
    return {"cleanup.refresh_tokens": 11_820}
