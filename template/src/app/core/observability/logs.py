"""Logs: one JSON object per line, with the request id."""

import atexit
import logging
import os
import re
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from functools import lru_cache
from json import JSONEncoder
from typing import Any, TextIO, cast

import structlog
from structlog.contextvars import merge_contextvars
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import ExcInfo, Processor

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

SECRET_NAMES = re.compile(r"password|secret|token|authorization|cookie|api_?key|signature", re.IGNORECASE)

EMAIL = re.compile(r"[\w.+%'-]+@[\w-]+(?:\.[\w-]+)+")


class RequestLog:
    """Logs each request. Paths below `quiet` are logged at level debug.

    The logger is bound once, because binding takes time at each request.
    """

    def __init__(self, quiet: str) -> None:
        self._log = structlog.get_logger().bind()
        self._quiet = quiet
        self._debug = self._log.is_enabled_for(logging.DEBUG)

    def end(self, method: str | None, path: str, route: str | None, status: int, started: float) -> None:
        """Log a request. `started` is the value of `time.perf_counter` at its start."""
        quiet = path.startswith(self._quiet)
        if quiet and not self._debug:
            return
        write = self._log.debug if quiet else self._log.info
        ms = round((time.perf_counter() - started) * 1000, 2)
        write("request", method=method, route=route, status=status, ms=ms)


@lru_cache(maxsize=1024)
def is_secret(name: str) -> bool:
    """Return whether a value with this name must not be logged. Cached: all log lines use the same few names."""
    return SECRET_NAMES.search(name) is not None


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Hide the value of each key that `is_secret` matches."""
    for name in event:
        if is_secret(name):
            event[name] = "[redacted]"
    return event


def first_line(message: str) -> str:
    """Return the first line of an error message without e-mail addresses: further lines may hold personal data."""
    return EMAIL.sub("[e-mail]", message.partition("\n")[0])


class _Tracebacks(ExceptionDictTransformer):
    """Renders tracebacks without local variables and without values in messages, which may be passwords."""

    def __init__(self) -> None:
        super().__init__(show_locals=False)

    def __call__(self, exc_info: ExcInfo) -> list[dict[str, Any]]:
        return list(map(self._plain, super().__call__(exc_info)))

    def _plain(self, trace: dict[str, Any]) -> dict[str, Any]:
        grouped = [list(map(self._plain, group)) for group in trace.get("exceptions", ())]
        return trace | {"exc_value": first_line(trace["exc_value"]), "exc_notes": [], "exceptions": grouped}


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


def configure(level: str, *, json: bool) -> None:
    """Write all logs to standard output in one format, including those of libraries."""
    output = Output(sys.stdout)
    atexit.register(output.close)
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.StackInfoRenderer(),
        redact,
    ]
    final: list[Processor] = (
        [
            structlog.processors.ExceptionRenderer(_Tracebacks()),
            structlog.processors.JSONRenderer(lambda event, **_: ENCODER.encode(event)),
        ]
        if json
        else [
            structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty(), exception_formatter=structlog.dev.plain_traceback)
        ]
    )
    structlog.configure(
        processors=[*shared, *final],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", output)),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *final],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(number, logging.INFO), force=True)
    # These loggers would repeat the log line of the request, with less information.
    for name in ("httpx2", "httpcore2", "uvicorn.access"):
        logging.getLogger(name).setLevel(logging.WARNING)
