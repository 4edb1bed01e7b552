"""How often one caller may try."""

import math
import time

import structlog
from fastapi import Request
from limits import parse
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter

from app.core.config import Settings
from app.core.http.addresses import network
from app.core.problems import TooManyRequests

log = structlog.get_logger()

REDIS_TIMEOUT_SECONDS = 1.0
"""After this a process counts for itself."""


class RateLimits:
    """Counts in Redis, for all processes together, when REDIS_URL is set; in this process otherwise."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._own = FixedWindowRateLimiter(MemoryStorage())
        self.shared = (
            FixedWindowRateLimiter(
                RedisStorage(
                    f"async+{settings.redis_url}",
                    implementation="redispy",
                    socket_timeout=REDIS_TIMEOUT_SECONDS,
                    socket_connect_timeout=REDIS_TIMEOUT_SECONDS,
                )
            )
            if settings.redis_url
            else None
        )

    async def hit(self, rate: str, *identifiers: str) -> None:
        """Count one try of whoever `identifiers` name. TooManyRequests when that makes more than `rate`."""
        try:
            await self._hit(self.shared or self._own, rate, *identifiers)
        except TooManyRequests:
            raise
        except Exception as error:
            # Without Redis every process counts for itself: a weaker limit, but never none and never an outage.
            log.warning("rate limits are not shared", reason=str(error))
            await self._hit(self._own, rate, *identifiers)

    async def hit_log_in(self, address: str, account: str) -> None:
        """Count one try to log in. TooManyRequests for an address that tries one account, or many, too often."""
        await self.hit(self._settings.login_address_rate, "log-ins", address)
        await self.hit(self._settings.login_rate, "log-in", address, account.lower())

    async def check(self) -> None:
        """Reach the shared storage, where there is one. ConnectionError when it does not answer."""
        if self.shared and not await self.shared.storage.check():
            raise ConnectionError("Redis does not answer")

    async def _hit(self, limiter: FixedWindowRateLimiter, rate: str, *identifiers: str) -> None:
        item = parse(rate)
        if not await limiter.hit(item, *identifiers):
            window = await limiter.get_window_stats(item, *identifiers)
            seconds = max(1, math.ceil(window.reset_time - time.time()))
            raise TooManyRequests(headers={"Retry-After": str(seconds)})


def client_address(request: Request) -> str:
    """Where the caller is; behind TRUSTED_PROXIES, what they forward."""
    return network(request.client.host if request.client else "unknown")
