"""uvicorn's protocols, with a size limit for request heads, and with an end to streams at shutdown."""

import asyncio
import logging
from contextlib import suppress
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from app.core.http.middleware import STREAM

HEAD_BYTES = 65_536

WEBSOCKET_SECONDS = 1.0
"""Time that the route of a WebSocket may run after the service has closed the connection."""


class BoundedProtocol(HttpToolsProtocol):
    """Limits the size of path and headers: httptools keeps both in memory without a limit."""

    _unfinished = 0
    """Bytes of the head received so far."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # uvicorn sets `scope` with the first message, and the method when the head is complete.
        if self.scope and "method" not in self.scope:  # type: ignore[redundant-expr]
            self._unfinished += len(data)
            if self._unfinished > HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("The path and headers are too long.")
        elif self._unfinished:
            self._unfinished = 0

    def shutdown(self) -> None:
        """Close a stream of events, which would end only when the client leaves. Let other requests finish."""
        if getattr(self.cycle, "scope", {}).get(STREAM):  # `cycle` is None before the first request
            self.transport.close()
        else:
            super().shutdown()


WEBSOCKET_LOG = logging.getLogger("uvicorn.websocket")
# uvicorn would log the query, which may hold secrets, and each refusal as an error. The middleware logs errors.
WEBSOCKET_LOG.setLevel(logging.CRITICAL)


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """Cancels the route of a WebSocket at shutdown, because the route may not be waiting for the client."""

    _route: asyncio.Task[None] | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.logger = self.conn.logger = WEBSOCKET_LOG

    async def run_asgi(self) -> None:
        self._route, app = asyncio.current_task(), self.app

        async def ending(*connection: Any) -> None:
            with suppress(asyncio.CancelledError):  # uvicorn would log an error
                await app(*connection)

        self.app = ending
        await super().run_asgi()

    def shutdown(self) -> None:
        super().shutdown()
        if self._route:
            self.loop.call_later(WEBSOCKET_SECONDS, self._route.cancel)
