"""What a container's own commands ask: whether the service in it answers, and whether it may start."""

import http.client
import ipaddress
import json
import time
from collections.abc import Callable
from contextlib import suppress

from app.core.config import Settings

TIMEOUT = 5.0
"""Seconds that the service may take to answer."""

PAUSE = 1.0
"""Seconds between two tries."""


class ProbeError(Exception):
    """The answer was no, or did not come; the message says why."""


def ask(settings: Settings, path: str) -> None:
    """GET `path` of the service that these settings start. ProbeError unless it answers 200."""
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
        with suppress(ValueError, TypeError, KeyError):  # it may be anybody who answers on this port
            raise ProbeError(f"{path} answers {response.status}: {json.loads(body)['detail']}")
        raise ProbeError(f"{path} answers {response.status}.")


def wait_until(reason: Callable[[], str], seconds: float) -> None:
    """Return when `reason` gives none any more. ProbeError with the last one after `seconds`."""
    deadline = time.monotonic() + seconds
    while why := reason():
        if time.monotonic() >= deadline:
            raise ProbeError(f"Waited {seconds:g} seconds: {why}")
        time.sleep(PAUSE)


def _reachable(host: str) -> str:
    """Where a service that listens on `host` is reached from its own machine."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if not address.is_unspecified:
        return host
    return "::1" if address.version == 6 else "127.0.0.1"
