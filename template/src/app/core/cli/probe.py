"""Commands for containers: a health check of the running service, and waiting for migrations."""

import http.client
import ipaddress
import json
import time
from collections.abc import Callable
from contextlib import suppress

from app.core.config import Settings

TIMEOUT = 5.0
"""Seconds to wait for a response."""

PAUSE = 1.0
"""Seconds between two attempts."""


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


def _reachable(host: str) -> str:
    """Return the address to reach a service that listens on `host`, from the same machine."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if not address.is_unspecified:
        return host
    return "::1" if address.version == 6 else "127.0.0.1"
