"""Logs: one JSON object per line, with the request id."""

import atexit
import logging
import re
import sys
import time
from collections.abc import Mapping, MutableMapping
from functools import lru_cache
from typing import Any, TextIO, cast

import structlog
from structlog.contextvars import merge_contextvars
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import ExcInfo, Processor

from app.core.observability.output import ENCODER, Output

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
