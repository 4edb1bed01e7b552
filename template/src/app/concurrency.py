"""Doing several things at once, but never without a bound."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable


async def bounded_map[T, R](
    function: Callable[[T], Awaitable[R]],
    items: Iterable[T],
    *,
    limit: int,
    seconds: float | None = None,
) -> list[R]:
    """`function` of every item, in order, at most `limit` at a time.

    The first error cancels the rest and arrives in an ExceptionGroup. With `seconds`, each single call may take that
    long, and one that takes longer is a TimeoutError.
    """
    semaphore = asyncio.Semaphore(limit)

    async def call(item: T) -> R:
        async with semaphore, asyncio.timeout(seconds):
            return await function(item)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(call(item)) for item in items]
    return [task.result() for task in tasks]
