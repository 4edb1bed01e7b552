"""Runs Django behind an event loop: the loop talks to the clients, and threads run Django.

A client that sends or reads slowly keeps a connection open, but occupies no thread. Requests wait for a thread in turn.
Health checks have threads of their own, so that other requests cannot delay them.
"""

import io
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from queue import SimpleQueue
from types import MappingProxyType
from typing import Any, cast
from urllib.parse import unquote_to_bytes

import structlog
from django.conf import settings as django_settings
from django.db import connection
from django.http import HttpResponse

from app.core.http import health
from app.core.http.headers import LIVENESS, PROBES, SecurityHeaders, identify
from app.core.http.middleware import Application, max_body_bytes
from app.core.http.server.exchange import ClientGoneError, Exchange, Response
from app.core.http.state import LATE
from app.core.observability.logs import RequestLog
from app.core.security.passwords import has_client

log = structlog.get_logger()

THREADS_PER_CONNECTION = 3
"""Threads for each connection of the pool: some requests hash a password, or call another service."""

PROBE_THREADS = 4

CORE_MIDDLEWARE = ("app.core.", "whitenoise.")

ALIVE = health.ALIVE.model_dump_json().encode()

type Job = tuple[dict[str, Any], Exchange]

ENVIRON = MappingProxyType(
    {
        "SCRIPT_NAME": "",
        "wsgi.errors": sys.stderr,
        "wsgi.input": io.BytesIO(),
        "wsgi.multiprocess": False,
        "wsgi.multithread": True,
        "wsgi.run_once": False,
        "wsgi.version": (1, 0),
    }
)


class Bridge:
    """An ASGI application that runs Django's WSGI handler in threads."""

    def __init__(self, application: Application) -> None:
        settings = application.state.settings
        self.state = application.state
        self._application = application
        self._settings = settings
        self._requests = self._threads(settings.database_pool_size * THREADS_PER_CONNECTION, "request")
        self._probes = self._threads(PROBE_THREADS, "probe")
        # Without middleware of the project, the event loop answers liveness: neither threads nor Django can delay it.
        self._answers_liveness = all(name.startswith(CORE_MIDDLEWARE) for name in django_settings.MIDDLEWARE)
        self._security_headers = SecurityHeaders(settings, lambda name, value: (name.lower().encode(), value.encode()))
        self._log = RequestLog(PROBES)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if self._answers_liveness and scope["path"] == LIVENESS and scope["method"] == "GET":
            names = dict(scope["headers"])
            if b"origin" not in names:
                await self._answer_liveness(names.get(b"x-request-id", b"").decode("latin-1"), send)
                return
        environ = environ_of(scope)
        if "CONTENT_LENGTH" in environ or "HTTP_TRANSFER_ENCODING" in environ:
            body = await self._read(environ, receive)
            if body is None:
                return
            environ["wsgi.input"] = io.BytesIO(body)
        exchange = Exchange(scope, send)
        is_probe = environ["PATH_INFO"].startswith(PROBES)
        (self._probes if is_probe else self._requests).put((environ, exchange))
        with suppress(ClientGoneError):
            if response := await exchange.response():
                await exchange.answer(response)

    async def _answer_liveness(self, offered_id: str, send: Any) -> None:
        """Answer like the route `live`, which a request from another origin reaches."""
        started = time.perf_counter()
        headers = [
            (b"content-type", b"application/json"),
            (b"x-request-id", identify(offered_id, None).encode()),
            (b"content-length", b"%d" % len(ALIVE)),
            *self._security_headers.common,
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": ALIVE})
        self._log.end("GET", LIVENESS, LIVENESS, 200, started)

    async def _read(self, environ: dict[str, Any], receive: Any) -> bytes | None:
        """Return the body, and set its length. None if the client has gone. A body above its limit is not read."""
        limit = max_body_bytes(self._settings, environ)
        length = environ.get("CONTENT_LENGTH", "0")
        if not length.isdecimal() or int(length) > limit:
            return b""  # the middleware refuses the request
        body = bytearray()
        more = True
        while more and len(body) <= limit:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message["body"]
            more = message["more_body"]
        environ["CONTENT_LENGTH"] = str(len(body))
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        return bytes(body)

    def _threads(self, number: int, name: str) -> SimpleQueue[Job]:
        queue: SimpleQueue[Job] = SimpleQueue()
        for _ in range(number):
            threading.Thread(target=self._work, args=(queue,), name=name, daemon=True).start()
        return queue

    def _work(self, queue: SimpleQueue[Job]) -> None:
        while True:
            environ, exchange = queue.get()
            if time.monotonic() - exchange.started > self._settings.database_timeout_seconds:
                environ[LATE] = True
            try:
                exchange.finish(self._run(environ, exchange))
            except BaseException as error:  # the thread must survive
                exchange.finish(None, error)

    def _run(self, environ: dict[str, Any], exchange: Exchange) -> Response | None:
        """Return the response. None for a streamed response, which has been sent."""
        started: list[Any] = []
        has_client.set(exchange.has_client)

        def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> Any:
            started[:] = status, headers

        response = self._application(environ, start_response)
        try:
            if isinstance(response, HttpResponse):
                return started[0], started[1], response.content
            exchange.stream(started[0], started[1], cast("Iterable[bytes]", response))
        finally:
            response.close()  # also returns the database connection
        return None


def environ_of(scope: Any) -> dict[str, Any]:
    """Return the WSGI environment of an ASGI request (PEP 3333), without headers that have an underscore.

    `X_Forwarded_For` would have the same name as `X-Forwarded-For`.
    """
    server, client = scope["server"] or ("localhost", None), scope["client"] or ("", 0)
    environ: dict[str, Any] = {
        **ENVIRON,
        "REQUEST_METHOD": scope["method"],
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1] or ""),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": client[0],
        "wsgi.url_scheme": scope["scheme"],
    }
    environ["HTTP_HOST"] = ""  # otherwise Django would take SERVER_NAME
    for raw_name, raw_value in scope["headers"]:
        if key := _key_of(raw_name):
            value = raw_value.decode("latin-1")
            separator = "; " if key == "HTTP_COOKIE" else ","
            environ[key] = f"{environ[key]}{separator}{value}" if environ.get(key) else value
    return environ


@lru_cache(256)
def _key_of(name: bytes) -> str | None:
    """Return the key of a header in the WSGI environment, or None for a name with an underscore."""
    key = name.decode("latin-1").upper().replace("-", "_")
    if b"_" in name:
        return None
    return key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}"


async def _lifespan(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    connection.close_pool()  # type: ignore[attr-defined]
    log.info("stop")
    await send({"type": "lifespan.shutdown.complete"})
