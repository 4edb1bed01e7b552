"""Fixtures of the job queue, on a database with real commits."""

from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from functools import partial
from logging import INFO
from typing import Any, LiteralString

import psycopg
import pytest
import structlog
from procrastinate import periodic
from psycopg.rows import dict_row
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from app.core.jobs.settings import Settings
from app.core.jobs.worker import work
from tests.core.jobs.engine import enqueue, on_registration

__all__ = ["enqueue", "on_registration"]

type DoAllJobs = Callable[..., Awaitable[list[MutableMapping[str, Any]]]]
type Enqueue = Callable[..., Awaitable[list[int]]]
type Sql = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def sql(committed_database: str) -> Iterator[Sql]:
    """Run SQL on the database. The queue is empty before and after the test."""
    with psycopg.connect(committed_database, autocommit=True, row_factory=dict_row) as connection:

        def sql(statement: LiteralString, *arguments: Any) -> list[dict[str, Any]]:
            cursor = connection.execute(statement, arguments)
            return cursor.fetchall() if cursor.description else []

        def empty() -> None:
            sql("TRUNCATE procrastinate_jobs, procrastinate_periodic_defers, procrastinate_workers CASCADE")

        empty()
        yield sql
        empty()


@pytest.fixture
def waiting(sql: Sql) -> Callable[[], list[str]]:
    """Return the task names of waiting jobs of the tests."""

    def waiting() -> list[str]:
        rows = sql("SELECT task_name FROM procrastinate_jobs WHERE status = 'todo' AND task_name ~ '^tests'")
        return [row["task_name"] for row in rows]

    return waiting


@pytest.fixture
def do_all_jobs(sql: Sql, monkeypatch: pytest.MonkeyPatch) -> Iterator[DoAllJobs]:
    """Run workers until no job is due; return the log lines of jobs. Periodic jobs do not start by themselves."""
    monkeypatch.setattr(periodic, "PeriodicDeferrer", partial(periodic.PeriodicDeferrer, max_delay=0))
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(INFO))

    async def do_all_jobs(concurrency: int = 10) -> list[MutableMapping[str, Any]]:
        with capture_logs([merge_contextvars]) as lines:
            rounds = 0
            while sql(
                "SELECT 1 FROM procrastinate_jobs WHERE status = 'todo' AND coalesce(scheduled_at, now()) <= now()"
            ):
                rounds += 1
                assert rounds <= 10, "a due job is not started"
                await work(Settings(environment="test", worker_concurrency=concurrency), wait=False)
        return [line for line in lines if "job_id" in line]

    yield do_all_jobs
    structlog.configure(**before)
