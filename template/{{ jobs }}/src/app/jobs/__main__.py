"""`python -m app.jobs`: do the jobs, or look after them."""

import argparse
import asyncio
import sys

from app import logging, telemetry
from app.config import ConfigError, Environment
from app.config import Settings as KernelSettings
from app.embedded import EmbeddedServerError, ensure_database
from app.slices import SliceError, find_slices

UNDONE = """
    SELECT id, status, task_name, attempts, scheduled_at FROM procrastinate_jobs
    WHERE status NOT IN ('succeeded', 'cancelled') ORDER BY id
"""


def main(arguments: list[str] | None = None) -> None:
    """Run one command. A mistake of the operator ends in one sentence and exit status 1, without a stack trace."""
    parser = argparse.ArgumentParser(prog="app.jobs", description="Do the jobs, or look after them.")
    commands = parser.add_subparsers(required=True, metavar="command")
    commands.add_parser("work", help="do jobs until told to stop").set_defaults(run=work)
    commands.add_parser("list", help="what waits, runs or failed").set_defaults(run=show)
    for name, run, help_text in (
        ("cancel", cancel, "take a job out of the queue, or stop it where it runs"),
        ("retry", retry, "do a job that failed once more"),
    ):
        command = commands.add_parser(name, help=help_text)
        command.add_argument("id", type=int)
        command.set_defaults(run=run)
    options = parser.parse_args(arguments)
    try:
        ensure_database()
        settings = KernelSettings.load()
        logging.configure(settings.log_level, json=settings.logs_json)
        telemetry.start(settings)
        asyncio.run(options.run(options))
    except (ConfigError, EmbeddedServerError, SliceError) as error:
        sys.exit(f"{error}")
    except KeyboardInterrupt:
        sys.exit(130)


async def work(_options: argparse.Namespace) -> None:
    """Do jobs until SIGTERM or SIGINT."""
    from app.jobs import worker
    from app.jobs.settings import Settings

    for found in find_slices():
        if needed := found.attribute("settings", "Settings", type(Environment), required=True):
            needed.load()  # a mistake is told now, not by each job
    await worker.work(Settings.load())


async def show(_options: argparse.Namespace) -> None:
    """Print the jobs that have not succeeded, a line each."""
    from app.jobs.backend import connected, queue

    async with connected():
        for job in await queue.connector.execute_query_all_async(UNDONE):
            due = job["scheduled_at"] or ""
            print(job["id"], job["status"], job["task_name"], f"attempts={job['attempts']}", due, sep="\t")


async def cancel(options: argparse.Namespace) -> None:
    """Cancel a job."""
    from app.jobs.backend import connected, queue

    async with connected():
        if not await queue.job_manager.cancel_job_by_id_async(options.id, abort=True):
            sys.exit(f"There is no job {options.id} that waits or runs.")


async def retry(options: argparse.Namespace) -> None:
    """Enqueue a job again."""
    from procrastinate.exceptions import UniqueViolation
    from procrastinate.utils import utcnow

    from app.jobs.backend import connected, queue

    async with connected():
        if not await queue.job_manager.list_jobs_async(id=options.id, status="failed"):
            sys.exit(f"There is no job {options.id} that failed.")
        try:
            await queue.job_manager.retry_job_by_id_async(options.id, utcnow())
        except UniqueViolation:
            sys.exit(f"Another job waits with the queueing_lock of job {options.id}.")


if __name__ == "__main__":
    main()
