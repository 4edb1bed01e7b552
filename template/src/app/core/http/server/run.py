"""Starts uvicorn, with a drain before it stops."""

import gc
import sys
import threading
from types import FrameType
from typing import Any, Protocol

import uvicorn

from app.core.config import Settings
from app.core.http.server.protocol import BoundedProtocol

SHUTDOWN_SECONDS = 25
"""Time for running requests to finish after the drain: less than the 30 s after which orchestrators kill a process."""


class Drainable(Protocol):
    """The state of an application: readiness is 503 while `draining` is true."""

    draining: bool


class Server(uvicorn.Server):
    """Turns readiness off first, and stops listening after DRAIN_SECONDS, when the load balancer has noticed."""

    def __init__(self, config: uvicorn.Config, state: Drainable, drain_seconds: float) -> None:
        super().__init__(config)
        self._state = state
        self._drain_seconds = drain_seconds

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        again, self._state.draining = self._state.draining, True
        if again or not self._drain_seconds:
            super().handle_exit(sig, frame)
        else:
            drain = threading.Timer(self._drain_seconds, super().handle_exit, (sig, frame))
            drain.daemon = True  # a daemon thread, so that a second signal ends the process without this wait
            drain.start()


def server_config(app: Any, settings: Settings, **options: Any) -> uvicorn.Config:
    """Return uvicorn's configuration. `app` is an ASGI application, or the name of a factory."""
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=BoundedProtocol,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # the middleware applies X-Forwarded-* headers
        timeout_keep_alive=settings.keep_alive_seconds,
        **options,
    )


def run(app: Any, settings: Settings, state: Drainable, **options: Any) -> None:
    """Serve until SIGTERM or SIGINT. Then readiness turns 503, running requests finish, and connections close."""
    loop = "uvloop" if sys.platform != "win32" else "asyncio"
    config = server_config(app, settings, loop=loop, timeout_graceful_shutdown=SHUTDOWN_SECONDS, **options)
    gc.freeze()  # imported objects are never freed: the garbage collector can skip them
    Server(config, state, settings.drain_seconds).run()
