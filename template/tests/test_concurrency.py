"""Many things at once, within bounds."""

import asyncio

import pytest

from app.concurrency import bounded_map


@pytest.mark.parametrize("limit", [1, 3, 100])
async def test_no_more_than_the_limit_at_a_time(limit: int) -> None:
    running = most = 0

    async def work(_: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    await bounded_map(work, range(20), limit=limit)
    assert most == min(limit, 20)


async def test_results_are_in_the_order_of_the_items() -> None:
    async def slowest_first(number: int) -> int:
        for _ in range(10 - number):
            await asyncio.sleep(0)
        return number * number

    assert await bounded_map(slowest_first, range(10), limit=10) == [n * n for n in range(10)]


async def test_nothing_of_nothing() -> None:
    assert await bounded_map(asyncio.sleep, [], limit=1) == []


async def test_the_first_error_cancels_the_rest() -> None:
    cancelled: list[int] = []

    async def work(number: int) -> None:
        if number == 1:
            raise KeyError(number)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(number)
            raise

    with pytest.RaisesGroup(KeyError):
        await bounded_map(work, [0, 1, 2], limit=3)
    assert sorted(cancelled) == [0, 2]


async def test_a_call_that_takes_too_long_is_a_timeout() -> None:
    async def work(seconds: float) -> None:
        await asyncio.sleep(seconds)

    with pytest.RaisesGroup(TimeoutError):
        await bounded_map(work, [0, 60], limit=2, seconds=0.02)


async def test_waiting_for_ones_turn_takes_none_of_the_time() -> None:
    async def work(number: int) -> int:
        await asyncio.sleep(0.06)
        return number

    assert await bounded_map(work, range(4), limit=1, seconds=0.18) == [0, 1, 2, 3]
