"""Streams of events."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from fastapi import Request
from fastapi.responses import StreamingResponse

from app.core.accounts import routes
from app.core.config import Settings
from app.core.http.limits.exports import ExportTimeout
from app.core.http.server.protocol import STREAM
from app.main import create_app


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


async def test_export_ends_after_its_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while the client does not read."""
    monkeypatch.setattr(routes, "EXPORT_SECONDS", 0.05)

    async def pieces() -> AsyncIterator[bytes]:
        while True:
            yield b"x"

    async def receive() -> Any:
        await asyncio.sleep(30)

    async def send(message: Any) -> None:
        await asyncio.sleep(0 if message["type"] == "http.response.start" else 30)

    scope: Any = {"type": "http", "asgi": {"spec_version": "2.3"}}
    with pytest.raises(ExportTimeout):
        await routes.ExportResponse(pieces())(scope, receive, send)
