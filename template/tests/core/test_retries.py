"""`retry`: attempts, waits and errors."""

import asyncio
import random

import pytest

from app.core.retries import retry


class Flaky:
    """Raises `error` in the first `failures` calls, then succeeds."""

    def __init__(self, failures: int, error: type[BaseException] = OSError) -> None:
        self.failures = failures
        self.error = error
        self.calls = 0

    async def __call__(self, result: str, *, suffix: str = "") -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error(f"failure {self.calls}")
        return result + suffix


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The maximum waits between attempts; the test does not really wait."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    monkeypatch.setattr(random, "uniform", lambda low, high: high if low == 0 else -1)
    return waited


@pytest.mark.parametrize("failures", [0, 1, 2])
async def test_call_succeeds_within_three_attempts(waits: list[float], failures: int) -> None:
    flaky = Flaky(failures)
    assert await retry()(flaky)("a", suffix="b") == "ab"
    assert flaky.calls == failures + 1
    assert len(waits) == failures


async def test_last_error_is_raised(waits: list[float]) -> None:
    flaky = Flaky(9)
    with pytest.raises(OSError, match=r"^failure 3$"):
        await retry(times=3)(flaky)("a")
    assert flaky.calls == 3
    assert len(waits) == 2, "no wait after the last attempt"


async def test_one_attempt_has_no_retry(waits: list[float]) -> None:
    with pytest.raises(OSError, match=r"^failure 1$"):
        await retry(times=1)(Flaky(9))("a")
    assert waits == []


def test_zero_attempts_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        retry(times=0)


@pytest.mark.parametrize("error", [KeyError, asyncio.CancelledError])
async def test_unlisted_error_is_not_retried(waits: list[float], error: type[BaseException]) -> None:
    flaky = Flaky(9, error)
    with pytest.raises(error):
        await retry(on=(OSError, TimeoutError))(flaky)("a")
    assert flaky.calls == 1


async def test_cancelled_call_is_not_retried(waits: list[float]) -> None:
    flaky = Flaky(9, asyncio.CancelledError)
    with pytest.raises(asyncio.CancelledError):
        await retry()(flaky)("a")
    assert flaky.calls == 1


async def test_waits_double_up_to_a_limit(waits: list[float]) -> None:
    with pytest.raises(OSError):  # noqa: PT011 -- the message does not matter here
        await retry(times=6, delay=0.5, max_delay=3)(Flaky(9))("a")
    assert waits == [0.5, 1, 2, 3, 3]


async def test_waits_are_random(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: set[float] = set()

    async def sleep(seconds: float) -> None:
        waited.add(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    for _ in range(20):
        assert await retry(delay=0.5)(Flaky(1))("a") == "a"
    assert len(waited) > 10
    assert all(0 <= seconds <= 0.5 for seconds in waited)


def test_retry_keeps_the_function_name() -> None:
    @retry()
    async def fetch() -> None:
        """Fetches."""

    assert (fetch.__name__, fetch.__doc__) == ("fetch", "Fetches.")
