"""Streams of events."""

from collections.abc import AsyncIterator

import httpx2
from fastapi import Request
from fastapi.responses import StreamingResponse

from app.core.config import Settings
from app.core.http.server import STREAM
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
