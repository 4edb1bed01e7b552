"""uvicorn's protocol for WebSockets, which cancels routes at shutdown."""

import asyncio
import logging
from contextlib import suppress
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

WEBSOCKET_SECONDS = 1.0
"""Time that the route of a WebSocket may run after the service has closed the connection."""

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
