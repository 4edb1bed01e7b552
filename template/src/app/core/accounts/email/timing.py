"""Equal response times, against user enumeration."""

import asyncio
import time

MINIMUM_SECONDS = 0.3
"""Response time of a route that must not show whether an account exists. Longer than its statements take."""

monotonic = time.monotonic
sleep = time.sleep
sleep_async = asyncio.sleep


class SameTime:
    """Context manager that ends MINIMUM_SECONDS after it began, whatever its body did.

    Hold no database connection when it ends.
    """

    def __init__(self) -> None:
        self._ends = monotonic() + MINIMUM_SECONDS

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        sleep(self._seconds_left())

    async def __aenter__(self) -> None: ...

    async def __aexit__(self, *_: object) -> None:
        await sleep_async(self._seconds_left())

    def _seconds_left(self) -> float:
        return max(0.0, self._ends - monotonic())
