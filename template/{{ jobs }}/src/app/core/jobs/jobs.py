"""Jobs that maintain the queue."""

import structlog
from procrastinate import JobContext
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager

from app.core.jobs.backend import queue

KEPT_DAYS = 14
"""Days after which finished jobs are deleted."""

MAX_ATTEMPTS = 10
"""Maximum number of attempts at a job that kills its workers, or seems to."""

RETRY_STALLED = "jobs.retry_stalled"
DELETE_OLD = "jobs.delete_old"

log = structlog.get_logger()


@queue.periodic(cron="* * * * *")
@queue.task(name=RETRY_STALLED, queueing_lock=RETRY_STALLED, pass_context=True)
async def retry_stalled(context: JobContext, timestamp: int) -> None:
    """Put the jobs of dead workers back into the queue."""
    manager = context.app.job_manager
    for job in await manager.get_stalled_jobs():
        if not await _stalled(manager, job):
            continue
        try:
            if job.attempts < MAX_ATTEMPTS:
                await manager.retry_job(job)
            else:
                await manager.finish_job(job, Status.FAILED, delete_job=False)
        except ConnectorException:
            if await _stalled(manager, job):
                raise
        else:
            log.warning("job rescued", task=job.task_name, job_id=job.id, attempts=job.attempts)


async def _stalled(manager: JobManager, job: Job) -> bool:
    # Another worker may have put the job back into the queue already, and a live worker may have started it.
    begun = await manager.list_jobs_async(id=job.id, status="doing")
    return job.worker_id in [now.worker_id for now in begun]


@queue.periodic(cron="43 3 * * *")
@queue.task(name=DELETE_OLD, queueing_lock=DELETE_OLD, pass_context=True)
async def delete_old(context: JobContext, timestamp: int) -> None:
    """Delete jobs that succeeded, failed, were cancelled or aborted more than KEPT_DAYS ago."""
    await context.app.job_manager.delete_old_jobs(
        KEPT_DAYS * 24, include_failed=True, include_cancelled=True, include_aborted=True
    )
