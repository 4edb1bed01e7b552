"""Spans and metrics of SQLAlchemy. Imported only when OpenTelemetry is on. FastAPI itself traces requests."""

from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.pool import QueuePool

from app.core.observability.otel import Statement, observe_pool

RUNNING = "statement"


def trace_statements(engine: Engine) -> None:
    """Record a span and the duration of each statement, and measure the pool."""
    event.listen(engine, "before_cursor_execute", _begin)
    event.listen(engine, "after_cursor_execute", _end)
    event.listen(engine, "handle_error", _fail)
    if isinstance(engine.pool, QueuePool):
        pool = engine.pool
        observe_pool(pool.size(), lambda: (pool.checkedout(), pool.checkedin()))


def _begin(connection: Any, _cursor: Any, sql: str, *_: Any) -> None:
    connection.info[RUNNING] = Statement(sql)


def _end(connection: Any, *_: Any) -> None:
    connection.info.pop(RUNNING).end()


def _fail(context: ExceptionContext) -> None:
    if context.connection is not None and (statement := context.connection.info.pop(RUNNING, None)):
        statement.end(context.original_exception)
