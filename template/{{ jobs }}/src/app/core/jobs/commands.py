"""Commands of the job queue: `python -m app worker`, `python -m app jobs list|cancel ID|retry ID`."""

import argparse
import sys
from collections.abc import Callable, Coroutine
from functools import partial

UNDONE = """
    SELECT id, status, task_name, attempts, scheduled_at FROM procrastinate_jobs
    WHERE status NOT IN ('succeeded', 'cancelled') ORDER BY id
"""

type Command = Callable[[argparse.Namespace], Coroutine[None, None, None]]


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    commands.add_parser("worker", help="run jobs until SIGTERM").set_defaults(run=partial(_run, work))
    jobs = commands.add_parser("jobs", help="list, cancel or retry jobs").add_subparsers(
        required=True, metavar="action"
    )
    jobs.add_parser("list", help="list waiting, running and failed jobs").set_defaults(run=partial(_run, show))
    cancelled = jobs.add_parser("cancel", help="cancel a waiting job, or abort a running job")
    retried = jobs.add_parser("retry", help="enqueue a failed job again")
    for parser, command in ((cancelled, cancel), (retried, retry)):
        parser.add_argument("id", type=int)
        parser.set_defaults(run=partial(_run, command))


def _run(command: Command, options: argparse.Namespace) -> None:
    import asyncio

    from app.core.config import Settings
    from app.core.observability import logs, telemetry

    settings = Settings.load()
    logs.configure(settings.log_level, json=settings.logs_json)
    telemetry.start(settings)
    asyncio.run(command(options))


async def work(_options: argparse.Namespace) -> None:
    """Run jobs until SIGTERM or SIGINT. ConfigError for an invalid setting of any slice, which a job may need."""
    from app.core.config import Environment
    from app.core.jobs import worker
    from app.core.jobs.settings import Settings
    from app.core.slices import find_parts

    for found in find_parts():
        if needed := found.attribute("settings", "Settings", type(Environment), required=True):
            needed.load()
    await worker.work(Settings.load())


async def show(_options: argparse.Namespace) -> None:
    """Print all jobs that are neither succeeded nor cancelled, one per line."""
    from app.core.jobs.backend import connected, queue

    async with connected():
        for job in await queue.connector.execute_query_all_async(UNDONE):
            due = job["scheduled_at"] or ""
            print(job["id"], job["status"], job["task_name"], f"attempts={job['attempts']}", due, sep="\t")


async def cancel(options: argparse.Namespace) -> None:
    """Cancel a waiting job, or abort a running job."""
    from app.core.jobs.backend import connected, queue

    async with connected():
        if not await queue.job_manager.cancel_job_by_id_async(options.id, abort=True):
            sys.exit(f"There is no job {options.id} that waits or runs.")


async def retry(options: argparse.Namespace) -> None:
    """Enqueue a failed job again."""
    from procrastinate.exceptions import UniqueViolation
    from procrastinate.utils import utcnow

    from app.core.jobs.backend import connected, queue

    async with connected():
        if not await queue.job_manager.list_jobs_async(id=options.id, status="failed"):
            sys.exit(f"There is no job {options.id} that failed.")
        try:
            await queue.job_manager.retry_job_by_id_async(options.id, utcnow())
        except UniqueViolation:
            sys.exit(f"Another job waits with the queueing_lock of job {options.id}.")
