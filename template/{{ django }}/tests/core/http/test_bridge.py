"""The bridge between the event loop and the threads of Django."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.http import HttpResponse, StreamingHttpResponse
from django.test import override_settings

from app.core.config import Settings
from app.core.http.middleware import Application
from app.core.http.server import bridge
from app.core.http.server.bridge import Bridge, environ_of
from app.core.http.server.protocol import GONE
from app.core.http.state import LATE
from app.core.security.passwords import has_client


class Client:
    """A connection to the bridge. `gone` ends it."""

    def __init__(self, path: str, *body: bytes, method: str = "GET", **headers: str) -> None:
        self.scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "raw_path": path.encode(),
            "path": path,
            "query_string": b"",
            "http_version": "1.1",
            "scheme": "http",
            "server": ("test", 80),
            "client": ("203.0.113.7", 1),
            "headers": [(b"host", b"test"), *((name.encode(), value.encode()) for name, value in headers.items())],
        }
        self.body = list(body)
        if "content-length" not in headers and "transfer-encoding" not in headers:
            self.body = [b""]  # a server also sends the end of a missing body
        self.gone = self.scope[GONE] = asyncio.Event()
        self.sent: list[Any] = []

    async def receive(self) -> dict[str, Any]:
        if self.body:
            return {"type": "http.request", "body": self.body.pop(0), "more_body": bool(self.body)}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    async def call(self, app: Bridge) -> int:
        await app(self.scope, self.receive, self.send)
        status: int = self.sent[0]["status"]
        return status

    async def until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not reached():  # noqa: ASYNC110 -- threads change the state
                await asyncio.sleep(0.01)

    @property
    def content(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)


@pytest.fixture
def start(settings: Settings, app: Application) -> Callable[..., Bridge]:
    """Return a bridge to a function that replaces Django."""

    def start(answer: Callable[[dict[str, Any]], Any] | None = None, **changes: Any) -> Bridge:
        app.state.settings = settings.model_copy(update={"database_pool_size": 1, **changes})
        started = Bridge(app)
        if answer:

            def run(environ: dict[str, Any], start_response: Any) -> Any:
                response = answer(environ)
                start_response("200 OK", [("Content-Type", "text/plain")])
                return response

            started._application = run  # type: ignore[assignment]
        return started

    return start


async def test_request_is_answered_by_django(start: Callable[..., Bridge]) -> None:
    client = Client("/nothing%20here", **{"x-request-id": "trace-0123456789"})
    assert await client.call(start()) == 404
    assert client.content
    assert (b"X-Request-ID", b"trace-0123456789") in client.sent[0]["headers"]


async def test_busy_threads_do_not_delay_health_checks(start: Callable[..., Bridge]) -> None:
    free = threading.Event()

    def answer(environ: dict[str, Any]) -> HttpResponse:
        if not environ["PATH_INFO"].startswith("/health/"):
            free.wait(30)
        return HttpResponse()

    app = start(answer)
    waiting = [asyncio.ensure_future(Client("/busy").call(app)) for _ in range(10)]
    await asyncio.sleep(0.05)
    for path in ("/health/live", "/health/ready"):
        assert await asyncio.wait_for(Client(path).call(app), 5) == 200
    assert not any(call.done() for call in waiting)
    free.set()
    await asyncio.gather(*waiting)


async def test_liveness_is_answered_like_the_route(start: Callable[..., Bridge]) -> None:
    app = start()
    direct, route = Client("/health/live"), Client("/health/live", origin="https://front.example")
    assert (await direct.call(app), await route.call(app)) == (200, 200)
    assert direct.content == route.content
    names = [{name.lower() for name, _ in client.sent[0]["headers"]} for client in (direct, route)]
    assert names[0] == names[1]


async def test_project_middleware_sees_liveness(start: Callable[..., Bridge]) -> None:
    with override_settings(MIDDLEWARE=["blog.middleware.Count"]):
        app = start(lambda environ: HttpResponse(b"counted"))
    client = Client("/health/live")
    await client.call(app)
    assert client.content == b"counted"


async def test_event_stream_ends_when_its_client_leaves(start: Callable[..., Bridge]) -> None:
    next_event = threading.Event()

    def events() -> Iterator[bytes]:
        yield b"data: 1\n\n"
        next_event.wait(30)

    app = start()
    app._application = lambda _environ, start_response: (  # type: ignore[assignment]
        start_response("200 OK", [("Content-Type", "text/event-stream")]),
        StreamingHttpResponse(events()),
    )[1]
    client = Client("/events")
    call = asyncio.ensure_future(client.call(app))
    await client.until(lambda: len(client.sent) == 2)
    client.gone.set()
    assert await asyncio.wait_for(call, 5) == 200
    next_event.set()
    await client.until(lambda: len(client.sent) == 3)  # the thread ends before the event loop
    await asyncio.sleep(0.05)


async def test_late_request_is_503(start: Callable[..., Bridge]) -> None:
    app = start(lambda environ: HttpResponse(str(environ.get(LATE)).encode()), database_timeout_seconds=0.01)
    free = threading.Event()
    for _ in range(bridge.THREADS_PER_CONNECTION):
        app._requests.put(({}, BlockedExchange(free)))  # type: ignore[arg-type]
    client = Client("/late")
    call = asyncio.ensure_future(client.call(app))
    await asyncio.sleep(0.05)
    free.set()
    await call
    assert client.content == b"True"


class BlockedExchange:
    """Occupies a thread until it is free."""

    def __init__(self, free: threading.Event) -> None:
        self.free = free

    @property
    def started(self) -> float:
        self.free.wait(30)
        return time.monotonic()

    def finish(self, *_: Any) -> None: ...


@pytest.mark.parametrize(
    ("body", "headers", "read", "length"),
    [
        ((b'{"a"', b":1}"), {"content-length": "7"}, b'{"a":1}', "7"),
        ((b'{"a"', b":1}"), {"transfer-encoding": "chunked"}, b'{"a":1}', "7"),
        ((b"x" * 2048,), {"content-length": "2048"}, b"", "2048"),
        ((b"x" * 1000, b"x" * 1000, b"x"), {"transfer-encoding": "chunked"}, b"x" * 2000, "2000"),
    ],
    ids=["length", "chunks", "too long", "too many chunks"],
)
async def test_body_is_read_up_to_its_limit(
    start: Callable[..., Bridge], body: tuple[bytes, ...], headers: dict[str, str], read: bytes, length: str
) -> None:
    seen: list[Any] = []

    def answer(environ: dict[str, Any]) -> HttpResponse:
        seen.extend((environ["wsgi.input"].read(), environ["CONTENT_LENGTH"]))
        return HttpResponse()

    app = start(answer, max_json_bytes=1024)
    await Client("/api/v1/users", *body, method="POST", **headers).call(app)
    assert seen == [read, length]


async def test_client_that_leaves_is_not_answered(start: Callable[..., Bridge]) -> None:
    client = Client("/api/v1/users", method="POST", **{"content-length": "5"})
    client.gone.set()
    await start()(client.scope, client.receive, client.send)
    assert not client.sent


async def test_stream_ends_when_the_client_leaves(start: Callable[..., Bridge]) -> None:
    closed = threading.Event()

    def pieces() -> Iterator[bytes]:
        try:
            while True:
                yield b"x"
        finally:
            closed.set()

    client = Client("/export")
    call = asyncio.ensure_future(client.call(start(lambda environ: StreamingHttpResponse(pieces()))))
    await client.until(lambda: len(client.sent) > 5)
    client.gone.set()
    await call
    assert closed.wait(5)


async def test_thread_notices_that_the_client_left(start: Callable[..., Bridge]) -> None:
    seen: list[bool] = []
    left = threading.Event()

    def answer(environ: dict[str, Any]) -> HttpResponse:
        present = has_client.get()
        assert present
        seen.append(present())
        left.wait(5)
        seen.append(present())
        return HttpResponse()

    client = Client("/slow")
    call = asyncio.ensure_future(client.call(start(answer)))
    await client.until(lambda: bool(seen))
    client.gone.set()
    await asyncio.sleep(0.01)
    left.set()
    await call
    assert seen == [True, False]


def test_header_with_underscore_is_dropped() -> None:
    scope = {
        "method": "GET",
        "raw_path": b"/%ff",
        "query_string": b"q=1",
        "http_version": "1.1",
        "scheme": "http",
        "server": None,
        "client": None,
        "headers": [
            *((b"x_forwarded_for", b"1"), (b"x-forwarded-for", b"2"), (b"x-forwarded-for", b"3")),
            *((b"cookie", b"a=1"), (b"cookie", b"b=2")),
        ],
    }
    environ = environ_of(scope)
    assert environ["HTTP_X_FORWARDED_FOR"] == "2,3"
    assert environ["HTTP_COOKIE"] == "a=1; b=2"
    assert environ["PATH_INFO"] == "/\xff"
