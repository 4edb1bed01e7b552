"""Standard output for logs, which neither blocks nor fails a request."""

import os
import select
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from json import JSONEncoder
from typing import Any, TextIO

ENCODER = JSONEncoder(default=repr)
"""Created once: `json.dumps` with a `default` creates an encoder for each line.

The encoder escapes all non-ASCII characters, against log injection: a caller could send line separators, control
sequences or bidirectional overrides, which change how a log looks.
"""

PIECE = getattr(select, "PIPE_BUF", 4096) // 4
"""Characters that a pipe takes without blocking when it is ready. A character has up to four bytes."""

MAX_WAITING = 10_000
"""Maximum number of pieces that wait for a slow reader, about 10 MB. Most lines are one piece."""

CLOSE_SECONDS = 2.0
"""Time for a slow reader to take the waiting lines at the end of the process."""


class Output:
    """Standard output for logs. Neither an error, such as a full disk, nor a reader that stalls stops a request.

    Lines wait in memory for a slow reader, and a thread writes them later. The number of lost lines is logged as soon
    as the output works again. After the end of the reader of a pipe, lines are dropped without an error.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._poll = _poll_of(stream)
        self._lock = threading.Lock()
        self._waiting: deque[str] = deque()
        self._writer: threading.Thread | None = None
        self._lost = 0

    def write(self, text: str) -> None:
        with self._lock:
            if len(self._waiting) < MAX_WAITING:
                self._write(text)
            else:
                self._lost += 1

    def flush(self) -> None:
        """Do nothing: `write` has flushed."""

    def close(self) -> None:
        """Wait a short time for the thread that writes to a slow reader."""
        if writer := self._writer:
            writer.join(CLOSE_SECONDS)

    def _write(self, text: str) -> None:
        for start in range(0, len(text), PIECE):
            piece = text[start : start + PIECE]
            if self._waiting or (self._poll and not self._poll(0)):
                self._waiting.append(piece)
            else:
                self._send(piece)
        if self._waiting and not self._writer:
            self._writer = threading.Thread(target=self._write_waiting, name="log", daemon=True)
            self._writer.start()

    def _write_waiting(self) -> None:
        while self._poll and self._writer:
            self._poll(None)  # without the lock: other threads do not poll while lines wait
            with self._lock:
                self._send(self._waiting.popleft())
                if not self._waiting:
                    self._writer = None

    def _send(self, piece: str) -> None:
        try:
            self._stream.write(piece)
            self._stream.flush()
        except BrokenPipeError:
            self._discard()
        except (OSError, ValueError):  # ValueError: the stream is closed
            self._lost += 1
        else:
            if self._lost and not self._waiting and piece.endswith("\n"):
                lost, self._lost = self._lost, 0
                # Not by the logger, which holds its lock during a write.
                self._write(ENCODER.encode({"event": "log lines lost", "level": "error", "lines": lost}) + "\n")

    def _discard(self) -> None:
        """Redirect the output to nowhere. Otherwise the interpreter would exit with an error, too."""
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


def _poll_of(stream: TextIO) -> Callable[[float | None], list[Any]] | None:
    """Return a function that waits until the stream takes PIPE_BUF bytes, where the system has one."""
    if sys.platform == "win32":
        return None
    poll = select.poll()
    try:
        poll.register(stream.fileno(), select.POLLOUT)
    except (OSError, ValueError):  # not a file, as in tests
        return None
    return poll.poll
