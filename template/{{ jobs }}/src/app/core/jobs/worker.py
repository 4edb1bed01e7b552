"""The worker process."""

import asyncio
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

import structlog
from opentelemetry import metrics, propagate, trace
from opentelemetry.trace import Link, SpanKind, StatusCode
from procrastinate import JobContext
from procrastinate.exceptions import ConnectorException
from procrastinate.middleware import AsyncCallNext
from procrastinate.worker import Worker
from psycopg import Error
from psycopg_pool import PoolTimeout
from structlog.contextvars import bind_contextvars, clear_contextvars

from app.core.config import Settings as CoreSettings
from app.core.http.headers import request_id
from app.core.jobs.backend import connected, prepared, queue
from app.core.jobs.deferring import ORIGIN
from app.core.jobs.settings import Settings
from app.core.observability import telemetry
from app.core.observability.logs import first_line

HEARTBEAT_SECONDS = 5.0
SPARE_THREADS = 4
"""Threads for the event loop itself, for example for DNS lookups."""

PAUSE_SECONDS = 1.0
"""Pause between two attempts to connect to the database."""

log = structlog.get_logger()
tracer = trace.get_tracer(__name__)
durations = metrics.get_meter(__name__).create_histogram(
    "messaging.process.duration", "s", "How long jobs take", explicit_bucket_boundaries_advisory=[0.1, 1, 10, 60, 600]
)


async def work(settings: Settings, *, wait: bool = True) -> None:
    """Run jobs until SIGTERM or SIGINT, then finish the running jobs. With `wait=False`, until the queue is empty.

    Waits for a database that is down. If a worker is killed, `jobs.retry_stalled` puts its jobs back into the queue.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    # Each task with a plain `def` needs a thread. Python's default number of threads depends on the CPU cores.
    loop.set_default_executor(ThreadPoolExecutor(settings.worker_concurrency + SPARE_THREADS))
    async with prepared() as context:
        while not stopping.is_set():
            running = asyncio.create_task(_run(settings, context, wait=wait))
            stopped = asyncio.create_task(stopping.wait())
            await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if stopping.is_set():
                running.cancel()  # the running jobs finish first
            try:
                await running
                if not wait:
                    return
            except asyncio.CancelledError:
                if not stopping.is_set():
                    raise
            except (ConnectorException, Error, PoolTimeout, OSError) as error:
                log.warning("queue unavailable", reason=str(error.__cause__ or error).partition("\n")[0])
                with suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), PAUSE_SECONDS)
    log.info("stop")


async def _run(settings: Settings, context: dict[str, Any], *, wait: bool) -> None:
    async with connected():
        log.info("start", concurrency=settings.worker_concurrency)
        await queue.run_worker_async(
            wait=wait,
            concurrency=settings.worker_concurrency,
            shutdown_graceful_timeout=settings.worker_grace_seconds,
            update_heartbeat_interval=HEARTBEAT_SECONDS,
            listen_notify=not CoreSettings.load().database_pooler,  # PgBouncer does not support LISTEN
            install_signal_handlers=False,
            additional_context=context,
            worker_middleware=[observed],
        )


async def observed(call_next: AsyncCallNext, context: JobContext, worker: Worker) -> Any:
    """Run one job with the id of the request that enqueued it. Log the job, and record a span and the duration."""
    job = context.job
    origin: Any = job.task_kwargs.pop(ORIGIN, {})
    attributes = {
        "messaging.system": "procrastinate",
        "messaging.operation.name": "process",
        "messaging.destination.name": job.queue,
        "job.task": job.task_name,
    }
    enqueued = trace.get_current_span(propagate.extract(origin)).get_span_context()
    links = [Link(enqueued)] if enqueued.is_valid else []
    if (running := asyncio.current_task()) is not None:
        running.add_done_callback(partial(_end_when_unsaid, worker))
    with tracer.start_as_current_span(
        f"process {job.task_name}",
        kind=SpanKind.CONSUMER,
        attributes=attributes,
        links=links,
        record_exception=False,  # the message may hold personal data
        set_status_on_exception=False,
    ) as span:
        clear_contextvars()
        bind_contextvars(request_id=request_id(origin.get("request_id")), job_id=job.id, task=job.task_name)
        if trace_id := telemetry.trace_id(None):
            bind_contextvars(trace_id=trace_id)
        started = time.perf_counter()
        failure: str | None = None
        try:
            return await call_next()
        except BaseException as error:
            failure = type(error).__name__
            span.set_attribute("error.type", failure)
            span.set_status(StatusCode.ERROR)
            log.warning("job failed", error=f"{failure}: {first_line(str(error))}", attempt=job.attempts + 1)
            if isinstance(error, Exception) and not queue.tasks[job.task_name].get_retry_exception(error, job):
                telemetry.report(error)
            raise
        finally:
            seconds = time.perf_counter() - started
            durations.record(seconds, attributes | ({"error.type": failure} if failure else {}))
            log.info("job", done=failure is None, attempt=job.attempts + 1, ms=round(seconds * 1000, 2))


def _end_when_unsaid(worker: Worker, done: asyncio.Task[Any]) -> None:
    # The result of the job could not be stored, and the job is not retried while this worker is alive. So stop the
    # worker: `work` starts a new one.
    if not done.cancelled() and done.exception() is not None:
        worker.stop()  # type: ignore[no-untyped-call]
