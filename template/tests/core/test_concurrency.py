"""Bounded concurrency: `bounded_map`, `bounded_outcomes` and `bounded_stream`."""

import asyncio
from itertools import count

import pytest

from app.core.concurrency import bounded_map, bounded_outcomes, bounded_stream


@pytest.mark.parametrize("limit", [1, 3, 100])
async def test_concurrent_calls_stay_within_limit(limit: int) -> None:
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


async def test_no_items_give_no_results() -> None:
    assert await bounded_map(asyncio.sleep, [], limit=1) == []


async def test_first_error_cancels_the_rest() -> None:
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


async def test_slow_call_raises_timeout() -> None:
    async def work(seconds: float) -> None:
        await asyncio.sleep(seconds)

    with pytest.RaisesGroup(TimeoutError):
        await bounded_map(work, [0, 60], limit=2, seconds=0.02)


@pytest.mark.slow
async def test_waiting_does_not_count_as_call_time() -> None:
    async def work(number: int) -> int:
        await asyncio.sleep(0.06)
        return number

    assert await bounded_map(work, range(4), limit=1, seconds=0.18) == [0, 1, 2, 3]


@pytest.mark.slow
async def test_total_time_limit_cancels_calls() -> None:
    begun: list[int] = []

    async def work(number: int) -> int:
        begun.append(number)
        await asyncio.sleep(0 if number == 0 else 60)
        return number

    with pytest.RaisesGroup(TimeoutError, TimeoutError):
        await bounded_map(work, range(2, 4), limit=1, total_seconds=0.02)
    assert begun == [2]
    first, *others = await bounded_outcomes(work, range(3), limit=2, total_seconds=0.5)
    assert first == 0
    assert all(isinstance(other, TimeoutError) for other in others)


async def test_stream_starts_calls_only_while_read() -> None:
    begun: list[int] = []
    cancelled: list[int] = []

    async def work(number: int) -> int:
        begun.append(number)
        try:
            await asyncio.sleep(0 if number < 10 else 60)
        except asyncio.CancelledError:
            cancelled.append(number)
            raise
        return number

    async with bounded_stream(work, count(), limit=3) as results:
        taken = []
        async for number in results:
            taken.append(number)
            await asyncio.sleep(0.001)
            assert len(begun) <= len(taken) + 3
            if number == 8:
                break
    assert taken == list(range(9))
    assert begun == list(range(11))
    assert cancelled == [10]


async def test_stream_error_is_raised_once() -> None:
    async def work(number: int) -> int:
        if number == 2:
            raise KeyError(number)
        return number

    for pause in (None, 0, 0.002):
        taken = []
        with pytest.RaisesGroup(KeyError):
            async with bounded_stream(work, count(), limit=4) as results:
                async for number in results:
                    taken.append(number)
                    if pause is not None:
                        await asyncio.sleep(pause)
        assert taken in ([], [0], [0, 1])


async def test_zero_limit_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        await bounded_map(asyncio.sleep, [0], limit=0)
