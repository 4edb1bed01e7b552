"""The server: limits of time and size, event streams, keep-alive and the drain."""

import asyncio
import signal
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from app.core.config import Settings
from app.core.http.server import protocol as server
from app.core.http.server.protocol import GONE, HEAD_BYTES, STREAM, BoundedProtocol
from app.core.http.server.run import Server, server_config


class Transport(asyncio.Transport):
    """A transport that records the response."""

    def __init__(self) -> None:
        super().__init__({"peername": ("203.0.113.7", 1), "sockname": ("127.0.0.1", 8000)})
        self.answered = b""
        self.closed = False
        self.unread = 0

    def write(self, data: Any) -> None:
        self.answered += data

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def get_write_buffer_size(self) -> int:
        return self.unread

    def abort(self) -> None:
        self.closed = True

    def close(self) -> None:
        self.closed = True


@pytest.fixture
async def opened() -> tuple[BoundedProtocol, Transport]:
    """A connection to an application that never responds."""

    async def nothing(scope: Any, receive: Any, send: Any) -> None: ...

    config = uvicorn.Config(
        nothing, interface="asgi3", http=BoundedProtocol, lifespan="off", ws="none", log_config=None
    )
    config.timeout_keep_alive = 0.1  # type: ignore[assignment]  # uvicorn's type is int, only for its command line
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


@pytest.mark.parametrize(
    ("version", "headers", "refused"),
    [
        (b"HTTP/1.1", b"", True),
        (b"HTTP/1.1", b"Host: test\r\nhost: test\r\n", True),
        (b"HTTP/1.0", b"Host: test\r\nHost: test\r\n", True),
        (b"HTTP/1.0", b"", False),
        (b"HTTP/1.1", b"Host: test\r\n", False),
    ],
)
async def test_request_has_one_host(
    opened: tuple[BoundedProtocol, Transport], version: bytes, headers: bytes, *, refused: bool
) -> None:
    protocol, transport = opened
    protocol.data_received(b"GET / " + version + b"\r\n" + headers + b"\r\n")
    assert transport.closed is refused
    assert transport.answered.startswith(b"HTTP/1.1 400 ") is refused


async def test_head_limit_ignores_the_body(
    opened: tuple[BoundedProtocol, Transport], monkeypatch: pytest.MonkeyPatch
) -> None:
    protocol, transport = opened
    monkeypatch.setattr(protocol, "_start_asgi_task", lambda *_: None)
    protocol.data_received(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000\r\n\r\n")
    for _ in range(20):
        protocol.data_received(b"x" * 50_000)
    assert not transport.closed


POST = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "closed", "answer"),
    [
        (b"", True, b""),
        (b"GET / HTTP/1.1\r\nHost: loc", True, b"HTTP/1.1 408 "),
        (POST + b"{", True, b"HTTP/1.1 408 "),
        (b"GET / HTTP/1.1\r\nHost: test\r\n\r\n", False, b""),
    ],
    ids=["nothing", "half a head", "half a body", "a whole request"],
)
async def test_slow_request_is_408(
    opened: tuple[BoundedProtocol, Transport],
    monkeypatch: pytest.MonkeyPatch,
    sent: bytes,
    answer: bytes,
    *,
    closed: bool,
) -> None:
    protocol, transport = opened
    monkeypatch.setattr(protocol, "_start_asgi_task", lambda *_: None)
    for name in ("HEAD_SECONDS", "BODY_SECONDS"):
        monkeypatch.setattr(server, name, 0.1)
    if sent:  # the time limit of an idle connection must not end the request
        protocol.timeout_keep_alive = 30
        protocol.connection_made(transport)
    for number in range(len(sent)):
        protocol.data_received(sent[number : number + 1])
    await asyncio.sleep(0.3)
    assert transport.closed is closed
    assert transport.answered.startswith(answer)
    assert bool(transport.answered) is bool(answer)


async def test_fast_body_extends_its_time_limit(
    opened: tuple[BoundedProtocol, Transport], monkeypatch: pytest.MonkeyPatch
) -> None:
    protocol, transport = opened
    monkeypatch.setattr(protocol, "_start_asgi_task", lambda *_: None)
    monkeypatch.setattr(server, "BODY_SECONDS", 0.1)
    protocol.data_received(POST)
    protocol.data_received(b"x" * server.MIN_BYTES_PER_SECOND)
    await asyncio.sleep(0.3)
    assert not transport.closed


@pytest.mark.parametrize(("stream", "closed"), [(True, True), (False, False)])
async def test_shutdown_ends_an_event_stream(
    opened: tuple[BoundedProtocol, Transport], monkeypatch: pytest.MonkeyPatch, *, stream: bool, closed: bool
) -> None:
    protocol, transport = opened
    monkeypatch.setattr(HttpToolsProtocol, "_start_asgi_task", lambda *_: None)
    protocol.data_received(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    scope: Any = protocol.cycle.scope
    scope[STREAM] = stream
    protocol.shutdown()
    assert transport.closed is closed


@pytest.mark.parametrize(("seconds", "drains"), [(0.0, False), (300.0, True)])
def test_first_signal_turns_readiness_off(seconds: float, *, drains: bool) -> None:
    state: Any = SimpleNamespace(draining=False)
    stopping = Server(uvicorn.Config("unused"), state, seconds)
    stopping.handle_exit(signal.SIGTERM, None)
    assert state.draining
    assert stopping.should_exit is not drains
    stopping.handle_exit(signal.SIGTERM, None)
    assert stopping.should_exit, "a second signal must end the drain"


def test_idle_connections_outlive_those_of_a_proxy(settings: Settings) -> None:
    """Otherwise a proxy may send a request into a connection that the service closes, and answer 502."""
    assert server_config("unused", settings).timeout_keep_alive > 60, "nginx and AWS keep a connection for 60 s"


@pytest.mark.parametrize(
    "sent",
    [
        b"POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * (server.MAX_WAITING_REQUESTS + 2),
    ],
    ids=["body of an upgrade", "many requests in advance"],
)
async def test_unanswerable_requests_are_refused(
    opened: tuple[BoundedProtocol, Transport], monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    protocol, transport = opened
    monkeypatch.setattr(HttpToolsProtocol, "_start_asgi_task", lambda *_: None)
    protocol.data_received(sent)
    assert transport.closed


async def test_trailer_does_not_replace_a_header(
    opened: tuple[BoundedProtocol, Transport], monkeypatch: pytest.MonkeyPatch
) -> None:
    protocol, transport = opened
    monkeypatch.setattr(HttpToolsProtocol, "_start_asgi_task", lambda *_: None)
    protocol.data_received(
        b"POST / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    )
    protocol.data_received(b"X-Forwarded-For: 2\r\nX-Next: 3\r\n")
    assert [value for name, value in protocol.cycle.scope["headers"] if name == b"x-forwarded-for"] == [b"1"]
    for _ in range(2):
        protocol.data_received(b"X-Long: " + b"x" * HEAD_BYTES + b"\r\n")
    assert transport.closed


async def test_invalid_request_keeps_running_response(
    opened: tuple[BoundedProtocol, Transport], monkeypatch: pytest.MonkeyPatch
) -> None:
    protocol, transport = opened
    monkeypatch.setattr(HttpToolsProtocol, "_start_asgi_task", lambda *_: None)
    protocol.data_received(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    protocol.data_received(b"nonsense\r\n\r\n")
    assert transport.closed
    assert not transport.answered


@pytest.mark.parametrize(("read", "closed"), [(0, True), (1, False)])
async def test_client_that_reads_nothing_is_disconnected(
    opened: tuple[BoundedProtocol, Transport], monkeypatch: pytest.MonkeyPatch, *, read: int, closed: bool
) -> None:
    protocol, transport = opened
    monkeypatch.setattr(HttpToolsProtocol, "_start_asgi_task", lambda *_: None)
    watches: list[tuple[Any, ...]] = []
    monkeypatch.setattr(protocol.loop, "call_later", lambda *call: watches.append(call))
    protocol.data_received(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    transport.unread = 100
    protocol.pause_writing()
    transport.unread -= read
    seconds, look, *before = watches[-1]
    look(*before)
    assert (seconds, transport.closed) == (server.WRITE_SECONDS, closed)
    protocol.resume_writing()


async def test_lost_client_is_noticed_in_first_request(
    opened: tuple[BoundedProtocol, Transport], monkeypatch: pytest.MonkeyPatch
) -> None:
    protocol, _ = opened
    monkeypatch.setattr(HttpToolsProtocol, "_start_asgi_task", lambda *_: None)
    protocol.data_received(b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n")
    first: Any = protocol.cycle
    protocol.data_received(b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n")
    protocol.connection_lost(None)
    assert first.scope[GONE].is_set()
    assert first.disconnected
