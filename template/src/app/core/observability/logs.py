"""Logs: one JSON object a line, each with the id of the request that it belongs to."""

import logging
import re
import sys
import time
from collections.abc import Mapping, MutableMapping
from functools import lru_cache
from json import JSONEncoder
from typing import Any

import structlog
from structlog.contextvars import merge_contextvars
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import ExcInfo, Processor

SECRET_NAMES = re.compile(r"password|secret|token|authorization|cookie|api_?key|signature", re.IGNORECASE)

EMAIL = re.compile(r"[\w.+%'-]+@[\w-]+(?:\.[\w-]+)+")

ENCODER = JSONEncoder(default=repr)
"""Made once: `json.dumps` with a default makes one for each line.

It writes ASCII alone: a line separator, a control sequence or an override of the direction of text in what a caller
sends would make the log read differently from what it says.
"""


class RequestLog:
    """Writes the line of each request; of paths below `quiet` at level debug.

    A logger that is bound once costs less than one for each request.
    """

    def __init__(self, quiet: str) -> None:
        self._log = structlog.get_logger().bind()
        self._quiet = quiet
        self._debug = self._log.is_enabled_for(logging.DEBUG)

    def end(self, method: str | None, path: str, route: str | None, status: int, started: float) -> None:
        """Write the line of a request that began at `started`, by `time.perf_counter`."""
        quiet = path.startswith(self._quiet)
        if quiet and not self._debug:
            return
        write = self._log.debug if quiet else self._log.info
        ms = round((time.perf_counter() - started) * 1000, 2)
        write("request", method=method, route=route, status=status, ms=ms)


@lru_cache(maxsize=1024)
def is_secret(name: str) -> bool:
    """Whether a value of this name must not be logged. The same few names come with every line."""
    return SECRET_NAMES.search(name) is not None


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Hide every value whose name says that it is secret."""
    for name in event:
        if is_secret(name):
            event[name] = "[redacted]"
    return event


def first_line(message: str) -> str:
    """What may be told of an error's message: values that failed stand in its further lines, and it may name people."""
    return EMAIL.sub("[e-mail]", message.partition("\n")[0])


class _Tracebacks(ExceptionDictTransformer):
    """Without the values of local variables, and without those that messages repeat: passwords are among them."""

    def __init__(self) -> None:
        super().__init__(show_locals=False)

    def __call__(self, exc_info: ExcInfo) -> list[dict[str, Any]]:
        return list(map(self._plain, super().__call__(exc_info)))

    def _plain(self, told: dict[str, Any]) -> dict[str, Any]:
        grouped = [list(map(self._plain, group)) for group in told.get("exceptions", ())]
        return told | {"exc_value": first_line(told["exc_value"]), "exc_notes": [], "exceptions": grouped}


def configure(level: str, *, json: bool) -> None:
    """Send everything, also what libraries log through the standard library, to standard output in one form."""
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
        logger_factory=structlog.WriteLoggerFactory(sys.stdout),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *final],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(number, logging.INFO), force=True)
    # Each says once more, less completely, what the line of the request says.
    for name in ("httpx2", "httpcore2", "uvicorn.access"):
        logging.getLogger(name).setLevel(logging.WARNING)
