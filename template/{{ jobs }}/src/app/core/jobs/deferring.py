"""Enqueuing of jobs over any database connection, with the SQL function that Procrastinate itself uses."""

import json
import sys
from collections.abc import Mapping
from typing import Any

from procrastinate.jobs import Job, JobDeferrer
from procrastinate.manager import QUEUEING_LOCK_CONSTRAINT
from procrastinate.retry import RetryDecision, RetryStrategy
from procrastinate.tasks import Task
from structlog.contextvars import get_contextvars

from app.core.retries import PermanentError

DEFER = """
    SELECT unnest(procrastinate_defer_jobs_v1(ARRAY(
        SELECT jsonb_populate_recordset(NULL::procrastinate_job_to_defer_v1, {jobs}::jsonb)
    )))
"""
"""Takes the JSON array that `written` returns. Returns the id of each job."""

ORIGIN = "_origin"
"""Argument with the request id and span that enqueued the job. The worker removes it before it calls the task."""


class Backoff(RetryStrategy):
    """Retries after all errors except PermanentError."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        """Return the time of the next attempt, or None to give up."""
        if isinstance(exception, PermanentError):
            return None
        return super().get_retry_decision(exception=exception, job=job)


BACKOFF = Backoff(max_attempts=7, exponential_wait=4)
"""Retries after 4, 16, 64 … seconds, for six hours in total."""

type Enqueued = Task[Any, Any, Any] | JobDeferrer
"""A task, or `task.configure(schedule_in=…, lock=…, queueing_lock=…)`."""


def written(what: Enqueued, arguments: Mapping[str, Any]) -> str:
    """Return a job as JSON for `DEFER`, with the current request id and span."""
    deferrer = what.configure() if isinstance(what, Task) else what
    job = deferrer.make_new_job(**{**arguments, ORIGIN: _origin()})
    return json.dumps(
        [
            {
                "queue_name": job.queue,
                "task_name": job.task_name,
                "priority": job.priority,
                "lock": job.lock,
                "queueing_lock": job.queueing_lock,
                "args": job.task_kwargs,
                "scheduled_at": job.scheduled_at and job.scheduled_at.isoformat(),
            }
        ]
    )


def _origin() -> dict[str, str]:
    origin: dict[str, str] = {}
    if "opentelemetry.sdk" in sys.modules:
        from opentelemetry import propagate  # noqa: PLC0415 -- already imported

        propagate.inject(origin)
    if request_id := get_contextvars().get("request_id"):
        origin["request_id"] = request_id
    return origin


def says_already_enqueued(error: Exception) -> bool:
    """Return whether the database refused a job because another job with its `queueing_lock` is waiting."""
    return QUEUEING_LOCK_CONSTRAINT in str(error)
