"""Requests and jobs that really commit, as workers see them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx2
import pytest
from asgiref.sync import sync_to_async
from asgiref.wsgi import WsgiToAsgi
from django.db import connections, transaction

from app.jobs import enqueue as enqueue_here
from app.wsgi import Application


@pytest.fixture
async def committing_async_client(app: Application, committed_database: str) -> AsyncIterator[httpx2.AsyncClient]:
    """A client whose requests commit."""
    transport = httpx2.ASGITransport(WsgiToAsgi(app))  # type: ignore[no-untyped-call]
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client
    await sync_to_async(connections.close_all)()


@pytest.fixture
async def enqueue(committed_database: str) -> AsyncIterator[Callable[..., Awaitable[list[int]]]]:
    """Enqueues jobs in one transaction that is committed: `await enqueue((task, {"name": "Ada"}), …)`."""

    @sync_to_async
    def enqueue(*jobs: tuple[Any, dict[str, Any]]) -> list[int]:
        with transaction.atomic():
            return [enqueue_here(what, **arguments) for what, arguments in jobs]

    yield enqueue
    await sync_to_async(connections.close_all)()


@pytest.fixture
def cleanups() -> dict[str, float]:
    """What is thrown away at night, and the second of the day."""
    return {"cleanup.refresh_tokens": 11_820, "cleanup.sessions": 11_820}
