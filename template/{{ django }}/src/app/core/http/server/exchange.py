"""A request in the event loop, and its response from a thread."""

import asyncio
import time
from collections.abc import Coroutine, Iterable
from typing import Any

from app.core.http.server.protocol import GONE, STREAM

SEND_SECONDS = 30.0
"""Time limit for a client to accept one piece of a streamed response."""

type Response = tuple[str, list[tuple[str, str]], bytes]
"""Status line, headers and content."""


class ClientGoneError(Exception):
    """The client has closed the connection before the end of the response."""


class Exchange:
    """A request, and its response, which a thread hands to the event loop."""

    def __init__(self, scope: Any, send: Any) -> None:
        self.started = time.monotonic()
        self._scope = scope
        self._send = send
        self._gone: asyncio.Event = scope.get(GONE) or asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._response: asyncio.Future[Response | None] = self._loop.create_future()

    async def response(self) -> Response | None:
        """Return the response of the thread, or None if the thread has sent it as a stream.

        Raise ClientGoneError when the client of an event stream leaves.
        """
        return await self._response

    async def answer(self, response: Response) -> None:
        """Send a complete response."""
        status, headers, content = response
        await self._send(_start(status, headers))
        await self._send({"type": "http.response.body", "body": content})

    # Called in threads:

    def finish(self, response: Response | None, error: BaseException | None = None) -> None:
        """Hand over the response. With `error`, the server closes the connection if the response has started."""
        self._loop.call_soon_threadsafe(self._finish, response, error)

    def stream(self, status: str, headers: list[tuple[str, str]], content: Iterable[bytes]) -> None:
        """Send a response piece by piece. Returns when the client has accepted all of them."""
        if any("text/event-stream" in value for _, value in headers):
            self._scope[STREAM] = True
            self._wait(self._watch_client())
        self._wait(self._send(_start(status, headers)))
        for piece in content:
            self._wait(self._send_piece(piece))
        self._wait(self._send({"type": "http.response.body"}))

    def has_client(self) -> bool:
        """Return whether the client still waits for the response."""
        return not self._gone.is_set()

    def _wait(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(SEND_SECONDS)

    # Called in the event loop:

    async def _watch_client(self) -> None:
        """End the request when the client leaves: the thread may wait for the next event for long."""

        async def watch() -> None:
            await self._gone.wait()
            self._finish(None, ClientGoneError())

        watching = asyncio.ensure_future(watch())
        self._response.add_done_callback(lambda _response: watching.cancel())

    def _finish(self, response: Response | None, error: BaseException | None) -> None:
        if self._response.done():
            return
        if error:
            self._response.set_exception(error)
        else:
            self._response.set_result(response)

    async def _send_piece(self, piece: bytes) -> None:
        if self._gone.is_set():
            raise ClientGoneError
        await self._send({"type": "http.response.body", "body": piece, "more_body": True})


def _start(status: str, headers: list[tuple[str, str]]) -> dict[str, Any]:
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    return {"type": "http.response.start", "status": int(status[:3]), "headers": encoded}
