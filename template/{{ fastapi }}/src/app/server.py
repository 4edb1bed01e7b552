"""uvicorn's HTTP, with an end to what a caller may send before its body."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 65_536


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
