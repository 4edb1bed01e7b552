"""How often one caller may try."""

import math
import time

import structlog
from django.http import HttpRequest
from limits import parse
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import FixedWindowRateLimiter

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
                    settings.redis_url,
                    socket_timeout=REDIS_TIMEOUT_SECONDS,
                    socket_connect_timeout=REDIS_TIMEOUT_SECONDS,
                )
            )
            if settings.redis_url
            else None
        )

    def hit(self, rate: str, *identifiers: str) -> None:
        """Count one try of whoever `identifiers` name. TooManyRequests when that makes more than `rate`."""
        try:
            self._hit(self.shared or self._own, rate, *identifiers)
        except TooManyRequests:
            raise
        except Exception as error:
            # Without Redis every process counts for itself: a weaker limit, but never none and never an outage.
            log.warning("rate limits are not shared", reason=str(error))
            self._hit(self._own, rate, *identifiers)

    def hit_log_in(self, address: str, account: str) -> None:
        """Count one try to log in. TooManyRequests for an address that tries one account, or many, too often."""
        self.hit(self._settings.login_address_rate, "log-ins", address)
        self.hit(self._settings.login_rate, "log-in", address, account.lower())

    def check(self) -> None:
        """Reach the shared storage, where there is one. ConnectionError when it does not answer."""
        if self.shared and not self.shared.storage.check():
            raise ConnectionError("Redis does not answer")

    def _hit(self, limiter: FixedWindowRateLimiter, rate: str, *identifiers: str) -> None:
        item = parse(rate)
        if not limiter.hit(item, *identifiers):
            window = limiter.get_window_stats(item, *identifiers)
            seconds = max(1, math.ceil(window.reset_time - time.time()))
            raise TooManyRequests(headers={"Retry-After": str(seconds)})


def client_address(request: HttpRequest) -> str:
    """Where the caller is; behind TRUSTED_PROXIES, what they forward."""
    return network(str(request.META.get("REMOTE_ADDR") or "unknown"))
