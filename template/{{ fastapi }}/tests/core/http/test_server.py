"""The server: limits, event streams and proxies."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import uvicorn
from fastapi import Request
from fastapi.responses import StreamingResponse
from uvicorn.server import ServerState

from app.core.cli.main import main
from app.core.config import Settings
from app.core.http.middleware import STREAM
from app.core.http.server import HEAD_BYTES, BoundedProtocol
from app.main import create_app


class Transport(asyncio.Transport):
    """A transport that records the response."""

    def __init__(self) -> None:
        super().__init__({"peername": ("203.0.113.7", 1), "sockname": ("127.0.0.1", 8000)})
        self.answered = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.answered += data

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None: ...

    def close(self) -> None:
        self.closed = True


@pytest.fixture
async def opened() -> tuple[BoundedProtocol, Transport]:
    """A connection to an application that never responds."""

    async def nothing(scope: Any, receive: Any, send: Any) -> None: ...

    config = uvicorn.Config(
        nothing, interface="asgi3", http=BoundedProtocol, lifespan="off", ws="none", log_config=None
    )
    config.load()
    protocol, transport = BoundedProtocol(config, ServerState(), {}), Transport()
    protocol.connection_made(transport)
    return protocol, transport


@pytest.mark.parametrize("start", [b"GET /", b"GET / HTTP/1.1\r\nX-Long: "], ids=["path", "header"])
async def test_endless_request_head_is_400(opened: tuple[BoundedProtocol, Transport], start: bytes) -> None:
    protocol, transport = opened
    protocol.data_received(start)
    for _ in range(HEAD_BYTES // 8192):
        assert not transport.closed
        protocol.data_received(b"x" * 8192)
    assert transport.closed
    assert transport.answered.startswith(b"HTTP/1.1 400 ")


async def test_head_limit_ignores_the_body(
    opened: tuple[BoundedProtocol, Transport], monkeypatch: pytest.MonkeyPatch
) -> None:
    protocol, transport = opened
    monkeypatch.setattr(protocol, "_start_asgi_task", lambda *_: None)
    protocol.data_received(b"POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n")
    for _ in range(20):
        protocol.data_received(b"x" * 50_000)
    assert not transport.closed


@pytest.mark.parametrize(("stream", "closed"), [(True, True), (False, False)])
async def test_shutdown_ends_an_event_stream(
    opened: tuple[BoundedProtocol, Transport], monkeypatch: pytest.MonkeyPatch, *, stream: bool, closed: bool
) -> None:
    protocol, transport = opened
    monkeypatch.setattr(protocol, "_start_asgi_task", lambda *_: None)
    protocol.data_received(b"GET / HTTP/1.1\r\n\r\n")
    scope: Any = protocol.cycle.scope
    scope[STREAM] = stream
    protocol.shutdown()
    assert transport.closed is closed


async def test_event_stream_response_is_marked(settings: Settings) -> None:
    streams: list[bool] = []
    app = create_app(settings)

    @app.get("/events")
    async def events(request: Request) -> StreamingResponse:
        async def ticks() -> AsyncIterator[str]:
            yield "data: 1\n\n"
            streams.append(STREAM in request.scope)

        return StreamingResponse(ticks(), media_type="text/event-stream")

    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test") as client:
        await client.get("/events")
    assert streams == [True]


@pytest.mark.parametrize(
    ("trusted", "peer", "statuses"),
    [
        ("", "203.0.113.7", [422, 429, 429]),
        ("10.0.0.0/8", "203.0.113.7", [422, 429, 429]),
        ("10.0.0.0/8", "10.1.2.3", [422, 422, 422]),
    ],
    ids=["no proxy", "another peer", "a trusted proxy"],
)
async def test_only_trusted_proxies_set_client_address(
    database_url: str, monkeypatch: pytest.MonkeyPatch, trusted: str, peer: str, statuses: list[int]
) -> None:
    """Call the application of `serve`: each forwarded address of a trusted proxy has its own rate limit."""
    served: list[uvicorn.Server] = []
    monkeypatch.setattr("uvicorn.Server.run", lambda self, **_: served.append(self))
    monkeypatch.setattr("gc.freeze", lambda: None)
    for name, value in {"REGISTRATION_RATE": "1/hour", "TRUSTED_PROXIES": trusted}.items():
        monkeypatch.setenv(name, value)
    main(["serve"])
    [server] = served
    server.config.load()
    transport = httpx2.ASGITransport(server.config.loaded_app, client=(peer, 50_000))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        found = [
            (
                await client.post("/api/v1/users", json={}, headers={"X-Forwarded-For": f"198.51.100.{number}"})
            ).status_code
            for number in range(3)
        ]
    assert found == statuses
