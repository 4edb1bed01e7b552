"""uvicorn's protocols, with an end to what a caller may send before its body, and to streams when the service stops."""

import asyncio
import logging
from contextlib import suppress
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from app.core.http.middleware import STREAM

HEAD_BYTES = 65_536

WEBSOCKET_SECONDS = 1.0
"""How long the route of a WebSocket may go on after the service has closed the connection."""


class BoundedProtocol(HttpToolsProtocol):
    """Refuses a path and headers that do not end: httptools keeps them in memory, however long they become."""

    _unfinished = 0
    """What has come of a head that is not whole yet, in bytes."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # There is none before the first message, and its method is told when its head is whole.
        if self.scope and "method" not in self.scope:  # type: ignore[redundant-expr]
            self._unfinished += len(data)
            if self._unfinished > HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("The path and headers are too long.")
        elif self._unfinished:
            self._unfinished = 0

    def shutdown(self) -> None:
        """End a stream of events, which would end by itself only when the client leaves; let all else finish."""
        if getattr(self.cycle, "scope", {}).get(STREAM):  # there is no cycle before the first request
            self.transport.close()
        else:
            super().shutdown()


WEBSOCKET_LOG = logging.getLogger("uvicorn.websocket")
# uvicorn logs the query, which may hold secrets, and each refusal as an error. The middleware reports defects.
WEBSOCKET_LOG.setLevel(logging.CRITICAL)


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """Ends the route of a WebSocket when the service stops: it may wait for something other than the client."""

    _route: asyncio.Task[None] | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.logger = self.conn.logger = WEBSOCKET_LOG

    async def run_asgi(self) -> None:
        self._route, app = asyncio.current_task(), self.app

        async def ending(*connection: Any) -> None:
            with suppress(asyncio.CancelledError):  # uvicorn would log it as a defect
                await app(*connection)

        self.app = ending
        await super().run_asgi()

    def shutdown(self) -> None:
        super().shutdown()
        if self._route:
            self.loop.call_later(WEBSOCKET_SECONDS, self._route.cancel)
