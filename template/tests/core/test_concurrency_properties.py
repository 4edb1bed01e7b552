"""Properties of bounded concurrency, tested by Hypothesis."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.concurrency import bounded_map, bounded_outcomes, bounded_stream

pytestmark = pytest.mark.slow


async def streamed(function: Callable[[Any], Awaitable[Any]], items: Iterable[Any], *, limit: int) -> list[Any]:
    async with bounded_stream(function, items, limit=limit) as results:
        return [result async for result in results]


class Work:
    """Waits for `turns` rounds of the event loop; raises KeyError if `turns` is negative."""

    def __init__(self) -> None:
        self.running = self.most = 0

    async def __call__(self, turns: int) -> int:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            for _ in range(abs(turns)):
                await asyncio.sleep(0)
            if turns < 0:
                raise KeyError(turns)
            return turns
        finally:
            self.running -= 1


# A busy machine must not fail the tests.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
ways = pytest.mark.parametrize("way", [bounded_map, bounded_outcomes, streamed])


@ways
@unhurried
@given(items=st.lists(st.integers(0, 9), max_size=20), limit=st.integers(1, 25))
def test_results_keep_order_within_limit(way: Any, items: list[int], limit: int) -> None:
    work = Work()
    assert asyncio.run(way(work, items, limit=limit)) == items
    assert work.most <= limit


@ways
@unhurried
@given(items=st.lists(st.integers(-9, 9), max_size=20), limit=st.integers(1, 25), patience=st.integers(0, 40))
def test_no_task_is_left_running(way: Any, items: list[int], limit: int, patience: int) -> None:
    """Covers a failure, a cancellation at any moment, and both."""
    work = Work()

    async def main() -> None:
        task = asyncio.create_task(way(work, items, limit=limit))
        for _ in range(patience):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert work.running == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}
        if not task.cancelled():
            error = task.exception()
            assert error is None or isinstance(error, ExceptionGroup)

    asyncio.run(main())
    assert work.most <= limit


@unhurried
@given(items=st.lists(st.integers(-9, 9), max_size=20), limit=st.integers(1, 25))
def test_outcomes_are_results_and_errors_in_order(items: list[int], limit: int) -> None:
    outcomes = asyncio.run(bounded_outcomes(Work(), items, limit=limit))
    assert [outcome.args[0] if isinstance(outcome, KeyError) else outcome for outcome in outcomes] == items
