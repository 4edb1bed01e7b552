"""Concurrent calls with a limit."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any


async def bounded_map[T, R](
    function: Callable[[T], Awaitable[R]],
    items: Iterable[T],
    *,
    limit: int,
    seconds: float | None = None,
    total_seconds: float | None = None,
) -> list[R]:
    """Call `function` with every item, at most `limit` concurrently, and return the results in the order of the items.

    The first error cancels all other calls, and is raised in an ExceptionGroup. `seconds` limits the time of each call,
    `total_seconds` the time of all calls together: a call that takes longer raises TimeoutError.
    """
    call = _bounded(function, limit, seconds, total_seconds)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(call(item)) for item in items]
    return [task.result() for task in tasks]


async def bounded_outcomes[T, R](
    function: Callable[[T], Awaitable[R]],
    items: Iterable[T],
    *,
    limit: int,
    seconds: float | None = None,
    total_seconds: float | None = None,
) -> list[R | Exception]:
    """Like `bounded_map`, but an error does not cancel the other calls: the list holds it in place of a result."""
    call = _bounded(function, limit, seconds, total_seconds)

    async def outcome(item: T) -> R | Exception:
        try:
            return await call(item)
        except Exception as error:
            return error

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(outcome(item)) for item in items]
    return [task.result() for task in tasks]


@asynccontextmanager
async def bounded_stream[T, R](
    function: Callable[[T], Awaitable[R]], items: Iterable[T], *, limit: int, seconds: float | None = None
) -> AsyncIterator[AsyncIterator[R]]:
    """Like `bounded_map`, but yield the results one by one: `items` may be larger than memory, or endless.

    At most `limit` calls are running or have an unread result. The end of the block cancels the running calls.

        async with bounded_stream(fetch, urls, limit=8) as pages:
            async for page in pages: ...
    """
    call = _bounded(function, limit, seconds, None)
    started: deque[asyncio.Task[R]] = deque()

    async def results() -> AsyncIterator[R]:
        for item in items:
            started.append(group.create_task(call(item)))
            if len(started) == limit:
                yield await first()
        while started:
            yield await first()

    async def first() -> R:
        # Not `await task`: an error would be raised twice, here and by the group.
        await asyncio.wait([started[0]])
        return started.popleft().result()

    async with asyncio.TaskGroup() as group:
        try:
            yield results()
        finally:
            for task in started:
                task.cancel()


def _bounded[T, R](
    function: Callable[[T], Awaitable[R]], limit: int, seconds: float | None, total_seconds: float | None
) -> Callable[[T], Coroutine[Any, Any, R]]:
    if limit < 1:
        raise ValueError("limit must be at least 1")
    semaphore = asyncio.Semaphore(limit)
    end = None if total_seconds is None else asyncio.get_running_loop().time() + total_seconds

    async def call(item: T) -> R:
        async with asyncio.timeout_at(end), semaphore, asyncio.timeout(seconds):
            return await function(item)

    return call
