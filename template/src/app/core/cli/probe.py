"""Commands for containers: a health check of the running service, and waiting for migrations."""

import http.client
import ipaddress
import json
import math
import time
from collections.abc import Callable
from contextlib import suppress

from app.core.config import Settings

TIMEOUT = 5.0
"""Seconds to wait for a response."""

PAUSE = 1.0
"""Seconds between two attempts."""

SURGE = 1.25
"""Rolling updates usually start a quarter more processes before they stop old ones."""

CONNECTION_LIMIT = """
SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
    - coalesce(current_setting('reserved_connections', true), '0')::int
"""
"""Returns the number of connections that the server allows to all ordinary users. PostgreSQL 15 reserves no others."""


class ProbeError(Exception):
    """The check failed, or the time is over; the message says why."""


def ask(settings: Settings, path: str) -> None:
    """Request `path` from the service that runs with these settings. Raise ProbeError unless the status is 200."""
    connection = http.client.HTTPConnection(_reachable(settings.host), settings.port, timeout=TIMEOUT)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise ProbeError(f"{path} does not answer: {str(error) or type(error).__name__}") from error
    finally:
        connection.close()
    if response.status != http.HTTPStatus.OK:
        with suppress(ValueError):  # another program may listen on this port
            found = json.loads(body)
            reason = found["detail"] if isinstance(found, dict) and "detail" in found else json.dumps(found)
            raise ProbeError(f"{path} answers {response.status}: {reason}")
        raise ProbeError(f"{path} answers {response.status}.")


def wait_until(reason: Callable[[], str], seconds: float) -> None:
    """Poll `reason()` until it returns "". Raise ProbeError with the last reason after `seconds`."""
    deadline = time.monotonic() + seconds
    while why := reason():
        if time.monotonic() >= deadline:
            raise ProbeError(f"Waited {seconds:g} seconds: {why}")
        time.sleep(PAUSE)


def require_connections(limit: int, settings: Settings, processes: int) -> None:
    """Raise ProbeError if the pools of so many processes do not fit into the server's limit during a rollout."""
    needed = math.ceil(processes * SURGE) * settings.database_pool_size
    if needed > limit:
        raise ProbeError(
            f"{needed} connections are too many: the database allows {limit}. {processes} processes, and a quarter more"
            f" in a rollout, open up to DATABASE_POOL_SIZE={settings.database_pool_size} each. Reduce the pool or the"
            " processes, raise max_connections, or use PgBouncer."
        )


def _reachable(host: str) -> str:
    """Return the address to reach a service that listens on `host`, from the same machine."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if not address.is_unspecified:
        return host
    return "::1" if address.version == 6 else "127.0.0.1"
