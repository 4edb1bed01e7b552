"""Health checks: liveness and readiness."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import structlog
from ninja import Router
from pydantic import BaseModel

from app.core.concurrency import bounded_map
from app.core.database import checks as database
from app.core.http.openapi import problem_responses
from app.core.http.requests import Request
from app.core.problems import Unavailable

log = structlog.get_logger()
public = Router(tags=["health"])

CHECK_TIMEOUT_SECONDS = 1.0
"""Time limit for the check of one dependency, shorter than the time limit of a probe."""

# Not the event loop's executor: `asyncio.run` would wait for threads that wait for an answer.
_threads = ThreadPoolExecutor(4, "health")


class Health(BaseModel):
    """The process and all checked dependencies answer."""

    status: Literal["ok"] = "ok"
    checks: list[str] = []


ALIVE = Health()


@public.get("/health/live", response=Health)
def live(request: Request) -> Health:
    """Check that the process answers. The database is not checked, because a restart would not fix it."""
    return ALIVE


@public.get("/health/ready", response=Health, openapi_extra=problem_responses(503))
def ready(request: Request) -> Health:
    """Check readiness for requests. The response is 503 while a dependency does not answer, and during a shutdown."""
    if request.state.draining:
        raise Unavailable("The service is shutting down.")
    checks: dict[str, Callable[[], None]] = {"database": database.check}
    if request.state.rate_limits.shared:
        checks["redis"] = request.state.rate_limits.check

    async def answers(name: str) -> bool:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
                await asyncio.get_running_loop().run_in_executor(_threads, checks[name])
        except Exception as error:
            log.warning("not ready", dependency=name, error=type(error).__name__)
            return False
        return True

    results = asyncio.run(bounded_map(answers, checks, limit=len(checks)))
    if down := [name for name, up in zip(checks, results, strict=True) if not up]:
        raise Unavailable(f"No answer from: {', '.join(down)}.")
    return Health(checks=list(checks))
