"""What is done otherwise than Procrastinate does it."""

from typing import Any

import structlog
from procrastinate.exceptions import UniqueViolation
from procrastinate.jobs import Job, Status
from procrastinate.manager import QUEUEING_LOCK_CONSTRAINT, JobManager

log = structlog.get_logger()


class Manager(JobManager):
    """Keeps the state of the jobs."""

    async def retry_job(self, job: Job, *arguments: Any, **options: Any) -> None:
        """Put `job` back into the queue, or end it as failed where another waits with its `queueing_lock`."""
        try:
            await super().retry_job(job, *arguments, **options)
        except UniqueViolation as error:
            if error.constraint_name != QUEUEING_LOCK_CONSTRAINT:
                raise
            # Left as it is, it would be rescued in vain every minute, and keep its `lock` from the one that waits.
            await self.finish_job(job, Status.FAILED, delete_job=False)
            log.warning("job superseded", task=job.task_name, job_id=job.id)
