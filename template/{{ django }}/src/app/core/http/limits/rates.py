"""Rate limits of callers."""

import math
import time

import structlog
from django.http import HttpRequest
from limits import parse
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import FixedWindowRateLimiter

from app.core.config import Settings
from app.core.http.limits.addresses import network
from app.core.problems import TooManyRequests

log = structlog.get_logger()

REDIS_TIMEOUT_SECONDS = 1.0
"""Time limit for Redis. After a timeout, the process counts in its own memory."""

PAUSE_SECONDS = 2.0
"""Time without Redis after an error: not every request waits for the timeout, and logs the error."""


class RateLimits:
    """Counts in Redis for all processes if REDIS_URL is set, otherwise in this process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pause_ends = 0.0
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
        """Count one attempt of the caller that `identifiers` name. Raise TooManyRequests above `rate`."""
        if self.shared is None or time.monotonic() < self._pause_ends:
            self._hit(self._own, rate, *identifiers)
            return
        try:
            self._hit(self.shared, rate, *identifiers)
        except TooManyRequests:
            raise
        except Exception as error:
            # Without Redis each process counts for itself: the limit is weaker, but requests do not fail.
            self._pause_ends = time.monotonic() + PAUSE_SECONDS
            log.warning("rate limits are not shared", reason=str(error))
            self._hit(self._own, rate, *identifiers)

    def hit_log_in(self, address: str, account: str) -> None:
        """Count one log-in. Raise TooManyRequests when an address tries too often, for one account or for all."""
        self.hit(self._settings.login_address_rate, "log-ins", address)
        self.hit(self._settings.login_rate, "log-in", address, account.lower())

    def hit_email(self, purpose: str, client: str, email: str) -> None:
        """Count one message. Raise TooManyRequests when one client, or all for one e-mail address, ask too often."""
        self.hit(self._settings.email_address_rate, f"{purpose} e-mails", client)
        self.hit(self._settings.email_rate, f"{purpose} e-mail", email.lower())

    def check(self) -> None:
        """Check the connection to Redis if REDIS_URL is set. Raise ConnectionError when Redis does not answer."""
        if self.shared and not self.shared.storage.check():
            raise ConnectionError("Redis does not answer")

    def _hit(self, limiter: FixedWindowRateLimiter, rate: str, *identifiers: str) -> None:
        item = parse(rate)
        if not limiter.hit(item, *identifiers):
            window = limiter.get_window_stats(item, *identifiers)
            seconds = max(1, math.ceil(window.reset_time - time.time()))
            raise TooManyRequests(headers={"Retry-After": str(seconds)})


def client_address(request: HttpRequest) -> str:
    """Return the address of the caller. Behind TRUSTED_PROXIES, this is the forwarded address."""
    return network(str(request.META.get("REMOTE_ADDR") or "unknown"))
