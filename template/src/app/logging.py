"""Logs: one JSON object a line, each with the id of the request that it belongs to."""

import logging
import re
import secrets
import sys
from collections.abc import Mapping, MutableMapping
from functools import lru_cache
from json import JSONEncoder
from typing import Any

import structlog
from structlog.contextvars import merge_contextvars
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import ExcInfo, Processor

SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{8,128}")
SECRET_NAMES = re.compile(r"password|secret|token|authorization|cookie|api_?key|signature", re.IGNORECASE)


EMAIL = re.compile(r"[\w.+%'-]+@[\w-]+(?:\.[\w-]+)+")

ENCODER = JSONEncoder(default=repr)
"""Made once: `json.dumps` with a default makes one for each line.

It writes ASCII alone: a line separator, a control sequence or an override of the direction of text in what a caller
sends would make the log read differently from what it says.
"""


def request_id(offered: str | None) -> str:
    """The caller's id when it is sane (no blank or line break can reach the logs), else a new one."""
    return offered if offered and SANE_REQUEST_ID.fullmatch(offered) else secrets.token_hex(16)


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
