"""What the queue does for itself."""

import structlog
from procrastinate import JobContext
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager

from app.jobs.backend import queue

DAYS = 14
"""How long a job that has ended can still be looked at."""

MOST_ATTEMPTS = 10
"""Of a job whose workers end in the middle of it: more often than that, it may be what ends them."""

log = structlog.get_logger()


@queue.periodic(cron="* * * * *")
@queue.task(name="jobs.rescue", queueing_lock="jobs.rescue", pass_context=True)
async def rescue(context: JobContext, timestamp: int) -> None:
    """Give back what a worker had begun that is no more: killed, out of memory, cut off."""
    manager = context.app.job_manager
    for job in await manager.get_stalled_jobs():
        if not await _stalled(manager, job):
            continue
        try:
            if job.attempts < MOST_ATTEMPTS:
                await manager.retry_job(job)
            else:
                await manager.finish_job(job, Status.FAILED, delete_job=False)
        except ConnectorException:
            if await _stalled(manager, job):
                raise
        else:
            log.warning("job rescued", task=job.task_name, job_id=job.id, attempts=job.attempts)


async def _stalled(manager: JobManager, job: Job) -> bool:
    # Another rescue may have been faster, and by now a worker that lives may have begun it.
    begun = await manager.list_jobs_async(id=job.id, status="doing")
    return job.worker_id in [now.worker_id for now in begun]


@queue.periodic(cron="43 3 * * *")
@queue.task(name="jobs.forget", queueing_lock="jobs.forget", pass_context=True)
async def forget(context: JobContext, timestamp: int) -> None:
    """Delete the jobs that ended long ago, however they ended."""
    await context.app.job_manager.delete_old_jobs(
        DAYS * 24, include_failed=True, include_cancelled=True, include_aborted=True
    )
