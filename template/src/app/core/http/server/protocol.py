"""uvicorn's protocol for HTTP, with limits for slow clients and for the head of a request."""

import asyncio
import time
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

HEAD_BYTES = 65_536

HEAD_SECONDS = 20.0
"""Time limit for the head of a request, from its first byte."""

BODY_SECONDS = 20.0
"""Time limit for the body of a request, plus one second for each MIN_BYTES_PER_SECOND that arrived."""

MIN_BYTES_PER_SECOND = 8_192

WRITE_SECONDS = 10.0
"""Time after which a client that reads nothing of its response is disconnected."""

MAX_WAITING_REQUESTS = 8
"""Requests that a client may send before the response to the first."""

BODY_HEADERS = {b"content-length", b"transfer-encoding"}

GONE = "app.gone"
"""Key in the scope of a request: an event that is set when the client has closed the connection."""

STREAM = "app.stream"
"""Key in the scope of a request: True if the response is a stream of events, which a shutdown must end."""


class BoundedProtocol(HttpToolsProtocol):
    """Limits what one client may send, and the time that it may take to send a request or to read a response.

    httptools keeps path and headers in memory without a limit, and uvicorn waits for a client without a limit.
    """

    _phase = ""
    """`head` or `body` while this part of a request arrives."""
    _messages = 0
    _received = 0
    """Bytes of this part."""
    _overhead = 0
    """Bytes outside of the body since its last piece: chunk extensions and trailers."""
    _has_content = False
    _since = 0.0
    _timer: asyncio.TimerHandle | None = None
    _stall: asyncio.TimerHandle | None = None
    _running: Any = None
    """The request that is being answered. uvicorn's `cycle` is the last request that arrived."""

    @property
    def _is_answering(self) -> bool:
        return self._running is not None and not self._running.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._set_timer(self.timeout_keep_alive)

    def connection_lost(self, exc: Exception | None) -> None:
        self._unset_timer()
        if self._stall:
            self._stall.cancel()
        self.pipeline.clear()
        super().connection_lost(exc)
        if self._is_answering:
            self._running.disconnected = True
            self._running.message_event.set()
            self._running.scope[GONE].set()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._running = cycle
        cycle.scope[GONE] = asyncio.Event()
        super()._start_asgi_task(cycle, app)

    def data_received(self, data: bytes) -> None:
        before = self._messages, self._phase
        self._has_content = False
        super().data_received(data)
        if self.transport.is_closing():
            return
        if not self._phase:
            self._unset_timer()
        elif (self._messages, self._phase) != before or self._timer is None:
            self._received, self._overhead, self._since = len(data), 0, time.monotonic()
            self._set_timer(HEAD_SECONDS if self._phase == "head" else BODY_SECONDS)
        else:
            self._received += len(data)
            self._overhead = 0 if self._has_content else self._overhead + len(data)
        if self._phase and max(self._overhead, self._received if self._phase == "head" else 0) > HEAD_BYTES:
            self.send_400_response("The path and headers are too long.")

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= MAX_WAITING_REQUESTS:
            raise ValueError("too many requests before the response to the first")
        super().on_message_begin()
        self._messages += 1
        self._phase = "head"

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._phase == "head":  # a trailer must not replace a header, for example of a proxy
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (not hosts and self.parser.get_http_version() == "1.1"):
            raise ValueError("a request has one Host header (RFC 9112, section 3.2)")
        if self.parser.should_upgrade() and any(name in BODY_HEADERS and value != b"0" for name, value in self.headers):
            raise ValueError("httptools would read the body of an upgrade as another request")
        super().on_headers_complete()
        self._phase = "body"
        if self.pipeline:
            self.flow.resume_reading()  # otherwise the end of the connection would not be noticed

    def on_body(self, body: bytes) -> None:
        self._has_content = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._phase = ""

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing() and self.transport.get_write_buffer_size():
            self.loop.call_later(self.timeout_keep_alive, self.transport.abort)

    def send_400_response(self, msg: str) -> None:
        if self._is_answering:
            self.transport.close()  # another response would be part of the running one
        else:
            super().send_400_response(msg)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_writing()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stall:
            self._stall.cancel()

    def _watch_writing(self) -> None:
        self._stall = self.loop.call_later(WRITE_SECONDS, self._abort_stalled, self.transport.get_write_buffer_size())

    def _abort_stalled(self, before: int) -> None:
        if self.transport.get_write_buffer_size() >= before:
            self.transport.abort()
        else:
            self._watch_writing()

    def shutdown(self) -> None:
        """Close a stream of events, which would end only when the client leaves. Let other requests finish."""
        if self._is_answering and self._running.scope.get(STREAM):
            self.transport.close()
        else:
            super().shutdown()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection. A client that does not read its response would keep the connection open."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    def _set_timer(self, seconds: float) -> None:
        self._unset_timer()
        self._timer = self.loop.call_later(seconds, self._expire)

    def _unset_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        self._timer = None
        if (left := self._seconds_left()) > 0:
            self._set_timer(left)
            return
        if self._phase == "head" or (self._phase == "body" and not self.cycle.response_started):
            text = b"The request did not arrive in time."
            head = b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n" % len(text)
            self.transport.write(STATUS_LINE[408] + head + b"connection: close\r\n\r\n" + text)
        self.transport.close()  # the application receives `http.disconnect`
        self.loop.call_later(1, self.transport.abort)

    def _seconds_left(self) -> float:
        """Return the time that the client still has for this part. It has more while it waits for another response."""
        if self._phase == "head":
            return HEAD_SECONDS if self._is_answering else 0
        if self._phase == "body":
            left = BODY_SECONDS + self._received / MIN_BYTES_PER_SECOND - (time.monotonic() - self._since)
            return max(left, 0.1) if self.pipeline else left
        return 0
