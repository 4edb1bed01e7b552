"""The server Granian: one WSGI process with threads, and graceful shutdown."""

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any, cast

import structlog
from django.http import HttpResponse
from granian.constants import Interfaces
from granian.server import Server

from app.core.cli.reload import NewMigrations
from app.core.config import ConfigError, Settings
from app.core.database.pool import WAITING
from app.core.http.application import StartResponse, create_application, start
from app.core.http.state import State
from app.core.observability import logs
from app.core.slices import PACKAGE, SliceError

log = structlog.get_logger()

PROBES = 4
"""Threads in addition to those that can wait for a database connection, so that probes are answered."""

SHUTDOWN_SECONDS = 30
"""Time for running requests to finish after the drain."""

DRAIN = getattr(signal, "SIGUSR1", None)
"""Signal to the serving process to turn readiness off. Windows does not have this signal."""


def run(settings: Settings, *, reload: bool = False) -> None:
    """Serve until SIGTERM or SIGINT. Then readiness turns 503, running requests finish, and the process ends.

    With `reload`, a change below `src/app` applies new migrations and restarts the serving process.
    """
    logs.configure(settings.log_level, json=settings.logs_json)
    if DRAIN is not None:
        # The serving process inherits the mask, so that an early signal stays pending until `wait_for_drain`.
        signal.pthread_sigmask(signal.SIG_BLOCK, {DRAIN})
    server = GentleServer(
        "app.core.http.application",
        drain_seconds=settings.drain_seconds,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.WSGI,
        # One thread for each request that has or awaits a connection, and some for probes.
        blocking_threads=settings.database_pool_size * (1 + WAITING) + PROBES,
        respawn_failed_workers=not reload,
        workers_kill_timeout=1 if reload else SHUTDOWN_SECONDS,
        websockets=False,
        log_enabled=False,
        reload=reload,
        reload_paths=[PACKAGE] if reload else None,
        reload_ignore_worker_failure=reload,
    )
    server.on_reload(NewMigrations().apply)
    server.serve(target_loader=load, wrap_loader=False)
    log.info("stop")


class GentleServer(Server):  # type: ignore[misc, valid-type]
    """Turns readiness off first, and stops listening after DRAIN_SECONDS, when the load balancer has noticed."""

    def __init__(self, target: str, *, drain_seconds: float, **options: Any) -> None:
        super().__init__(target, **options)
        self.drain_seconds = drain_seconds
        self.has_stop_signal = False

    def signal_handler_interrupt(self, *_: Any) -> None:
        """Granian's handler of SIGTERM and SIGINT, in the parent of the serving process."""
        again, self.has_stop_signal = self.has_stop_signal, True
        if again or not self.drain_seconds:
            super().signal_handler_interrupt()
            return
        # Send DRAIN only before a drain time: of two signals in quick succession, Python may miss the second.
        for worker in self.wrks:
            if DRAIN is not None and worker.is_alive():
                os.kill(worker.inner.pid, DRAIN)
        drain = threading.Timer(self.drain_seconds, super().signal_handler_interrupt)
        drain.daemon = True  # a daemon thread, so that a second signal ends the process without this wait
        drain.start()


def wait_for_drain(drain: signal.Signals, state: State) -> None:
    """Turn readiness off when the signal `drain` arrives.

    Not a signal handler: Python runs handlers in the main thread, which may sleep on if the signal arrives just before
    the thread falls asleep.
    """
    signal.sigwait({drain})
    state.draining.set()


def load() -> Callable[..., Any]:
    """Return the application. Called in the serving process."""
    try:
        application = create_application()
    except (ConfigError, SliceError) as error:
        sys.exit(f"{error}")
    if DRAIN is not None:
        threading.Thread(target=wait_for_drain, args=(DRAIN, application.state), daemon=True).start()
    start()
    gc.freeze()  # imported objects are never freed: the garbage collector can skip them

    def answer(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        # Granian adds its name as Server header unless the application sets one, and has no option against that.
        response = application(environ, lambda status, headers: start_response(status, [*headers, ("Server", "")]))
        if not isinstance(response, HttpResponse):
            return cast("Iterable[bytes]", response)
        # Granian sends a list as one piece, and other iterables in several. So close the response before it is sent.
        response.close()
        return [response.content]

    return answer
