"""Changes to Procrastinate's job manager."""

from typing import Any

import structlog
from procrastinate.exceptions import UniqueViolation
from procrastinate.jobs import Job, Status
from procrastinate.manager import QUEUEING_LOCK_CONSTRAINT, JobManager

log = structlog.get_logger()


class Manager(JobManager):
    """Procrastinate's job manager, with a different `retry_job`."""

    async def retry_job(self, job: Job, *arguments: Any, **options: Any) -> None:
        """Put `job` back into the queue, or mark it as failed if another job with its `queueing_lock` is waiting."""
        try:
            await super().retry_job(job, *arguments, **options)
        except UniqueViolation as error:
            if error.constraint_name != QUEUEING_LOCK_CONSTRAINT:
                raise
            # Otherwise `retry_stalled` would fail on this job every minute, and its `lock` would block the waiting job.
            await self.finish_job(job, Status.FAILED, delete_job=False)
            log.warning("job superseded", task=job.task_name, job_id=job.id)
