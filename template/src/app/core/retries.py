"""Retries of async functions."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import wraps


class PermanentError(Exception):
    """Raised by a task when a retry cannot succeed."""


def retry[**P, R](
    times: int = 3,
    *,
    on: type[Exception] | tuple[type[Exception], ...] = Exception,
    delay: float = 0.1,
    max_delay: float = 5.0,
) -> Callable[[Callable[P, Awaitable[R]]], Callable[P, Awaitable[R]]]:
    """Call an async function up to `times` times while it raises `on`; the last error is re-raised.

    The wait before attempt n is random between 0 and `delay` * 2**(n-2) seconds, at most `max_delay`. This spreads the
    retries of callers that failed together ("full jitter", AWS Architecture Blog, 2015).
    """
    if times < 1:
        raise ValueError("times must be at least 1")

    def decorator(function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
        @wraps(function)
        async def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            for attempt in range(1, times):
                try:
                    return await function(*args, **kwargs)
                except on:
                    limit = min(max_delay, delay * 2 ** (attempt - 1))
                    await asyncio.sleep(random.uniform(0, limit))  # noqa: S311 -- spreads load, not for security
            return await function(*args, **kwargs)

        return wrapper

    return decorator
