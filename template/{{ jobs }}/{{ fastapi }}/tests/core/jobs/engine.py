"""Fixtures that enqueue jobs in committed transactions."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI

from app.core.accounts.events import registered
from app.core.accounts.models import User
from app.core.database.sessions import WriteSession
from app.core.http.state import state_of
from app.core.jobs import enqueue as enqueue_in

NIGHTLY = {"accounts.delete_expired_tokens": 11_820, "outbox.delete_abandoned": 12_420}
"""Nightly jobs, and the second of the day when each is due."""


@pytest.fixture
def enqueue(committing_app: FastAPI) -> Callable[..., Awaitable[list[int]]]:
    """Enqueue jobs in one committed transaction: `await enqueue((task, {"name": "Ada"}), …)`."""
    database = state_of(committing_app).database

    async def enqueue(*jobs: tuple[Any, dict[str, Any]]) -> list[int]:
        async with database.sessions.begin() as session:
            return [await enqueue_in(session, what, **arguments) for what, arguments in jobs]

    return enqueue


@pytest.fixture
def on_registration() -> Iterator[Callable[..., None]]:
    """Enqueue a job at each registration: `on_registration(task, name="Ada")`."""
    found: list[Any] = []

    async def listen(session: WriteSession, user: User) -> None:
        for task, arguments in found:
            await enqueue_in(session, task, **arguments)

    registered.connect(listen)
    yield lambda task, **arguments: found.append((task, arguments))
    registered.disconnect(listen)
