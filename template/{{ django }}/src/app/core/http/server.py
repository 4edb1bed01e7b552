"""Granian: one process of threads that serves WSGI, and that ends gently."""

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
"""Threads that no wait for a connection can take away."""

SHUTDOWN_SECONDS = 30
"""Requests under way have this long after the drain to end."""

DRAIN = getattr(signal, "SIGUSR1", None)
"""Tells the serving process that the end is near; Windows has no such signal, and no load balancers."""


def run(settings: Settings, *, reload: bool = False) -> None:
    """Serve until SIGTERM or SIGINT: readiness turns 503, requests under way finish, the process ends.

    With `reload`, a change below `src/app` starts the serving process again, after migrations that are new.
    """
    logs.configure(settings.log_level, json=settings.logs_json)
    if DRAIN is not None:
        # The serving process inherits this, so that it misses none, however early: `wait_for_drain` takes it there.
        signal.pthread_sigmask(signal.SIG_BLOCK, {DRAIN})
    server = GentleServer(
        "app.core.http.application",
        drain_seconds=settings.drain_seconds,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.WSGI,
        # As many as can have or await a connection, and some more: probes are answered also when the database is not.
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
    """Tells the load balancer first, and stops listening when it had time to hear it."""

    def __init__(self, target: str, *, drain_seconds: float, **options: Any) -> None:
        super().__init__(target, **options)
        self.drain_seconds = drain_seconds
        self.told = False

    def signal_handler_interrupt(self, *_: Any) -> None:
        """Granian's handler of SIGTERM and SIGINT, in the process that watches over the serving one."""
        again, self.told = self.told, True
        if again or not self.drain_seconds:
            super().signal_handler_interrupt()
            return
        # Only where there is time until the next signal: of two that come at once, Python may sleep through the second.
        for worker in self.wrks:
            if DRAIN is not None and worker.is_alive():
                os.kill(worker.inner.pid, DRAIN)
        drain = threading.Timer(self.drain_seconds, super().signal_handler_interrupt)
        drain.daemon = True  # whoever asks again is not made to wait
        drain.start()


def wait_for_drain(told: signal.Signals, state: State) -> None:
    """Turn readiness off when this signal comes.

    A handler would run in the main thread, and Python lets that sleep on when a signal comes as it falls asleep.
    """
    signal.sigwait({told})
    state.draining.set()


def load() -> Callable[..., Any]:
    """The application, in the process that serves it."""
    try:
        application = create_application()
    except (ConfigError, SliceError) as error:
        sys.exit(f"{error}")
    if DRAIN is not None:
        threading.Thread(target=wait_for_drain, args=(DRAIN, application.state), daemon=True).start()
    start()
    gc.freeze()  # what is imported stays: requests would wait while the collector looks through all of it

    def answer(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        # Granian says its name where the application says none, and there is no option against it.
        response = application(environ, lambda status, headers: start_response(status, [*headers, ("Server", "")]))
        if not isinstance(response, HttpResponse):
            return cast("Iterable[bytes]", response)
        # Granian sends a list at once, and anything else piece by piece. So the request ends here, before it is sent.
        response.close()
        return [response.content]

    return answer
