"""How a job gets into the queue: by the SQL function that Procrastinate itself calls, over any connection."""

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
"""Takes an array of what `written` gives, and answers with the id of each job."""

ORIGIN = "_origin"
"""The argument that tells a job which request and span enqueued it; the worker takes it out before the task sees it."""


class Backoff(RetryStrategy):
    """Retries after every error but a PermanentError."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        """Return when to retry, or None when the job is given up."""
        if isinstance(exception, PermanentError):
            return None
        return super().get_retry_decision(exception=exception, job=job)


BACKOFF = Backoff(max_attempts=7, exponential_wait=4)
"""Retries after 4, 16, 64 … seconds, for six hours in all."""

type Enqueued = Task[Any, Any, Any] | JobDeferrer
"""A task, or `task.configure(schedule_in=…, lock=…, queueing_lock=…)`."""


def written(what: Enqueued, arguments: Mapping[str, Any]) -> str:
    """The job as `DEFER` takes it, with the request and the span that this is part of."""
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
        from opentelemetry import propagate  # noqa: PLC0415 -- there already

        propagate.inject(origin)
    if request_id := get_contextvars().get("request_id"):
        origin["request_id"] = request_id
    return origin


def says_already_enqueued(error: Exception) -> bool:
    """Whether the database refused a job because one with its `queueing_lock` is waiting."""
    return QUEUEING_LOCK_CONSTRAINT in str(error)
