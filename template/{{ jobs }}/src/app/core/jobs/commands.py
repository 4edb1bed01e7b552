"""Commands of the job queue: `python -m app worker`, `python -m app jobs list|cancel ID|retry ID`."""

import argparse
import json
import sys
from collections.abc import Callable, Coroutine
from functools import partial

NOT_SUCCEEDED = """
    SELECT jobs.id, status, task_name, attempts, scheduled_at, max(events.at) AS changed_at, args
    FROM procrastinate_jobs AS jobs LEFT JOIN procrastinate_events AS events ON events.job_id = jobs.id
    WHERE status <> 'succeeded' GROUP BY jobs.id ORDER BY jobs.id
"""
COLUMNS = ("id", "status", "task", "attempts", "due", "changed", "arguments")

type Command = Callable[[argparse.Namespace], Coroutine[None, None, None]]


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    commands.add_parser("worker", help="run jobs until SIGTERM").set_defaults(run=start_worker)
    jobs = commands.add_parser("jobs", help="list, cancel or retry jobs").add_subparsers(
        required=True, metavar="action"
    )
    jobs.add_parser("list", help="list all jobs that have not succeeded").set_defaults(run=partial(_run, show))
    cancelled = jobs.add_parser("cancel", help="cancel a waiting job, or abort a running job")
    retried = jobs.add_parser("retry", help="enqueue a failed or cancelled job again")
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


def start_worker(options: argparse.Namespace) -> None:
    """Run the worker. Raise ConfigError on Windows: asyncio has no signal handlers, and psycopg needs another loop."""
    from app.core.config import ConfigError

    if sys.platform == "win32":
        raise ConfigError("The worker does not run on Windows: use WSL, or the container image.")
    _run(work, options)


async def work(_options: argparse.Namespace) -> None:
    """Run jobs until SIGTERM or SIGINT. Raise ConfigError for an invalid setting of any slice, which a job may need."""
    from app.core.config import Environment
    from app.core.jobs import worker
    from app.core.jobs.settings import Settings
    from app.core.slices import find_parts

    for found in find_parts():
        if needed := found.attribute("settings", "Settings", type(Environment), required=True):
            needed.load()
    await worker.work(Settings.load())


async def show(_options: argparse.Namespace) -> None:
    """Print all jobs that have not succeeded, one per line. Arguments are JSON, times are UTC."""
    from app.core.jobs.backend import connected, queue
    from app.core.jobs.deferring import ORIGIN

    async with connected():
        jobs = await queue.connector.execute_query_all_async(NOT_SUCCEEDED)
    print(*COLUMNS, sep="\t")
    for job in jobs:
        times = (f"{job[name]:%Y-%m-%dT%H:%M:%SZ}" if job[name] else "-" for name in ("scheduled_at", "changed_at"))
        arguments = json.dumps({name: value for name, value in job["args"].items() if name != ORIGIN})
        print(job["id"], job["status"], job["task_name"], job["attempts"], *times, arguments, sep="\t")


async def cancel(options: argparse.Namespace) -> None:
    """Cancel a waiting job, or abort a running job."""
    from app.core.jobs.backend import connected, queue

    async with connected():
        if not await queue.job_manager.cancel_job_by_id_async(options.id, abort=True):
            sys.exit(f"There is no job {options.id} that waits or runs.")


async def retry(options: argparse.Namespace) -> None:
    """Enqueue a failed job again, or a copy of a cancelled job."""
    from procrastinate.exceptions import AlreadyEnqueued, UniqueViolation
    from procrastinate.utils import utcnow

    from app.core.jobs.backend import connected, queue

    async with connected():
        manager = queue.job_manager
        try:
            if await manager.list_jobs_async(id=options.id, status="failed"):
                await manager.retry_job_by_id_async(options.id, utcnow())
            elif cancelled := list(await manager.list_jobs_async(id=options.id, status="cancelled")):
                copy = await manager.defer_job_async(cancelled[0].evolve(id=None, scheduled_at=None))
                print(f"Job {options.id} is enqueued again as job {copy.id}.")
            else:
                sys.exit(f"There is no job {options.id} that failed or was cancelled.")
        except (AlreadyEnqueued, UniqueViolation):
            sys.exit(f"Another job waits with the queueing_lock of job {options.id}.")
