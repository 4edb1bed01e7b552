"""Fixtures that enqueue jobs in committed transactions."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connections, transaction

from app.core.accounts.events import registered
from app.core.jobs import enqueue as enqueue_here

NIGHTLY = {
    "accounts.delete_expired_tokens": 11_820,
    "accounts.delete_expired_sessions": 11_820,
    "outbox.delete_abandoned": 12_420,
}
"""Nightly jobs, and the second of the day when each is due."""


@pytest.fixture
async def enqueue(committed_database: str) -> AsyncIterator[Callable[..., Awaitable[list[int]]]]:
    """Enqueue jobs in one committed transaction: `await enqueue((task, {"name": "Ada"}), …)`."""

    @sync_to_async
    def enqueue(*jobs: tuple[Any, dict[str, Any]]) -> list[int]:
        with transaction.atomic():
            return [enqueue_here(what, **arguments) for what, arguments in jobs]

    yield enqueue
    await sync_to_async(connections.close_all)()


@pytest.fixture
def on_registration() -> Iterator[Callable[..., None]]:
    """Enqueue a job at each registration: `on_registration(task, name="Ada")`."""
    found: list[Any] = []

    def listen(**_: Any) -> None:
        for task, arguments in found:
            enqueue_here(task, **arguments)

    registered.connect(listen)
    yield lambda task, **arguments: found.append((task, arguments))
    registered.disconnect(listen)
