"""What the server itself holds."""

import asyncio
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from app.server import HEAD_BYTES, BoundedProtocol


class Transport(asyncio.Transport):
    """A connection that remembers what was answered."""

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
async def connected() -> tuple[BoundedProtocol, Transport]:
    """A connection to an application that is not asked."""

    async def nothing(scope: Any, receive: Any, send: Any) -> None: ...

    config = uvicorn.Config(
        nothing, interface="asgi3", http=BoundedProtocol, lifespan="off", ws="none", log_config=None
    )
    config.load()
    protocol, transport = BoundedProtocol(config, ServerState(), {}), Transport()
    protocol.connection_made(transport)
    return protocol, transport


@pytest.mark.parametrize("start", [b"GET /", b"GET / HTTP/1.1\r\nX-Long: "], ids=["path", "header"])
async def test_a_head_without_an_end_is_refused(connected: tuple[BoundedProtocol, Transport], start: bytes) -> None:
    protocol, transport = connected
    protocol.data_received(start)
    for _ in range(HEAD_BYTES // 8192):
        assert not transport.closed
        protocol.data_received(b"x" * 8192)
    assert transport.closed
    assert transport.answered.startswith(b"HTTP/1.1 400 ")


async def test_a_long_body_is_none_of_its_business(
    connected: tuple[BoundedProtocol, Transport], monkeypatch: pytest.MonkeyPatch
) -> None:
    protocol, transport = connected
    monkeypatch.setattr(protocol, "_start_asgi_task", lambda *_: None)
    protocol.data_received(b"POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n")
    for _ in range(20):
        protocol.data_received(b"x" * 50_000)
    assert not transport.closed
